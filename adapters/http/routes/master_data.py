"""Master data: what a merchant's bills may name, under the version that last said it."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from adapters.http.addresses import address_of_master_data
from adapters.http.commands import ACCEPTED, Giving, refusal
from adapters.http.cursors import page, word_of
from adapters.http.desk import Here, Merchant
from adapters.http.requests import body_with
from adapters.http.routing import USUAL, Limit, resource, taking
from adapters.http.sanity_models import MasterData, MasterDataKept
from adapters.messages import BY_NAME
from adapters.persistence import sanity_queue
from domain.model.command import PutMasterData
from domain.model.master_data import MasterKind

router = resource("master data")

# A key may be 128 characters of four bytes each.
KeyCursor = Annotated[
    str | None, Query(max_length=800, pattern="^[A-Za-z0-9_-]*$", description="`next_cursor` of the page before.")
]


@router.put(
    "/master-data/{kind}",
    operation_id="putMasterData",
    status_code=ACCEPTED,
    responses={ACCEPTED: {"model": MasterDataKept}, **taking()},
    openapi_extra=body_with(BY_NAME[PutMasterData.name], without=("merchant", "kind")),
)
def put(commands: Giving, kind: MasterKind) -> Response:
    """Say what bills may name from now on; keys that are not named stay as they are."""
    fields = commands.own(kind=kind.value)

    def work() -> Response:
        [told] = commands.tell(PutMasterData.name, [fields])
        if told.errors:
            raise refusal(told)
        said = {"merchant": commands.merchant, "kind": kind.value, "repeat": told.repeat}
        return commands.accepted(said, address_of_master_data(kind))

    return commands.once(work)


@router.get("/master-data/{kind}", operation_id="getMasterData", response_model=MasterData)
def show(desk: Here, merchant: Merchant, kind: MasterKind, limit: Limit = USUAL, cursor: KeyCursor = None) -> Any:
    """Show what bills may name, by its keys: each with the version that last changed it, by whom, and when."""
    after = word_of(cursor)
    with desk.reading() as connection:
        version = sanity_queue.master_data_version(connection, merchant, kind)
        rows = sanity_queue.master_data(connection, merchant, kind, after=after, limit=limit + 1)
    latest = version or {"version": 0, "changed_by": None, "changed_at": None}
    return {"merchant": merchant, "kind": kind, **latest, **page(rows, limit, key=("key",), item=dict)}
