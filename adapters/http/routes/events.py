"""Events, as a feed to catch up with; and the callbacks that carry them."""

import json
from typing import Annotated, Any, Literal

from fastapi import Path
from fastapi.responses import JSONResponse
from pydantic import AfterValidator
from starlette.responses import Response

from adapters.http import models
from adapters.http.answering import Single
from adapters.http.commands import ACCEPTED
from adapters.http.cursors import cursor_of, page, place_of
from adapters.http.desk import Here, Merchant, Scope
from adapters.http.problems import NOT_FOUND, Problem
from adapters.http.requests import NO_FIELDS
from adapters.http.routing import USUAL, Cursor, Limit, resource, taking
from adapters.messages.fields import identifier
from adapters.persistence import listings, redeliveries
from domain.model.due_work import Work

router = resource("events")

EventName = Annotated[
    str, Path(min_length=1, max_length=200, description="The event's name."), AfterValidator(identifier)
]


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


# Before the route with a name in it, which would take this for a name.
@router.post(
    "/callbacks/redeliver-failed",
    operation_id="redeliverFailed",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": models.Redelivery}, **taking()},
    openapi_extra=NO_FIELDS,
)
def redeliver_failed(desk: Here, scope: Scope, once: Single) -> Response:
    """Deliver once more all that was given up, of a merchant or of all."""

    def work() -> Response:
        deliveries = 0
        while True:
            with desk.engine.begin() as connection:
                failed = redeliveries.failed(connection, scope)
                deliveries += redeliveries.redeliver(connection, failed)
            if len(failed) < redeliveries.MOST:
                break
        return _redelivered(desk, deliveries)

    return once(work)


@router.post(
    "/callbacks/{id}/redeliver",
    operation_id="redeliver",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": models.Redelivery}, **taking(404)},
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
