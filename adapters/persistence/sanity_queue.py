"""The sanity queue as people look at it: page by page, and the last page comes as fast as the first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import queries
from adapters.persistence.columns import run
from adapters.persistence.queries import Row

_FIELDS: Final = """
j.id AS rejection, j.merchant, j."order", j.provider, j.reference, j.customer, j.bill_number, j.bill_date,
j.created_at, j.source, j.type, j.status,
(SELECT jsonb_agg(jsonb_build_object('kind', r -> 'kind', 'key', r -> 'key', 'message', r -> 'message'))
 FROM jsonb_array_elements(j.reasons) r) AS reasons,
j.rejected_at, j.decided_at, j.decided_by, j.note, g.name AS retrigger
"""
_FROM: Final = "FROM rejections j LEFT JOIN retriggers g ON g.id = j.retrigger"
# A condition stands in the statement only where it is asked for, so that each has the plan that it deserves.
_FILTERS: Final[Mapping[str, str]] = {
    "merchant": "j.merchant = %(merchant)s",
    "status": "j.status = %(status)s",
    "type": "j.type = %(type)s",
    "customer": "j.customer = %(customer)s",
    "since": "j.rejected_at >= %(since)s",
    "until": "j.rejected_at < %(until)s",
    "before": "j.id < %(before)s",
}
_CALLED: Final = f"""
SELECT {_FIELDS} {_FROM} WHERE j."order" = %(order)s AND (%(merchant)s::text IS NULL OR j.merchant = %(merchant)s)
ORDER BY j.merchant LIMIT 10
"""
_NOT_ADDED: Final = f"""
SELECT {_FIELDS} {_FROM}
WHERE j.merchant = %(merchant)s AND j."order" = ANY(%(orders)s::text[]) AND j.status <> 'REPROCESSED'
"""
_BODY: Final = "SELECT body FROM rejections WHERE id = %(id)s"
_RETRIGGER: Final = """
SELECT g.id, g.merchant, g.name AS retrigger, g.origin, g.dry_run, g.actor, g.started_at, g.finished_at,
       CASE WHEN g.finished_at IS NULL THEN 'running' ELSE 'done' END AS state,
       g.total, g.total - g.added - g.already_added - g.rejected - g.failed AS waiting,
       g.added, g.already_added, g.rejected AS still_rejected, g.failed
FROM retriggers g
"""
_BY_NAME: Final = f"""
{_RETRIGGER} WHERE g.name = %(name)s AND (%(merchant)s::text IS NULL OR g.merchant = %(merchant)s) ORDER BY g.merchant
"""
_LATEST: Final = f"""
{_RETRIGGER} WHERE (%(merchant)s::text IS NULL OR g.merchant = %(merchant)s) ORDER BY g.id DESC LIMIT %(limit)s
"""
_ITEMS: Final = """
SELECT i.rejection, j."order", coalesce(i.outcome, 'waiting') AS outcome, i.reasons, i.why
FROM retrigger_items i LEFT JOIN rejections j ON j.id = i.rejection
WHERE i.retrigger = %(id)s AND i.rejection > %(after)s AND (NOT %(open)s OR i.outcome IN ('rejected', 'failed'))
ORDER BY i.rejection LIMIT %(limit)s
"""
_ENTRIES: Final = """
SELECT m.key, m.type, m.options, m.version, m.changed_by, m.changed_at FROM master_data m
WHERE m.merchant = %(merchant)s AND m.kind = %(kind)s AND m.key > %(after)s ORDER BY m.key LIMIT %(limit)s
"""
_VERSION: Final = """
SELECT v.version, v.actor AS changed_by, v.at AS changed_at FROM master_data_versions v
WHERE v.merchant = %(merchant)s AND v.kind = %(kind)s ORDER BY v.version DESC LIMIT 1
"""


def page(
    connection: Connection,
    *,
    merchant: str | None = None,
    status: str | None = None,
    type: str | None = None,  # noqa: A002 - the field's own name
    customer: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[Row]:
    """Return rejected transactions, the youngest first; `before` is the last id of the page that went before."""
    given: dict[str, Any] = {
        "merchant": merchant,
        "status": status,
        "type": type,
        "customer": customer,
        "since": since,
        "until": until,
        "before": before,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    where = " AND ".join(_FILTERS[name] for name in asked) or "true"
    statement = f"SELECT {_FIELDS} {_FROM} WHERE {where} ORDER BY j.id DESC LIMIT %(limit)s"
    return _rows(connection, statement, **asked, limit=limit)


def one(connection: Connection, id: int, *, merchant: str | None = None) -> Row | None:  # noqa: A002
    """Return a rejected transaction with the message that it came in; None if the merchant has none of this id."""
    found = _rows(connection, f"SELECT {_FIELDS} {_FROM} WHERE j.id = %(id)s", id=id)
    if not found or merchant not in {None, found[0]["merchant"]}:
        return None
    return {**found[0], **_rows(connection, _BODY, id=id)[0]}


def called(connection: Connection, order: str, *, merchant: str | None = None) -> Sequence[Row]:
    """Return the rejected transactions whose order has this name, one for each merchant that has it."""
    return _rows(connection, _CALLED, order=order, merchant=merchant)


def not_added(connection: Connection, merchant: str, orders: Sequence[str]) -> Sequence[Row]:
    """Return the rejected transactions of these orders of the merchant's that have not become orders since."""
    return _rows(connection, _NOT_ADDED, merchant=merchant, orders=list(orders))


def merchants_of(connection: Connection, ids: Sequence[int]) -> Mapping[int, str]:
    """Return {id: merchant} of those of these rejected transactions that there are."""
    statement = "SELECT id, merchant FROM rejections WHERE id = ANY(%(ids)s::bigint[])"
    return {row[0]: row[1] for row in run(connection, statement, {"ids": list(ids)})}


def retriggers(connection: Connection, name: str, *, merchant: str | None = None) -> Sequence[Row]:
    """Return how far the retriggers of this name are, one for each merchant that has it."""
    found = _rows(connection, _BY_NAME, name=name, merchant=merchant)
    return [{**row, "next": queries.due_of(connection, row["id"])} for row in found]


def latest_retriggers(connection: Connection, *, merchant: str | None = None, limit: int) -> Sequence[Row]:
    """Return retriggers, the youngest first."""
    return _rows(connection, _LATEST, merchant=merchant, limit=limit)


def findings(
    connection: Connection, retrigger: int, *, only_open: bool = False, after: int = 0, limit: int
) -> Sequence[Row]:
    """Return what a retrigger found of each; with `only_open`, of those that are not added."""
    return _rows(connection, _ITEMS, id=retrigger, open=only_open, after=after, limit=limit)


def master_data(connection: Connection, merchant: str, kind: str, *, after: str = "", limit: int) -> Sequence[Row]:
    """Return the entries of one kind, by their keys; `after` is the last key of the page that went before."""
    return _rows(connection, _ENTRIES, merchant=merchant, kind=kind, after=after, limit=limit)


def master_data_version(connection: Connection, merchant: str, kind: str) -> Row | None:
    """Return the latest version of one kind, who made it, and when."""
    return next(iter(_rows(connection, _VERSION, merchant=merchant, kind=kind)), None)


def _rows(connection: Connection, statement: str, **parameters: Any) -> Sequence[Row]:
    return [dict(row) for row in run(connection, statement, parameters).mappings()]
