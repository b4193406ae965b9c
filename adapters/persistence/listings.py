"""What HTTP shows, page by page: by key and never by offset, so that nothing moves under who turns the pages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.amounts import DIGITS_OF_CASE, written
from adapters.persistence.columns import run

Row = Mapping[str, Any]
Place = tuple[int, ...]  # where a page ends: the key of its last row

_ORDERS: Final = """
SELECT o.id, o.merchant, o.reference AS "order", o.status, o.reason, o.canceled_by,
       o.cancel_by IS NOT NULL AS cancel_requested, o.amount, t.amount_received, t.amount_refunded, o.currency,
       o.digits, t.provider, t.reference, o.created_at, o.registered_at, o.changed_at
FROM orders o JOIN transactions t ON t.order_id = o.id
WHERE {where} ORDER BY o.id DESC LIMIT %(limit)s
"""
_COMING: Final = """
SELECT EXISTS (SELECT FROM inbox WHERE merchant = %(merchant)s AND "order" = %(reference)s AND state = 'waiting'
               AND name = 'intake.register_order')
"""
_ID: Final = "SELECT id FROM orders WHERE merchant = %(merchant)s AND reference = %(reference)s"
# Changes of status come after what was noted in the same transaction and led to them.
_TIMELINE: Final = """
SELECT * FROM (
    SELECT h.at, 'status' AS kind, h.actor, h.trace,
           jsonb_build_object('from', h.previous, 'to', h.status, 'reason', h.reason, 'by', h.canceled_by) AS detail,
           (extract(epoch FROM h.at) * 1000000)::bigint AS moment, 1 AS rank, h.sequence::bigint AS position
    FROM history h WHERE h.order_id = %(order)s
    UNION ALL
    SELECT e.at, e.kind, e.actor, e.trace, e.detail, (extract(epoch FROM e.at) * 1000000)::bigint, 0, e.id
    FROM timeline e WHERE e.order_id = %(order)s
) x
WHERE (x.moment, x.rank, x.position) > (%(after_0)s, %(after_1)s, %(after_2)s)
ORDER BY x.moment, x.rank, x.position LIMIT %(limit)s
"""
_CASES: Final = f"""
SELECT c.id, c.kind, c.merchant, o.reference AS "order", c.known, c.provider_says, c.amount_at_risk, c.currency,
       {DIGITS_OF_CASE} AS digits, c.deadline, c.details, c.opened_at, c.closed_at, c.closed_by, c.note
FROM cases c LEFT JOIN orders o ON o.id = c.order_id
WHERE {{where}} ORDER BY c.id DESC LIMIT %(limit)s
"""
# Below the oldest transaction that still runs nothing can appear any more, so no cursor ever overtakes an event.
_EVENTS: Final = """
SELECT x.transaction, x.id, x.event, convert_from(x.body, 'UTF8') AS body FROM events x
WHERE x.merchant = %(merchant)s AND (x.transaction, x.id) > (%(after_0)s, %(after_1)s)
  AND x.transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY x.transaction, x.id LIMIT %(limit)s
"""
_CALLBACKS: Final = """
SELECT x.transaction, x.id, s.id AS stream, x.event, x.type, o.reference AS "order", e.url, e.enabled,
       coalesce(d.state, 'pending') AS state, coalesce(d.tries, 0) AS tries, d.status, d.error, d.last_tried_at,
       x.created_at, s.order_id IS NULL AND x.order_id IS NOT NULL AS redelivery
