"""Orders: registering them, and what became of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query
from fastapi.responses import JSONResponse
from sqlalchemy import Connection
from starlette.responses import Response

from adapters.bootstrap import Told
from adapters.http import models
from adapters.http.addresses import address_of
from adapters.http.commands import ACCEPTED, Accepted, Giving, refusal
from adapters.http.cursors import page, place_of
from adapters.http.desk import Here, Merchant, Scope
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem, invalid
from adapters.http.rejections import rejected_among
from adapters.http.requests import ONE_OR_MANY
from adapters.http.routing import USUAL, Cursor, Limit, Moment, Name, Word, problems, resource, taking
from adapters.messages import BY_NAME
from adapters.messages.parsing import MOST_ORDERS
from adapters.persistence import listings, queries
from adapters.persistence.orders import SqlOrders
from domain.model.command import FieldError, RegisterOrder
from domain.model.order import Order, OrderStatus
from domain.rules.deadlines import live_deadline
from domain.rules.order_lifecycle import OPEN

router = resource("orders")

_MOST_ERRORS: Final = 100
_OF_ONE: Final = sorted(set(BY_NAME[RegisterOrder.name].model_fields) - {"merchant"})


@router.post(
    "/orders",
    operation_id="registerOrder",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": Accepted | models.Registered}, **taking()},
    openapi_extra=ONE_OR_MANY,
)
def register(commands: Giving) -> Response:
    """Register an order, or up to 1,000 of which each stands or falls by itself."""
    fields = commands.own()
    if "orders" in fields:
        return commands.once(lambda: _register_many(commands))

    def work() -> Response:
        [told] = commands.tell(RegisterOrder.name, [fields])
        if told.errors:
            raise refusal(told)
        return commands.kept(str(fields["order"]), repeat=told.repeat)

    return commands.once(work)


def _register_many(commands: Giving) -> Response:
    orders = _orders_of(commands.body)
    merchant = commands.merchant
    told = _tell_many(commands, orders)
    kept = [str(order["order"]) for order, one in zip(orders, told, strict=True) if not one.errors]
    with commands.desk.reading() as connection:
        rejected = rejected_among(connection, merchant, kept)
    items = [_item(commands, order, one, rejected) for order, one in zip(orders, told, strict=True)]
    if all(one.errors for one in told):
        kind = CONFLICT if all(one.conflict for one in told) else INVALID
        errors = [
            FieldError(field=f"orders[{position}].{error.field}", reason=error.reason)
            for position, one in enumerate(told)
            for error in one.errors
        ]
        raise Problem(kind, "None of them was kept.", errors=errors[:_MOST_ERRORS])
    return JSONResponse({"merchant": merchant, "orders": items}, status_code=ACCEPTED)


def _item(
    commands: Giving, order: Mapping[str, Any], told: Told, rejected: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return what became of one of many orders, and where to look for it."""
    name = order.get("order") if isinstance(order.get("order"), str) else None
    why = None if told.errors or name is None else rejected.get(name)
    address = None if told.errors or name is None else address_of(name) if why is None else str(why["address"])
    return {
        "order": name,
        "kept": not told.errors,
        "repeat": told.repeat,
        "location": None if address is None else commands.location(address),
        "rejected": why,
        "errors": [{"field": error.field, "reason": error.reason} for error in told.errors],
    }


def _tell_many(commands: Giving, orders: Sequence[Mapping[str, Any]]) -> Sequence[Told]:
    """Keep the orders that name no other merchant; return what became of each of them all."""
    wrong = [commands.anothers(order) for order in orders]
    good = [{**order, "merchant": commands.merchant} for order, errors in zip(orders, wrong, strict=True) if not errors]
    told = iter(commands.tell(RegisterOrder.name, good) if good else ())
    return [Told(errors=tuple(errors)) if errors else next(told) for errors in wrong]


