"""What people look at: reads for the command line, each one statement or a few, and none of them a claim."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.amounts import DIGITS_OF_CASE, written
from adapters.persistence.columns import run
from domain.model.money import Currency

Row = Mapping[str, Any]

_FIND: Final = """
SELECT o.id, o.merchant, o.reference AS "order" FROM orders o
WHERE o.reference = %(reference)s AND (%(merchant)s::text IS NULL OR o.merchant = %(merchant)s)
ORDER BY o.merchant LIMIT 10
"""
_ORDER: Final = """
SELECT o.merchant, o.reference AS "order", o.status, o.reason, o.canceled_by,
       o.cancel_by IS NOT NULL AS cancel_requested,
       o.amount, o.currency, o.digits, t.amount_received, t.amount_refunded, o.tolerance, o.kind, o.network, o.customer,
       o.created_at, o.registered_at, o.checkout_completed_at, o.changed_at, o.watching,
       t.provider, t.reference, t.state AS transaction, t.provider_status, t.confirmations, t.settled, t.secured_at,
       t.reversal, o.trimmed_to
FROM orders o JOIN transactions t ON t.order_id = o.id WHERE o.id = %(id)s
"""
_PARTS: Final[Mapping[str, str]] = {
    "attempts": "SELECT id, state, reason, at FROM attempts WHERE order_id = %(id)s ORDER BY position",
    "operations": "SELECT id, kind, state, amount, at FROM operations WHERE order_id = %(id)s ORDER BY at, id",
    "intents": (
        "SELECT number, effect, key, confirmed, refused_in, asked AS in_doubt_once, created_at, answered_at"
        " FROM intents WHERE order_id = %(id)s ORDER BY number"
    ),
    "cases": (
        "SELECT id, kind, known, opened_at, closed_at, closed_by, note FROM cases"
        " WHERE order_id = %(id)s OR subject = %(id)s ORDER BY id"
    ),
}
# Changes of status come after what was noted in the same transaction and led to them.
_TIMELINE: Final = """
SELECT at, 'status' AS kind, sequence, actor, trace,
       jsonb_build_object('from', previous, 'to', status, 'reason', reason, 'by', canceled_by) AS detail, 1 AS rank
FROM history WHERE order_id = %(id)s
UNION ALL
SELECT at, kind, id, actor, trace, detail, 0 FROM timeline WHERE order_id = %(id)s
ORDER BY 1, 7, 3
"""
# What was done last to the endpoint of a lane, if that was to disable it.
_DISABLED: Final = """
LEFT JOIN endpoints e ON l.family = 'endpoint' AND e.lane = l.id
LEFT JOIN LATERAL (
    SELECT x.step, x.actor, x.details ->> 'why' AS why FROM endpoint_entries x
    WHERE x.endpoint = e.id AND x.step IN ('enabled', 'disabled') ORDER BY x.id DESC LIMIT 1
) s ON s.step = 'disabled' AND NOT e.enabled
"""
# A rest that is over holds nothing up.
_REST: Final = "CASE WHEN l.paused_until > now() THEN l.paused_until END AS paused_until"
_DUE: Final = f"""
SELECT d.kind, d.due_at, d.step, d.claims, d.generation, d.lease IS NOT NULL AND d.due_at > now() AS leased,
       d.last_error, d.due_at <= now() AS is_due, l.family, l.name AS lane, l.paused, {_REST}, l.failures,
       l.no_effects, l.shadow, NOT e.enabled AS disabled, s.actor AS disabled_by, s.why AS disabled_why, now() AS now
FROM due_work d LEFT JOIN lanes l ON l.id = d.lane {_DISABLED} WHERE d.subject = %(id)s
"""
_OPEN_CASES: Final = f"""
SELECT c.id, c.kind, c.known, c.provider_says, c.amount_at_risk, c.currency, {DIGITS_OF_CASE} AS digits, c.opened_at
FROM cases c WHERE (c.subject = %(id)s OR c.order_id = %(id)s) AND c.closed_at IS NULL ORDER BY c.id
"""

_BACKLOG: Final = """
SELECT d.kind, l.family, l.name AS lane,
       count(*) FILTER (WHERE d.due_at <= now()) AS due,
       extract(epoch FROM now() - min(d.due_at) FILTER (WHERE d.due_at <= now()))::float AS oldest_seconds,
       count(*) FILTER (WHERE d.lease IS NOT NULL AND d.due_at > now()) AS leased,
       count(*) FILTER (WHERE d.claims >= 3) AS suspects,
       count(*) FILTER (WHERE d.lease IS NULL AND d.due_at > now()) AS later
