"""Cases: one open case of a kind for a subject, opened and closed with an event each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.outbox import Named
from domain.model.case import CaseKind, CaseOpening
from domain.model.event import Event, EventType

_OPENED: Final = Columns(
    "c",
    kind="text",
    subject="bigint",
    merchant="text",
    order_id="bigint",
    known="text",
    provider_says="text",
    amount_at_risk="numeric",
    currency="text",
    details="jsonb",
)
_RETURNED: Final = "k.id, k.kind, k.merchant, k.order_id, k.known, k.provider_says, k.amount_at_risk, k.currency"
_OPEN: Final = f"""
INSERT INTO cases AS k (kind, subject, merchant, order_id, known, provider_says, amount_at_risk, currency, details,
                        opened_at)
SELECT c.kind, c.subject, c.merchant, c.order_id, c.known, c.provider_says, c.amount_at_risk, c.currency,
       c.details::jsonb, %(now)s
FROM {_OPENED.table}
ON CONFLICT (subject, kind) WHERE closed_at IS NULL DO NOTHING
RETURNING {_RETURNED}, (SELECT reference FROM orders o WHERE o.id = k.order_id)
"""

_CLOSED: Final = Columns("c", subject="bigint", kind="text", note="text", closed_by="text")
_CLOSE: Final = f"""
UPDATE cases k SET closed_at = %(now)s, closed_by = c.closed_by, note = c.note
FROM {_CLOSED.table} WHERE k.subject = c.subject AND k.kind = c.kind AND k.closed_at IS NULL
RETURNING {_RETURNED}, (SELECT reference FROM orders o WHERE o.id = k.order_id), k.note, k.closed_by
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a case is about: its subject, and whose it is."""

    subject: int
    merchant: str | None
    order_id: int | None
    currency: str | None
    digits: int = 18
    mailed: bool = True  # whether mails tell of it


def open_cases(
    connection: Connection, openings: Iterable[tuple[About, CaseOpening]], *, now: datetime
) -> Sequence[Named]:
    """Open cases where none of the kind is open for the subject; return the events that tell of them."""
    rows = [
        (
            opening.kind,
            about.subject,
            about.merchant,
            about.order_id,
            opening.known,
            opening.provider_says,
            opening.amount_at_risk,
            about.currency,
            to_json(dict(opening.details)),
        )
        for about, opening in openings
    ]
    if not rows:
        return []
    opened = run(connection, _OPEN, _OPENED.parameters(rows, now=now))
    return [_told(row, EventType.CASE_OPENED, "opened") for row in opened if _is_told(row)]


def close_cases(
    connection: Connection, closures: Iterable[tuple[int, CaseKind, str | None, str]], *, now: datetime
) -> Sequence[Named]:
    """Close the open cases of (subject, kind, note, closed by); return the events that tell of them."""
    rows = [(subject, kind, note, closed_by) for subject, kind, note, closed_by in closures]
    if not rows:
        return []
    closed = run(connection, _CLOSE, _CLOSED.parameters(rows, now=now))
    return [
        _told(row, EventType.CASE_CLOSED, "closed", note=row[9], closed_by=row[10]) for row in closed if _is_told(row)
    ]


def _is_told(row: Any) -> bool:
    """Whether a callback tells of it. That callbacks do not arrive is no news for a callback."""
    return row[2] is not None and row[1] != CaseKind.UNDELIVERABLE


def _told(row: Any, kind: EventType, verb: str, **more: str | None) -> Named:
    case, name, merchant, order_id, known, provider_says, amount, currency, reference = row[:9]
    data = {
        "merchant": merchant,
        "order": reference,
        "case": case,
        "kind": name,
        "known": known,
        "provider_says": provider_says,
        "amount_at_risk": _plain(amount),
        "currency": currency,
        **more,
    }
    return Named(f"evt_case_{case}_{verb}", Event(type=kind, merchant=merchant, order_id=order_id, data=data))


def _plain(amount: Decimal | None) -> str | None:
    """NUMERIC(38,18) brings eighteen decimals along; those that say nothing are left out."""
    if amount is None:
        return None
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
