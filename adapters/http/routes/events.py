"""Events, as a feed to catch up with; and the callbacks that carry them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import Depends, Path
from fastapi.responses import JSONResponse
from pydantic import AfterValidator
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from adapters.administration.acting import Person
from adapters.administration.merchants import Unusable
from adapters.administration.redelivering import RangeRedelivering, Redelivering, note, wanted_of
from adapters.http import models
from adapters.http.answering import Once, Single
from adapters.http.commands import ACCEPTED
from adapters.http.cursors import cursor_of, page, place_of
from adapters.http.desk import Desk, Here, Merchant, Scope
from adapters.http.fieldless import FIELDLESS
from adapters.http.ownership import Fields
from adapters.http.problems import INVALID, NOT_FOUND, Problem, invalid
from adapters.http.requests import NO_FIELDS, body_with
from adapters.http.routing import USUAL, Cursor, Limit, resource, taking
from adapters.messages.fields import identifier
from adapters.persistence import listings, redeliveries
from domain.model.due_work import Work

router = resource("events")

EventName = Annotated[
    str, Path(min_length=1, max_length=200, description="The event's name."), AfterValidator(identifier)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """Somebody asks for deliveries once more, by the fields of the body."""

    desk: Desk
    scope: str | None
    fields: Mapping[str, Any]
    once: Once
    trace: str

    def wanted(self, model: type[Redelivering]) -> tuple[redeliveries.Wanted, Redelivering]:
        """Return what is asked for.

        Raises:
            Problem: a field cannot be used.
        """
        try:
            return wanted_of(self.desk.engine, self.fields, merchant=self.scope, model=model)
        except Unusable as error:
            raise Problem(INVALID, errors=error.errors) from None

    def carry_out(self, work: Callable[[Engine, redeliveries.Wanted], int], wanted: redeliveries.Wanted) -> Response:
        """Make due what is wanted, keep that it was asked for, and answer how much it is."""
        deliveries = work(self.desk.engine, wanted)
        person = Person(actor=self.once.caller.actor, trace=self.trace)
        note(self.desk.engine, wanted.endpoint, person, {**self.fields, "deliveries": deliveries})
        return _redelivered(self.desk, deliveries)


def redelivery_of(request: Request, desk: Here, scope: Scope, fields: Fields, once: Single) -> Redelivery:
    return Redelivery(desk=desk, scope=scope, fields=fields, once=once, trace=request.scope["trace"])


Redeliver = Annotated[Redelivery, Depends(redelivery_of)]


@router.get("/events", operation_id="listEvents", response_model=models.Feed)
def show_events(
    desk: Here,
    merchant: Merchant,
    after: Cursor = None,
    cursor: Cursor = None,
    limit: Limit = USUAL,
) -> Any:
    """List a merchant's events from the beginning or `after` a cursor; nothing ever appears behind a cursor.

    `cursor` says the same as `after`, as in every list.
    """
    place = place_of(after or cursor, parts=2, field="after" if after else "cursor")
    with desk.reading() as connection:
        rows = listings.events(connection, merchant=merchant, limit=limit, after=place)
    last = (rows[-1]["transaction"], rows[-1]["id"]) if rows else place
    return {
        "items": [{"event": row["event"], **json.loads(row["body"])} for row in rows],
        "next_cursor": None if last is None else cursor_of(last),
    }


@router.get("/callbacks", operation_id="listCallbacks", response_model=models.Page[models.Callback])
def show_callbacks(
    desk: Here,
    merchant: Merchant,
    state: Literal["pending", "delivered", "failed"] | None = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List callbacks, those of the youngest events first."""
    before = place_of(cursor, parts=3)
    with desk.reading() as connection:
        rows = listings.callbacks(connection, merchant=merchant, state=state, limit=limit + 1, before=before)
    return page(rows, limit, key=("transaction", "id", "stream"), item=lambda row: {**row, "id": row["event"]})


# Before the route with a name in it, which would take these for names.
@router.post(
    "/callbacks/redeliver-failed",
    operation_id="redeliverFailed",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": models.Redelivery}, **taking()},
    openapi_extra=body_with(Redelivering),
)
def redeliver_failed(asking: Redeliver) -> Response:
    """Deliver once more what was given up, where it was given up: all of it, or what the body leaves in."""
    wanted, _ = asking.wanted(Redelivering)
    return asking.once(lambda: asking.carry_out(redeliveries.redeliver_failed, wanted))


@router.post(
    "/callbacks/redeliver",
    operation_id="redeliverRange",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": models.Redelivery}, **taking()},
    openapi_extra=body_with(RangeRedelivering),
)
def redeliver_range(asking: Redeliver) -> Response:
    """Deliver once more what happened, be it delivered or not: from a time on, or behind a cursor of the feed."""
    wanted, said = asking.wanted(RangeRedelivering)
    after = getattr(said, "after", None)
    if after is None and wanted.since is None:
        raise invalid("from", "is required, or `after`: a redelivery of all there is has `after` empty")
    if wanted.merchant is None and wanted.endpoint is None:
        raise invalid("merchant", "is required of operators, or an `endpoint`")
    place = place_of(after, parts=2, field="after") if after else None
    return asking.once(lambda: asking.carry_out(redeliveries.redeliver_range, replace(wanted, after=place or (0, 0))))


@router.post(
    "/callbacks/{id}/redeliver",
    operation_id="redeliver",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": models.Redelivery}, **taking(404)},
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def redeliver(desk: Here, scope: Scope, once: Single, id: EventName) -> Response:  # noqa: A002
    """Deliver an event once more, to every endpoint that gets it; one that waits in its stream is tried at once."""

    def work() -> Response:
        with desk.engine.begin() as connection:
            found = redeliveries.find(connection, id, scope)
            if not found:
                raise Problem(NOT_FOUND)
            deliveries = redeliveries.redeliver(connection, found)
        return _redelivered(desk, deliveries)

    return once(work)


def _redelivered(desk: Here, deliveries: int) -> Response:
    desk.application.hint(Work.DELIVER)
    return JSONResponse({"deliveries": deliveries}, status_code=ACCEPTED)
