"""Commands by HTTP: stored in the database before they are answered, then hinted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from adapters.bootstrap import Told
from adapters.http.answering import Body, Once, Single
from adapters.http.desk import Desk, Here, Merchant
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem, invalid
from adapters.persistence import listings
from domain.model.command import FieldError

PREFIX: Final = "/v1"
ACCEPTED: Final = 202
# These are named by what they say, so that saying it again is a repeat; under a request's own key it is said anew.
_NAMED_BY_REQUEST: Final = frozenset({"intake.cancel_order", "intake.resolve_order", "intake.poll_order"})


class Accepted(BaseModel):
    """It is kept. `repeat` says that the same was kept before, and that nothing happened now."""

    merchant: str
    order: str
    repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Gives commands for a merchant in the name of who calls."""

    desk: Desk
    merchant: str
    body: Mapping[str, Any]
    once: Once
    trace: str

    def about_order(self, name: str, order: str) -> Response:
        """Give a command about one order that is known; its fields are the body's."""
        fields = own(self.body, merchant=self.merchant, order=order)
        with self.desk.reading() as connection:
            if listings.order_id(connection, self.merchant, order) is None:
                raise Problem(NOT_FOUND)

        def work() -> Response:
            [told] = self.tell(name, [fields])
            if told.errors:
                raise refusal(told)
            return accepted({"merchant": self.merchant, "order": order, "repeat": told.repeat}, address_of(order))

        return self.once(work)

    def tell(self, name: str, many: Sequence[Mapping[str, Any]]) -> Sequence[Told]:
        """Keep commands of one name; return what became of each."""
        named = self.once.key is not None and name in _NAMED_BY_REQUEST
        key = f"idempotency-key:{self.once.key}" if named else None
        return self.desk.application.tell(
            name, many, trace=self.trace, channel="http", actor=self.once.caller.actor, key=key
        )


def commands_of(request: Request, desk: Here, merchant: Merchant, body: Body, once: Single) -> Commands:
    return Commands(desk=desk, merchant=merchant, body=body, once=once, trace=request.scope["trace"])


Giving = Annotated[Commands, Depends(commands_of)]


def own(fields: Mapping[str, Any], **named: str) -> Mapping[str, Any]:
    """Return the fields with what the key and the address name.

    Raises:
        Problem: the body names another.
    """
    for field, value in named.items():
        if fields.get(field, value) not in (None, value):
            of = "key" if field == "merchant" else "address"
            raise invalid(field, f"is not the one of the {of}, and may be left out")
    return {**fields, **named}


def refusal(told: Told, *, path: str = "") -> Problem:
    """Return what stands against a command: a field of it, or what is known."""
    errors = [FieldError(field=f"{path}{error.field}", reason=error.reason) for error in told.errors]
    return Problem(CONFLICT if told.conflict else INVALID, errors=errors)


def accepted(body: Mapping[str, Any], address: str | None = None) -> Response:
    return JSONResponse(body, status_code=ACCEPTED, headers={} if address is None else {"Location": address})


def address_of(order: str) -> str:
    return f"{PREFIX}/orders/{quote(order, safe='')}"
