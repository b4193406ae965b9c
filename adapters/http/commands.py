"""Commands by HTTP: stored in the database before they are answered, then hinted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from adapters.bootstrap import Told
from adapters.http.addresses import address_of, named
from adapters.http.answering import Body, Once, Single
from adapters.http.desk import Desk, Here, Merchant
from adapters.http.models import Rejected
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem, invalid
from adapters.http.rejections import rejected_among
from adapters.persistence import listings
from domain.model.command import FieldError

ACCEPTED: Final = 202
# These are named by what they say, so that saying it again is a repeat; under a request's own key it is said anew.
_NAMED_BY_REQUEST: Final = frozenset(
    {
        "intake.cancel_order",
        "intake.resolve_order",
        "intake.poll_order",
        "intake.reverse_now",
        "intake.put_master_data",
        "sanity.mark_failed",
    }
)


# What may be said about an order that is not there yet, because its registration is kept and not carried out, or
# waits in the sanity queue. It is carried out when the order is added.
_MAY_WAIT: Final = frozenset(
    {
        "intake.checkout_completed",
        "intake.cancel_order",
        "intake.record_attempt",
        "intake.record_operation",
    }
)


class Accepted(BaseModel):
    """It is kept. `repeat` says that the same was kept before, and that nothing happened now.

    `rejected` says why the transaction is no order: a command about it waits, or it ends there.
    """

    merchant: str
    order: str
    repeat: bool
    rejected: Rejected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Gives commands for a merchant in the name of who calls."""

    desk: Desk
    merchant: str
    body: Mapping[str, Any]
    once: Once
    trace: str

    def about_order(self, name: str, order: str) -> Response:
        """Give a command about one order that is known, or may still be added; its fields are the body's."""
        fields = self.own(order=order)
        with self.desk.reading() as connection:
            if listings.order_id(connection, self.merchant, order) is None:
                self._check_may_wait(connection, name, order)

        def work() -> Response:
            [told] = self.tell(name, [fields])
            if told.errors:
                raise refusal(told)
            return self.kept(order, repeat=told.repeat)

        return self.once(work)

    def kept(self, order: str, *, repeat: bool) -> Response:
        """Answer that something about an order is kept, and where to look: at the order, or why it is none."""
        with self.desk.reading() as connection:
            rejected = rejected_among(connection, self.merchant, [order]).get(order)
        address = address_of(order) if rejected is None else str(rejected["address"])
        said = {"merchant": self.merchant, "order": order, "repeat": repeat, "rejected": rejected}
        return self.accepted(said, address)

    def accepted(self, body: Mapping[str, Any], address: str) -> Response:
        """Answer that something is kept, and where its sender finds it."""
        return JSONResponse(body, status_code=ACCEPTED, headers={"Location": self.location(address)})

    def location(self, address: str) -> str:
        """Return the address as its sender may use it: an operator names the merchant."""
        return address if self._is_merchants else named(address, self.merchant)

    def own(self, **of_address: str) -> Mapping[str, Any]:
        """Return the body's fields with what the key and the address name.

        Raises:
            Problem: the body names another.
        """
        return own(self.body, said_by=self._said_by, merchant=self.merchant, **of_address)

    def anothers(self, fields: Mapping[str, Any]) -> Sequence[FieldError]:
        """Say what is wrong with the merchant that fields name, if it is another than whose command it is."""
        try:
            own(fields, said_by=self._said_by, merchant=self.merchant)
        except Problem as problem:
            return problem.errors
        return ()

    @property
    def _said_by(self) -> str:
        """What names the merchant."""
        return "key" if self._is_merchants else "address"

    @property
    def _is_merchants(self) -> bool:
        return self.once.caller.operator is None

    def _check_may_wait(self, connection: Connection, name: str, order: str) -> None:
        """Let pass what waits for an order that is to come; what failed for good is refused by its rule.

        Raises:
            Problem: there is no such order and none to come, or the command makes no sense before it is there.
        """
        rejected = rejected_among(connection, self.merchant, [order]).get(order)
        if rejected is None:
            if name in _MAY_WAIT and listings.is_being_registered(connection, self.merchant, order):
                return
            # Unless it was added just now, between the two looks.
            if listings.order_id(connection, self.merchant, order) is None:
                raise Problem(NOT_FOUND)
        elif name not in _MAY_WAIT:
            reason = f"its transaction was rejected and is {rejected['status']}: {rejected['address']}"
            raise Problem(CONFLICT, errors=(FieldError(field="order", reason=reason),))

    def tell(self, name: str, many: Sequence[Mapping[str, Any]]) -> Sequence[Told]:
        """Keep commands of one name; return what became of each."""
        by_request = self.once.key is not None and name in _NAMED_BY_REQUEST
        key = f"idempotency-key:{self.once.key}" if by_request else None
        return self.desk.application.tell(
            name, many, trace=self.trace, channel="http", actor=self.once.caller.actor, key=key
        )


def commands_of(request: Request, desk: Here, merchant: Merchant, body: Body, once: Single) -> Commands:
    return Commands(desk=desk, merchant=merchant, body=body, once=once, trace=request.scope["trace"])


Giving = Annotated[Commands, Depends(commands_of)]


def own(fields: Mapping[str, Any], *, said_by: str = "key", **named: str) -> Mapping[str, Any]:
    """Return the fields with what the address names, and the merchant, which is `said_by` key or address.

    Raises:
        Problem: the body names another.
    """
    for field, value in named.items():
        if fields.get(field, value) not in (None, value):
            of = said_by if field == "merchant" else "address"
            raise invalid(field, f"is not the one of the {of}, and may be left out")
    return {**fields, **named}


def refusal(told: Told, *, path: str = "") -> Problem:
    """Return what stands against a command: a field of it, or what is known."""
    errors = [FieldError(field=f"{path}{error.field}", reason=error.reason) for error in told.errors]
    return Problem(CONFLICT if told.conflict else INVALID, errors=errors)
