"""Transactions that timed out: reporting them, and how far undoing them is."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AfterValidator
from sqlalchemy import Connection
from starlette.responses import Response

from adapters.http import models
from adapters.http.addresses import address_of_timeout
from adapters.http.commands import ACCEPTED, Giving, refusal
from adapters.http.cursors import page, place_of
from adapters.http.desk import Here, Scope
from adapters.http.envelope import unmasked
from adapters.http.fieldless import FIELDLESS
from adapters.http.problems import NOT_FOUND, Problem, invalid
from adapters.http.requests import NO_FIELDS, body_with
from adapters.http.routing import USUAL, Cursor, Limit, Word, problems, resource, taking
from adapters.http.timeout_models import Timeout, TimeoutDetail, TimeoutKept
from adapters.messages import BY_NAME
from adapters.messages.fields import identifier
from adapters.persistence import timeouts
from domain.model.command import ReportTimeout, ReverseNow
from domain.model.transaction import ReversalOutcome

router = resource("timeouts")

Reference = Annotated[
    str,
    Path(min_length=1, max_length=128, description="The payment's id at its provider; a slash in it as %2F."),
    AfterValidator(lambda text: identifier(unmasked(text))),
]
Provider = Annotated[Word | None, Query(description="Needed where two providers have the reference.")]
_KEPT: Final[Mapping[str, Any]] = {"status_code": ACCEPTED}


@router.post(
    "/timeouts",
    operation_id="reportTimeout",
    responses={ACCEPTED: {"model": TimeoutKept}, **taking()},
    openapi_extra=body_with(BY_NAME[ReportTimeout.name], without=("merchant",)),
    **_KEPT,
)
def report(commands: Giving) -> Response:
    """Report a payment, cancel or void that got no adequate answer; the first report of a payment stands."""
    fields = commands.own()
    return commands.once(lambda: _tell(commands, ReportTimeout.name, fields))


@router.get("/timeouts", operation_id="listTimeouts", response_model=models.Page[Timeout])
def show_all(
    desk: Here,
    scope: Scope,
    outcome: Annotated[ReversalOutcome | None, Query(description="Only those that ended like this.")] = None,
    provider: Annotated[Word | None, Query()] = None,
    is_open: Annotated[
        bool | None, Query(alias="open", description="Only those that go on, or only those that have ended.")
    ] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List reported timeouts, the youngest first."""
    before = place_of(cursor, parts=1)
    with desk.reading() as connection:
        rows = timeouts.page(
            connection,
            merchant=scope,
            provider=provider,
            outcome=outcome,
            is_open=is_open,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    return page(rows, limit, key=("id",), item=dict)


@router.get("/timeouts/{reference}", operation_id="getTimeout", response_model=TimeoutDetail, responses=problems(404))
def show(desk: Here, scope: Scope, reference: Reference, provider: Provider = None) -> Any:
    """Show one: what was reported, every attempt with what the query said, and what happens next."""
    with desk.reading() as connection:
        found = timeouts.one(connection, _found(connection, reference, provider, scope)["id"])
    due = found["next"]
    planned = None if due is None else {"action": due["kind"], "at": due["due_at"], "under_way": due["leased"]}
    return {**found, "voids": found["intents"], "next_action": planned}


@router.post(
    "/timeouts/{reference}/reverse-now",
    operation_id="reverseNow",
    responses={ACCEPTED: {"model": TimeoutKept}, **taking(404)},
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
    **_KEPT,
)
def reverse_now(commands: Giving, reference: Reference, provider: Provider = None) -> Response:
    """Bring the next attempt forward to now; it asks first, whatever was planned."""
    with commands.desk.reading() as connection:
        found = _found(connection, reference, provider, commands.merchant)
    fields = {"merchant": commands.merchant, "provider": found["provider"], "reference": reference}
    return commands.once(lambda: _tell(commands, ReverseNow.name, fields))


def _tell(commands: Giving, name: str, fields: Mapping[str, Any]) -> Response:
    [told] = commands.tell(name, [fields])
    if told.errors:
        raise refusal(told)
    named = {part: str(fields[part]) for part in ("merchant", "provider", "reference")}
    return commands.accepted(
        {**named, "repeat": told.repeat}, address_of_timeout(named["provider"], named["reference"])
    )


def _found(connection: Connection, reference: str, provider: str | None, merchant: str | None) -> Mapping[str, Any]:
    """Return the one that is meant.

    Raises:
        Problem: there is none, or several and no provider was said.
    """
    found = timeouts.find(connection, reference, provider=provider, merchant=merchant)
    if not found:
        raise Problem(NOT_FOUND)
    if len(found) > 1:
        names = ", ".join(row["provider"] for row in found)
        raise invalid("provider", f"is required, for several have this reference: {names}")
    return found[0]
