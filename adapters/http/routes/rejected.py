"""The sanity queue: transactions that master data did not allow, tried again or given up."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, Field
from starlette.responses import Response

from adapters.bootstrap import Told
from adapters.http import models
from adapters.http.addresses import address_of_rejected, address_of_retrigger
from adapters.http.commands import ACCEPTED, Giving, refusal
from adapters.http.cursors import page, place_of
from adapters.http.desk import Here, Merchant, Scope
from adapters.http.envelope import unmasked
from adapters.http.problems import CONFLICT, NOT_FOUND, Problem, invalid
from adapters.http.requests import body_of, body_with
from adapters.http.routing import USUAL, Cursor, Id, Limit, Moment, problems, resource, taking
from adapters.http.sanity_models import (
    MarkedFailed,
    RejectedTransaction,
    RejectedTransactionDetail,
    Retrigger,
    RetriggerKept,
)
from adapters.messages import BY_NAME
from adapters.messages.fields import identifier
from adapters.persistence import sanity_queue
from domain.model.command import FieldError, MarkFailed, RetriggerRejected
from domain.model.rejection import RejectionStatus, RejectionType

router = resource("sanity queue")

Customer = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(identifier)]
RetriggerName = Annotated[
    str,
    Path(min_length=1, max_length=128, description="The retrigger's name; a slash in it as %2F."),
    AfterValidator(lambda text: identifier(unmasked(text))),
]


@router.get(
    "/rejected-transactions",
    operation_id="getRejectedTransactions",
    response_model=models.Page[RejectedTransaction],
)
def show_all(  # noqa: PLR0917 - each is a filter of its own name
    desk: Here,
    scope: Scope,
    type_: Annotated[RejectionType | None, Query(alias="type", description="Whether it could be mended.")] = None,
    status: RejectionStatus | None = None,
    customer: Annotated[Customer | None, Query()] = None,
    since: Annotated[Moment | None, Query(alias="from", description="Rejected then or later.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Rejected before.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List rejected transactions, the youngest first."""
    before = place_of(cursor, parts=1)
    with desk.reading() as connection:
        rows = sanity_queue.page(
            connection,
            merchant=scope,
            status=status,
            type=type_,
            customer=customer,
            since=since,
            until=until,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    return page(rows, limit, key=("rejection",), item=dict)


# A number, so that the address that is called `retrigger` is none of these.
@router.get(
    "/rejected-transactions/{id:int}",
    operation_id="getRejectedTransaction",
    response_model=RejectedTransactionDetail,
    responses=problems(404),
)
def show(desk: Here, scope: Scope, id: Id) -> Any:  # noqa: A002 - the address's own name
    """Show one: why it was rejected, what became of it, and the order as it came."""
    with desk.reading() as connection:
        found = sanity_queue.one(connection, id, merchant=scope)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


@router.post(
    "/rejected-transactions/retrigger",
    operation_id="retriggerTransactionAdd",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": RetriggerKept}, **taking()},
    openapi_extra=body_of(RetriggerRejected.name),
)
def retrigger(commands: Giving) -> Response:
    """Check rejected transactions again, the named ones or all that are pending, and add what is completely fixed."""
    fields = commands.own()

    def work() -> Response:
        [told] = commands.tell(RetriggerRejected.name, [fields])
        if told.errors:
            raise refusal(told)
        name = str(fields["retrigger"])
        said = {"merchant": commands.merchant, "retrigger": name, "dry_run": fields.get("dry_run") or False}
        return commands.accepted({**said, "repeat": told.repeat}, address_of_retrigger(name))

    return commands.once(work)


@router.post(
    "/rejected-transactions/{id}/mark-failed",
    operation_id="markFailed",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": MarkedFailed}, **taking(404)},
    openapi_extra=body_with(BY_NAME[MarkFailed.name], without=("merchant", "transactions")),
)
def mark_failed(commands: Giving, id: Id) -> Response:  # noqa: A002
    """Give a rejected transaction up for good.

    One that became an order meanwhile is a conflict, and so is another note about one that has failed before.
    """
    if commands.body.get("transactions") not in (None, [id], [str(id)]):
        raise invalid("transactions", "is not the one of the address, and may be left out")
    fields = {**commands.own(), "transactions": [id]}
    with commands.desk.reading() as connection:
        if sanity_queue.merchants_of(connection, [id]).get(id) != commands.merchant:
            raise Problem(NOT_FOUND)

    def work() -> Response:
        [told] = commands.tell(MarkFailed.name, [fields])
        if told.errors:
            raise _of_mark(told)
        said = {"merchant": commands.merchant, "rejection": str(id), "repeat": told.repeat}
        return commands.accepted(said, address_of_rejected(id))

    return commands.once(work)


@router.get("/retriggers/{id}", operation_id="getReTriggerStatus", response_model=Retrigger, responses=problems(404))
def show_retrigger(
    desk: Here,
    merchant: Merchant,
    id: RetriggerName,  # noqa: A002
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """Say how far a retrigger is, and page by page what is still missing of those that it could not add."""
    after = place_of(cursor, parts=1) or (0,)
    with desk.reading() as connection:
        found = sanity_queue.retriggers(connection, id, merchant=merchant)
        if not found:
            raise Problem(NOT_FOUND)
        left = sanity_queue.findings(connection, found[0]["id"], only_open=True, after=after[0], limit=limit + 1)
    due = found[0]["next"]
    planned = None if due is None else {"action": due["kind"], "at": due["due_at"], "under_way": due["leased"]}
    return {**found[0], "next_action": planned, **page(left, limit, key=("rejection",), item=dict)}


def _of_mark(told: Told) -> Problem:
    """Say what stands against it: the transaction is there, so what is wrong with it is how it stands."""
    if all(error.field == "transactions" for error in told.errors):
        return Problem(CONFLICT, errors=[FieldError(field="id", reason=error.reason) for error in told.errors])
    return refusal(told)