def _orders_of(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    orders = body["orders"]
    lost = [name for name in _OF_ONE if body.get(name) is not None]
    if lost:
        reason = "belongs into each of `orders`: beside them it would be lost"
        raise Problem(INVALID, errors=[FieldError(field=name, reason=reason) for name in lost])
    if not isinstance(orders, list) or not orders:
        raise invalid("orders", "should be a list of at least one order")
    if len(orders) > MOST_ORDERS:
        raise invalid("orders", f"has more than {MOST_ORDERS:,} entries")
    for position, order in enumerate(orders):
        if not isinstance(order, dict):
            raise invalid(f"orders[{position}]", "should be an object")
    return orders


@router.get("/orders", operation_id="listOrders", response_model=models.Page[models.Order])
def show_all(
    desk: Here,
    scope: Scope,
    status: OrderStatus | None = None,
    provider: Annotated[Word | None, Query()] = None,
    created_after: Annotated[Moment | None, Query()] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List orders, the youngest first."""
    before = place_of(cursor, parts=1)
    with desk.reading() as connection:
        rows = listings.orders(
            connection,
            limit=limit + 1,
            before=before,
            merchant=scope,
            status=status,
            provider=provider,
            created_after=created_after,
        )
    return page(rows, limit, key=("id",), item=dict)


@router.get("/orders/{order}", operation_id="getOrder", response_model=models.OrderDetail, responses=problems(404))
def show(desk: Here, merchant: Merchant, order: Name) -> Any:
    """Show an order: status, amounts, deadlines, its transaction, and what happens next."""
    with desk.reading() as connection:
        key = listings.order_id(connection, merchant, order)
        if key is None:
            raise _not_there(connection, merchant, order)
        known = SqlOrders(connection, queries.now(connection), None).get_many([key])[key]
        row = queries.order(connection, key)
        due = queries.due_of(connection, key)
        cases = queries.open_cases_of(connection, key)
    return _detailed(known, row, due, [case["id"] for case in cases])


@router.get(
    "/orders/{order}/timeline",
    operation_id="getOrderTimeline",
    response_model=models.Page[models.TimelineEntry],
    responses=problems(404),
)
def show_timeline(desk: Here, merchant: Merchant, order: Name, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
    """List everything that happened to an order, the oldest first."""
    after = place_of(cursor, parts=3)
    with desk.reading() as connection:
        key = listings.order_id(connection, merchant, order)
        if key is None:
            raise _not_there(connection, merchant, order)
        rows = listings.timeline(connection, key, limit=limit + 1, after=after)
    return page(rows, limit, key=("moment", "rank", "position"), item=dict)


def _not_there(connection: Connection, merchant: str, order: str) -> Problem:
    """Return what to say of an order that is none; where it was rejected, the merchant is shown where to look."""
    rejected = rejected_among(connection, merchant, [order]).get(order)
    if rejected is None:
        return Problem(NOT_FOUND)
    said = f"Its transaction was rejected and is {rejected['status']}: {rejected['address']}"
    return Problem(NOT_FOUND, said, headers={"Link": f'<{rejected["address"]}>; rel="related"'})


def _detailed(order: Order, row: Mapping[str, Any], due: Any, cases: Sequence[int]) -> Mapping[str, Any]:
    return {
        **row,
        "deadlines": _deadlines(order),
        "transaction": {**row, "state": row["transaction"]},
        "next_action": None
        if due is None
        else {"action": due["kind"], "at": due["due_at"], "under_way": due["leased"]},
        "open_cases": cases,
    }


def _deadlines(order: Order) -> Mapping[str, datetime | None]:
    timeouts, completed = order.timeouts, order.checkout_completed_at
    live = live_deadline(order) if order.status in OPEN else None
    cancellation, checkout = timeouts.cancellation, timeouts.checkout
    return {
        "cancellation": None if cancellation is None else order.created_at + cancellation,
        "checkout": None if checkout is None or completed is None else completed + checkout,
        "payment_window": order.created_at + timeouts.window if cancellation is None else None,
        "live": None if live is None else live.at,
    }