FROM due_work d LEFT JOIN lanes l ON l.id = d.lane
GROUP BY d.kind, l.family, l.name ORDER BY l.family, l.name, d.kind
"""
_LANES: Final = f"""
SELECT l.family, l.name AS lane, l.paused, {_REST}, l.failures, l.no_effects, l.shadow,
       NOT e.enabled AS disabled, s.actor AS disabled_by, s.why AS disabled_why
FROM lanes l {_DISABLED}
WHERE (l.paused OR l.paused_until > now() OR l.failures > 0 OR l.no_effects OR l.shadow) AND e.removed_at IS NULL
ORDER BY l.family, l.name
"""
_CASES_BY_KIND: Final = """
SELECT kind, count(*) AS open, min(opened_at) AS oldest FROM cases WHERE closed_at IS NULL GROUP BY kind ORDER BY kind
"""
# By merchants: who has much there needs a word, and perhaps master data.
_SANITY: Final = """
SELECT coalesce(j.merchant, g.merchant) AS merchant, coalesce(j.pending, 0) AS pending, j.oldest,
       extract(epoch FROM now() - j.oldest)::float AS oldest_seconds, coalesce(g.open, 0) AS retriggers_open
FROM (SELECT merchant, count(*) AS pending, min(rejected_at) AS oldest FROM rejections WHERE status = 'PENDING'
      GROUP BY merchant) j
FULL JOIN (SELECT merchant, count(*) AS open FROM retriggers WHERE finished_at IS NULL GROUP BY merchant) g
     USING (merchant)
ORDER BY 1
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM inbox WHERE state = 'waiting') AS commands_waiting,
       (SELECT count(*) FROM refused_messages) AS messages_refused,
       (SELECT count(*) FROM refused_messages WHERE command IS NOT NULL) AS commands_refused,
       (SELECT count(*) FROM due_work WHERE kind = 'deliver') AS callback_streams_pending
"""

_CASE_FIELDS: Final = f"""
c.id, c.kind, c.merchant, o.reference AS "order", c.subject, c.known, c.provider_says, c.amount_at_risk, c.currency,
{DIGITS_OF_CASE} AS digits, c.deadline, c.details, c.opened_at, c.opened_by, c.closed_at, c.closed_by, c.note
"""
_CASES: Final = f"""
SELECT {_CASE_FIELDS} FROM cases c LEFT JOIN orders o ON o.id = c.order_id
WHERE (%(all)s OR c.closed_at IS NULL) AND (%(kind)s::text IS NULL OR c.kind = %(kind)s)
  AND (%(merchant)s::text IS NULL OR c.merchant = %(merchant)s)
ORDER BY c.id DESC LIMIT %(limit)s
"""
# What the case stands for, if it is the only thing that keeps it from going dark.
_CASE: Final = f"""
SELECT {_CASE_FIELDS}, coalesce(v.provider, t.provider) AS provider, coalesce(v.reference, t.reference) AS payment,
       o.id AS order_id, o.status, o.watching, v.id AS reversal, v.outcome, s.id AS stream, i.id AS command,
       i.merchant AS command_merchant, coalesce(e.lane, m.id) AS lane, n.enabled AS endpoint_enabled,
       d.subject IS NOT NULL AS planned, d.kind AS planned_kind, o.cancel_by IS NOT NULL AS cancel_requested,
       o.amount, t.amount_received, t.amount_refunded, t.provider_status AS provider_says_now
FROM cases c
LEFT JOIN due_work d ON d.subject = c.subject
LEFT JOIN endpoints n ON n.id = c.subject
LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN transactions t ON t.order_id = o.id
LEFT JOIN reversals v ON v.id = c.subject
LEFT JOIN streams s ON s.id = c.subject
LEFT JOIN endpoints e ON e.id = s.endpoint
LEFT JOIN inbox i ON i.id = c.subject AND c.kind = 'STUCK' AND i.state = 'waiting'
LEFT JOIN lanes m ON m.family = 'merchant' AND m.name = i.merchant
WHERE c.id = %(id)s
"""
_CASE_ENTRIES: Final = """
SELECT at, kind, actor, trace, note, details FROM case_entries WHERE case_id = %(case)s ORDER BY id
"""
_CALLBACKS: Final = """
SELECT s.id AS stream, e.merchant, o.reference AS "order", e.url, e.enabled, v.event AS last_tried,
       d.state, d.tries, d.status, d.error, d.last_tried_at, w.due_at AS next_try
