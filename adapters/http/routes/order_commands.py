"""What is said about an order that is known: kept, then carried out."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from adapters.http.commands import ACCEPTED, Accepted, Giving
from adapters.http.requests import body_of
from adapters.http.routing import Name, resource, taking
from domain.model.command import (
    CancelOrder,
    CheckoutCompleted,
    PollOrder,
    RecordAttempt,
    RecordOperation,
    ResolveOrder,
)

router = resource("order commands")


def _kept(operation_id: str, name: str) -> Mapping[str, Any]:
    return {
        "operation_id": operation_id,
        "status_code": ACCEPTED,
        "responses": {ACCEPTED: {"model": Accepted}, **taking(404)},
        "openapi_extra": body_of(name),
    }


@router.post("/orders/{order}/checkout-completed", **_kept("checkoutCompleted", CheckoutCompleted.name))
def checkout_completed(order: Name, commands: Giving) -> Response:
    """The customer has completed the checkout; the first one stands."""
    return commands.about_order(CheckoutCompleted.name, order)


@router.post("/orders/{order}/cancel", **_kept("cancelOrder", CancelOrder.name))
def cancel(order: Name, commands: Giving) -> Response:
    """Cancel the order, unless it turns out to be paid."""
    return commands.about_order(CancelOrder.name, order)


@router.post("/orders/{order}/resolve", **_kept("resolveOrder", ResolveOrder.name))
def resolve(order: Name, commands: Giving) -> Response:
    """A person has settled an UNRESOLVED order."""
    return commands.about_order(ResolveOrder.name, order)


@router.post("/orders/{order}/poll", **_kept("pollOrder", PollOrder.name))
def poll(order: Name, commands: Giving) -> Response:
    """Ask the provider about the order now."""
    return commands.about_order(PollOrder.name, order)


@router.post("/orders/{order}/attempts", **_kept("recordAttempt", RecordAttempt.name))
def record_attempt(order: Name, commands: Giving) -> Response:
    """Note one try of the customer to pay."""
    return commands.about_order(RecordAttempt.name, order)


@router.post("/orders/{order}/operations", **_kept("recordOperation", RecordOperation.name))
def record_operation(order: Name, commands: Giving) -> Response:
    """Note a capture, a refund or a void under the order's transaction."""
    return commands.about_order(RecordOperation.name, order)
