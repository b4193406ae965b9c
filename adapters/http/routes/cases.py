"""Cases: what no rule could decide, and what a person made of it."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Strict, ValidationError
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from adapters.administration.acting import Person
from adapters.administration.cases import CaseStaysOpen, Command, UnknownCase, close_case, show_case
from adapters.http import models
from adapters.http.answering import Body, Single
from adapters.http.cursors import page, place_of
from adapters.http.desk import Desk, Here, Scope
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem
from adapters.http.requests import body_with
from adapters.http.routing import USUAL, Cursor, Id, Limit, problems, resource, taking
from adapters.messages.fields import Grounds
from adapters.messages.reasons import field_errors
from adapters.persistence import listings
from domain.model.command import FieldError
from domain.rules.case_actions import Action

router = resource("cases")


class Closing(BaseModel):
    """What was found out, and what is to be done: one of the `actions` that the case names.

    `resolve` and `resume` are short for the actions that settle its order, and that take up again what was given up.
    """

    model_config = ConfigDict(strict=True)

    note: Grounds
    action: Annotated[Action, Strict(strict=False)] | None = None
    resolve: bool = False
    resume: bool = False


@router.get("/cases", operation_id="listCases", response_model=models.Page[models.Case])
def show_all(
    desk: Here,
    scope: Scope,
    is_open: Annotated[bool | None, Query(alias="open", description="Only open ones, or only closed ones.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List cases, the youngest first."""
    before = place_of(cursor, parts=1)
    with desk.reading() as connection:
        rows = listings.cases(connection, limit=limit + 1, before=before, merchant=scope, is_open=is_open)
    return page(rows, limit, key=("id",), item=dict)


@router.get("/cases/{id}", operation_id="getCase", response_model=models.CaseDetail, responses=problems(404))
def show(desk: Here, scope: Scope, id: Id) -> Any:  # noqa: A002 - the address's own name
    """Show one case: what it means, every step of it, and what can be done now."""
    try:
        with desk.reading() as connection:
            return show_case(connection, id, scope)
    except UnknownCase:
        raise Problem(NOT_FOUND) from None


@router.post(
    "/cases/{id}/close",
    operation_id="closeCase",
    response_model=models.Case,
    responses=taking(404),
    openapi_extra=body_with(Closing),
)
def close(request: Request, desk: Here, scope: Scope, body: Body, once: Single, id: Id) -> Response:  # noqa: A002
    """Close a case with a note; what it stood for must have ended or go on."""
    try:
        closing = Closing.model_validate(dict(body))
    except ValidationError as error:
        raise Problem(INVALID, errors=field_errors(error)) from None
    command = _commands(desk, trace=request.scope["trace"], actor=once.caller.actor)

    def work() -> Response:
        person = Person(actor=once.caller.actor, trace=request.scope["trace"])
        _close(desk.engine, id, closing, person=person, command=command, merchant=scope)
        with desk.reading() as connection:
            found = listings.case(connection, id, scope)
        return JSONResponse(models.Case.model_validate(found).model_dump(mode="json"))

    return once(work)


def _commands(desk: Desk, *, trace: str, actor: str) -> Command:
    """Return how a command is given in the name of who calls."""

    def command(name: str, fields: Mapping[str, str]) -> Sequence[FieldError]:
        # A key of its own: asking for the same a second time is no repeat.
        key = f"case:{secrets.token_hex(8)}"
        [told] = desk.application.tell(name, [fields], trace=trace, channel="http", actor=actor, key=key)
        return told.errors

    return command


def _close(
    engine: Engine, case: int, closing: Closing, *, person: Person, command: Command, merchant: str | None
) -> None:
    try:
        close_case(
            engine,
            case,
            note=closing.note,
            action=closing.action,
            resolve=closing.resolve,
            resume=closing.resume,
            actor=person.actor,
            trace=person.trace,
            command=command,
            merchant=merchant,
        )
    except UnknownCase:
        raise Problem(NOT_FOUND) from None
    except CaseStaysOpen as error:
        raise Problem(CONFLICT, errors=(FieldError(field=error.field, reason=error.reason),)) from None