FROM streams s JOIN endpoints e ON e.id = s.endpoint
LEFT JOIN orders o ON o.id = s.order_id
LEFT JOIN due_work w ON w.subject = s.id
LEFT JOIN LATERAL (SELECT * FROM deliveries d WHERE d.stream = s.id ORDER BY d.event_row DESC LIMIT 1) d ON true
LEFT JOIN events v ON v.id = d.event_row
WHERE (%(merchant)s::text IS NULL OR e.merchant = %(merchant)s) AND (%(all)s OR w.subject IS NOT NULL)
ORDER BY s.id DESC LIMIT %(limit)s
"""


def find_orders(connection: Connection, reference: str, merchant: str | None) -> Sequence[Row]:
    """Return the orders of that reference, one for each merchant that has it."""
    return _rows(connection, _FIND, reference=reference, merchant=merchant)


def order(connection: Connection, id: int) -> Row:  # noqa: A002 - the field's own name
    """Return an order with its transaction, its parts and its timeline."""
    [found] = _rows(connection, _ORDER, id=id)
    parts = {name: _rows(connection, statement, id=id) for name, statement in _PARTS.items()}
    currency = Currency(found["currency"], found["digits"])
    operations = [{**one, "amount": currency.render(one["amount"])} for one in parts["operations"]]
    timeline = [{k: v for k, v in row.items() if k != "rank"} for row in _rows(connection, _TIMELINE, id=id)]
    amounts = written(found, "amount", "amount_received", "amount_refunded", "tolerance")
    return {**amounts, **parts, "operations": operations, "timeline": timeline}


def due_of(connection: Connection, subject: int) -> Row | None:
    """Return what is planned for a subject, and how its lane is."""
    return next(iter(_rows(connection, _DUE, id=subject)), None)


def open_cases_of(connection: Connection, subject: int) -> Sequence[Row]:
    """Return the open cases of a subject; of an order, also those of what belongs to it, as its payment's reversal."""
    return [written(row, "amount_at_risk") for row in _rows(connection, _OPEN_CASES, id=subject)]


def backlog(connection: Connection) -> Row:
    """Return what waits, by kind and lane, and what stands in its way."""
    return {
        "work": _rows(connection, _BACKLOG),
        "lanes": _rows(connection, _LANES),
        "cases": _rows(connection, _CASES_BY_KIND),
        "sanity_queues": _rows(connection, _SANITY),
        **_rows(connection, _COUNTS)[0],
    }


def cases(
    connection: Connection,
    *,
    merchant: str | None,
    kind: str | None,
    closed: bool,
    limit: int,
) -> Sequence[Row]:
    """Return cases, the youngest first; with `closed`, those too that are closed."""
    found = _rows(connection, _CASES, merchant=merchant, kind=kind, all=closed, limit=limit)
    return [written(row, "amount_at_risk") for row in found]


def case(connection: Connection, id: int) -> Row | None:  # noqa: A002 - the field's own name
    amounts = ("amount_at_risk", "amount", "amount_received", "amount_refunded")
    return next((written(row, *amounts) for row in _rows(connection, _CASE, id=id)), None)


def case_entries(connection: Connection, case: int) -> Sequence[Row]:
    """Return every step of a case, the oldest first."""
    return _rows(connection, _CASE_ENTRIES, case=case)


def callbacks(connection: Connection, *, merchant: str | None, delivered: bool, limit: int) -> Sequence[Row]:
    """Return streams with the last event that was tried, the youngest first; with `delivered`, quiet ones too."""
    return _rows(connection, _CALLBACKS, merchant=merchant, all=delivered, limit=limit)


def now(connection: Connection) -> datetime:
    """Return the store's clock, which decides everything."""
    read: datetime = run(connection, "SELECT now()").scalar_one()
    return read


def _rows(connection: Connection, statement: str, **parameters: Any) -> Sequence[Row]:
    return [dict(row) for row in run(connection, statement, parameters).mappings()]
