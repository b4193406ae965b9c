"""Timed-out transactions as people look at them: found by their payment, listed page by page, shown whole."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import queries
from adapters.persistence.amounts import written
from adapters.persistence.columns import run, to_json
from adapters.persistence.queries import Row

# `order` is what the report called it, unless the payment is an order's own; only then has it a status.
_FIELDS: Final = """
r.id, r.merchant, r.provider, r.reference, coalesce(o.reference, r."order") AS "order", o.status AS order_status,
r.amount, r.currency, r.digits, r.response_code, r.cause, r.occurred_at, r.settles_at, r.reported_at,
r.outcome, r.ended_at, r.attempts, r.on_record, r.last_answer, r.last_asked_at, r.provider_status AS provider_says
"""
_FROM: Final = """
FROM reversals r
LEFT JOIN transactions t ON t.provider = r.provider AND t.reference = r.reference
LEFT JOIN orders o ON o.id = t.order_id
"""
_FIND: Final = """
SELECT r.id, r.merchant, r.provider FROM reversals r
WHERE r.reference = %(reference)s AND (%(provider)s::text IS NULL OR r.provider = %(provider)s)
  AND (%(merchant)s::text IS NULL OR r.merchant = %(merchant)s)
ORDER BY r.provider, r.merchant LIMIT 10
"""
# A condition stands in the statement only where it is asked for, so that each has the plan that it deserves.
_FILTERS: Final[Mapping[str, str]] = {
    "merchant": "r.merchant = %(merchant)s",
    "provider": "r.provider = %(provider)s",
    "outcome": "r.outcome = %(outcome)s",
    "open": "(r.outcome IS NULL) = %(open)s",
    "before": "r.id < %(before)s",
}
_ONE: Final = f"""
SELECT {_FIELDS}, r.actor, r.trace {_FROM} WHERE r.id = %(id)s
"""
_PARTS: Final[Mapping[str, str]] = {
    "attempts_made": (
        "SELECT at, asked, key, answer, decided, next_at FROM reversal_attempts WHERE reversal_id = %(id)s ORDER BY id"
    ),
    "intents": (
        "SELECT number, key, confirmed, refused_in, asked AS in_doubt_once, created_at, answered_at"
        " FROM reversal_intents WHERE reversal_id = %(id)s ORDER BY number"
    ),
    "cases": (
        "SELECT id, kind, known, opened_at, closed_at, closed_by, note FROM cases WHERE subject = %(id)s ORDER BY id"
    ),
}
# The report as it was kept, under its own key: whoever gave the command another one is not found.
_REPORTED: Final = """
SELECT i.body ->> 'settles_at' FROM inbox i
WHERE i.merchant = %(merchant)s AND i.name = 'intake.report_timeout' AND i.key = %(key)s
"""


def find(
    connection: Connection, reference: str, *, provider: str | None = None, merchant: str | None = None
) -> Sequence[Row]:
    """Return (id, merchant, provider) of the reversals of that reference, one for each provider that has it."""
    return _rows(connection, _FIND, reference=reference, provider=provider, merchant=merchant)


def page(
    connection: Connection,
    *,
    merchant: str | None = None,
    provider: str | None = None,
    outcome: str | None = None,
    is_open: bool | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[Row]:
    """Return reversals, the youngest first; `before` is the last id of the page that went before."""
    given: dict[str, Any] = {
        "merchant": merchant,
        "provider": provider,
        "outcome": outcome,
        "open": is_open,
        "before": before,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    where = " AND ".join(_FILTERS[name] for name in asked) or "true"
    statement = f"SELECT {_FIELDS} {_FROM} WHERE {where} ORDER BY r.id DESC LIMIT %(limit)s"
    return [written(row, "amount") for row in _rows(connection, statement, **asked, limit=limit)]


def one(connection: Connection, id: int) -> Row:  # noqa: A002 - the field's own name
    """Return a reversal with every attempt, every intent and every case, and what is planned for it (`next`).

    `attempts` counts the queries that were answered with a record; `attempts_made` are all.
    """
    found = written(_rows(connection, _ONE, id=id)[0], "amount")
    parts = {name: _rows(connection, statement, id=id) for name, statement in _PARTS.items()}
    return {**found, **parts, "next": queries.due_of(connection, id)}


def settlement_was_reported(connection: Connection, found: Row) -> bool | None:
    """Whether the settlement time came with the report; None where the report is not to be found any more."""
    key = to_json([found["provider"], found["reference"]])
    kept = run(connection, _REPORTED, {"merchant": found["merchant"], "key": key}).first()
    return None if kept is None else kept[0] is not None


def _rows(connection: Connection, statement: str, **parameters: Any) -> Sequence[Row]:
    return [dict(row) for row in run(connection, statement, parameters).mappings()]