FROM events x JOIN endpoints e ON e.merchant = x.merchant
JOIN streams s ON s.endpoint = e.id AND s.key = ANY(ARRAY[coalesce(x.order_id, -x.id), -x.id]) AND s.start < x.id
LEFT JOIN deliveries d ON d.stream = s.id AND d.event_row = x.id
LEFT JOIN orders o ON o.id = x.order_id
WHERE (e.types IS NULL OR x.type = ANY(e.types) OR d.stream IS NOT NULL) AND {where}
ORDER BY x.transaction DESC, x.id DESC, s.id DESC LIMIT %(limit)s
"""
_STATES: Final = {
    "pending": "(d.state IS NULL OR d.state = 'pending')",
    "delivered": "d.state = 'delivered'",
    "failed": "d.state = 'failed'",
}
_REFUSED: Final = """
SELECT r.id, r.name, r.merchant, r."order", r.body, r.errors, r.channel, r.times, r.received_at, r.refused_at, r.command
FROM refused_messages r
WHERE {where} ORDER BY r.id DESC LIMIT %(limit)s
"""


def orders(
    connection: Connection,
    *,
    limit: int,
    before: Place | None,
    merchant: str | None,
    status: str | None = None,
    provider: str | None = None,
    created_after: datetime | None = None,
) -> Sequence[Row]:
    """Return orders, the youngest first."""
    given = {
        "o.merchant = %(merchant)s": merchant,
        "o.status = %(status)s": status,
        "t.provider = %(provider)s": provider,
        "o.created_at > %(created_after)s": created_after,
        "o.id < %(before_0)s": before,
    }
    others = {"merchant": merchant, "status": status, "provider": provider, "created_after": created_after}
    found = _page(connection, _ORDERS, given, limit, before=before, **others)
    return [written(row, "amount", "amount_received", "amount_refunded") for row in found]


def order_id(connection: Connection, merchant: str, reference: str) -> int | None:
    """Return the id of the merchant's order, if it is known."""
    found: int | None = run(connection, _ID, {"merchant": merchant, "reference": reference}).scalar_one_or_none()
    return found


def is_being_registered(connection: Connection, merchant: str, reference: str) -> bool:
    """Return whether the order's registration is kept and will be carried out in a moment."""
    return bool(run(connection, _COMING, {"merchant": merchant, "reference": reference}).scalar_one())


def timeline(connection: Connection, order: int, *, limit: int, after: Place | None) -> Sequence[Row]:
    """Return what happened to an order, the oldest first."""
    return _rows(connection, _TIMELINE, order=order, limit=limit, **_place("after", after or (0, 0, 0)))


def cases(
    connection: Connection, *, limit: int, before: Place | None, merchant: str | None, is_open: bool | None
) -> Sequence[Row]:
    """Return cases, the youngest first."""
    given = {
        "c.merchant = %(merchant)s": merchant,
        "c.id < %(before_0)s": before,
        "c.closed_at IS NULL": True if is_open else None,
        "c.closed_at IS NOT NULL": True if is_open is False else None,
    }
    found = _page(connection, _CASES, given, limit, before=before, merchant=merchant)
    return [written(row, "amount_at_risk") for row in found]


def case(connection: Connection, case: int, merchant: str | None) -> Row | None:
    """Return one case, of this merchant or of any."""
    given = {"c.id = %(case)s": case, "c.merchant = %(merchant)s": merchant}
    found = _page(connection, _CASES, given, 1, case=case, merchant=merchant)
    return next((written(row, "amount_at_risk") for row in found), None)


def events(connection: Connection, *, merchant: str, limit: int, after: Place | None) -> Sequence[Row]:
    """Return a merchant's events in the order in which they can be counted on to stay."""
    return _rows(connection, _EVENTS, merchant=merchant, limit=limit, **_place("after", after or (0, 0)))


def callbacks(
    connection: Connection, *, merchant: str, state: str | None, limit: int, before: Place | None
) -> Sequence[Row]:
    """Return each event's way to each endpoint, the youngest event first."""
    given = {
        "x.merchant = %(merchant)s": merchant,
        "(x.transaction, x.id, s.id) < (%(before_0)s, %(before_1)s, %(before_2)s)": before,
        _STATES.get(state or "", ""): state,
    }
    return _page(connection, _CALLBACKS, given, limit, before=before, merchant=merchant)


def refused(connection: Connection, *, limit: int, before: Place | None, merchant: str | None) -> Sequence[Row]:
    """Return what was refused, garbage and commands that were kept first alike, what was refused last first."""
    given = {"r.merchant = %(merchant)s": merchant, "r.id < %(before_0)s": before}
    return _page(connection, _REFUSED, given, limit, before=before, merchant=merchant)


def _page(
    connection: Connection,
    statement: str,
    given: Mapping[str, object],
    limit: int,
    *,
    before: Place | None = None,
    **parameters: object,
) -> Sequence[Row]:
    """Run a statement with those conditions whose value is given, so that each has a plan of its own."""
    where = " AND ".join(condition for condition, value in given.items() if value is not None) or "true"
    return _rows(connection, statement.format(where=where), limit=limit, **parameters, **_place("before", before or ()))


def _place(name: str, place: Place) -> dict[str, int]:
    return {f"{name}_{position}": part for position, part in enumerate(place)}


def _rows(connection: Connection, statement: str, **parameters: Any) -> Sequence[Row]:
    return [dict(row) for row in run(connection, statement, parameters).mappings()]
