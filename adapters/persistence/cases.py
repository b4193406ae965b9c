"""Cases: one open case of a kind for a subject, opened and closed with an event each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import letters
from adapters.persistence.amounts import DIGITS_OF_CASE
from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.outbox import Named
from domain.model.case import CaseKind, CaseOpening
from domain.model.event import Event, EventType
from domain.model.mail import CaseNews, Letter
from domain.model.money import Currency
from domain.rules.mails import letters_of_case

_OPENED: Final = Columns(
    "c",
    kind="text",
    subject="bigint",
    merchant="text",
    order_id="bigint",
    known="text",
    provider_says="text",
    amount_at_risk="numeric",
    at_risk="text",
    currency="text",
    deadline="timestamptz",
    details="jsonb",
    actor="text",
    mailed="boolean",
)
_TOLD: Final = f"""
c.id, c.kind, c.merchant, c.order_id, c.known, c.provider_says, c.amount_at_risk, c.currency, c.deadline,
{DIGITS_OF_CASE}, (SELECT reference FROM orders o WHERE o.id = c.order_id)
"""
_OPEN: Final = f"""
WITH opened AS (
    INSERT INTO cases (kind, subject, merchant, order_id, known, provider_says, amount_at_risk, currency, deadline,
                       details, opened_at, opened_by, mailed)
    SELECT c.kind, c.subject, c.merchant, c.order_id, c.known, c.provider_says, c.amount_at_risk, c.currency,
           c.deadline, c.details::jsonb, %(now)s, c.actor,
           CASE WHEN c.mailed THEN EXISTS (SELECT FROM merchants m WHERE m.id = c.merchant AND m.email IS NOT NULL) END
    FROM {_OPENED.table}
    ON CONFLICT (subject, kind) WHERE closed_at IS NULL DO NOTHING
    RETURNING *
), entered AS (
    INSERT INTO case_entries (case_id, at, actor, kind, note, details)
    SELECT k.id, %(now)s, k.opened_by, 'opened', k.known,
           jsonb_build_object('provider_says', k.provider_says, 'amount_at_risk', (
               SELECT c.at_risk FROM {_OPENED.table} WHERE c.subject = k.subject AND c.kind = k.kind
                AND c.amount_at_risk = k.amount_at_risk LIMIT 1))
    FROM opened k
)
SELECT {_TOLD}, c.mailed, (SELECT {letters.CORRESPONDENT} FROM merchants m WHERE m.id = c.merchant) FROM opened c
"""
# A finding joins the open case, unless it says what the case knows: a provider that is away is found so every minute.
# What is at risk stays as it was found first, but for the finding that nothing is any more.
_JOIN: Final = f"""
WITH joined AS (
    SELECT DISTINCT ON (k.id, c.known, c.provider_says, c.at_risk)
           k.id, c.known, c.actor, k.provider_says AS said_before, c.provider_says, c.deadline, c.amount_at_risk,
           c.details::jsonb AS details,
           jsonb_build_object('provider_says', c.provider_says, 'amount_at_risk', c.at_risk) AS says
    FROM {_OPENED.table} JOIN cases k ON k.subject = c.subject AND k.kind = c.kind AND k.closed_at IS NULL
    WHERE NOT EXISTS (
        SELECT FROM case_entries e WHERE e.case_id = k.id AND e.note = c.known AND e.kind IN ('opened', 'finding')
         AND e.details @> jsonb_build_object('provider_says', c.provider_says, 'amount_at_risk', c.at_risk))
), entered AS (
    INSERT INTO case_entries (case_id, at, actor, kind, note, details)
    SELECT j.id, %(now)s, j.actor, 'finding', j.known,
           j.details || j.says || jsonb_build_object('before', jsonb_build_object('provider_says', j.said_before))
    FROM joined j
)
UPDATE cases k SET provider_says = coalesce(j.provider_says, k.provider_says),
    deadline = coalesce(j.deadline, k.deadline),
    amount_at_risk = CASE WHEN j.amount_at_risk = 0 THEN 0 ELSE k.amount_at_risk END
FROM joined j WHERE k.id = j.id
"""

_CLOSED: Final = Columns("c", subject="bigint", kind="text", note="text", closed_by="text", step="jsonb")
# What a person did stands in the record as a step of its own; what the facts led to, in the closing.
_CLOSE: Final = f"""
WITH closed AS (
    UPDATE cases k SET closed_at = %(now)s, closed_by = c.closed_by, note = c.note
    FROM {_CLOSED.table} WHERE k.subject = c.subject AND k.kind = c.kind AND k.closed_at IS NULL
    RETURNING k.*, c.step::jsonb AS step
), entered AS (
    INSERT INTO case_entries (case_id, at, actor, kind, note, details)
    SELECT k.id, %(now)s, k.closed_by, e.kind, k.note, e.details
    FROM closed k CROSS JOIN LATERAL (
        SELECT 1 AS place, 'action' AS kind, k.step AS details WHERE k.step -> 'action' IS NOT NULL
        UNION ALL SELECT 2, 'closed', CASE WHEN k.step -> 'action' IS NULL THEN k.step ELSE '{{}}' END
    ) e ORDER BY k.id, e.place
)
SELECT {_TOLD}, c.note, c.closed_by FROM closed c
"""
_ENTRY: Final = """
INSERT INTO case_entries (case_id, at, actor, kind, note, details)
VALUES (%(case)s, %(now)s, %(actor)s, 'action', %(note)s, %(details)s::jsonb)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a case is about: its subject, whose it is, and which rule found it."""

    subject: int
    merchant: str | None
    order_id: int | None
    currency: Currency | None
    actor: str = "system"
    mailed: bool = True  # whether mails tell of it, to whomever it concerns


def open_cases(
    connection: Connection, openings: Iterable[tuple[About, CaseOpening]], *, now: datetime
) -> Sequence[Named]:
    """Open cases where none of the kind is open for the subject, with mails; return the events that tell of them.

    Where one is open, what is found joins it.
    """
    rows = [
        (
            opening.kind,
            about.subject,
            about.merchant,
            about.order_id,
            opening.known,
            opening.provider_says,
            opening.amount_at_risk,
            _written(opening.amount_at_risk, about.currency),
            None if about.currency is None else about.currency.code,
            opening.deadline,
            to_json(dict(opening.details)),
            about.actor,
            about.mailed,
        )
        for about, opening in openings
    ]
    if not rows:
        return []
    opened = run(connection, _OPEN, _OPENED.parameters(rows, now=now)).fetchall()
    if len(opened) < len(rows):
        run(connection, _JOIN, _OPENED.parameters(rows, now=now))
    letters.write(connection, [letter for row in opened if row[11] is not None for letter in _letters(row)], now=now)
    return [_told(row, EventType.CASE_OPENED, "opened") for row in opened if _is_told(row)]


def close_cases(
    connection: Connection,
    closures: Iterable[tuple[int, CaseKind, str | None, str]],
    *,
    now: datetime,
    steps: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
) -> Sequence[Named]:
    """Close the open cases of (subject, kind, note, closed by); return the events that tell of them.

    `steps` is {subject: {action, before, after}}, where that is known; without an action, the facts close the case.
    """
    rows = [(*closure, to_json(dict(steps.get(closure[0], {})))) for closure in closures]
    if not rows:
        return []
    closed = run(connection, _CLOSE, _CLOSED.parameters(rows, now=now))
    return [
        _told(row, EventType.CASE_CLOSED, "closed", note=row[11], closed_by=row[12]) for row in closed if _is_told(row)
    ]


def note_action(
    connection: Connection, case: int, *, actor: str, note: str, details: Mapping[str, Any], now: datetime
) -> None:
    """Keep what a person did about a case, and what was before and after it."""
    run(
        connection,
        _ENTRY,
        {"case": case, "now": now, "actor": actor, "note": note, "details": to_json(dict(details))},
    )


def _is_told(row: Any) -> bool:
    """Whether a callback tells of it. That callbacks do not arrive is no news for a callback."""
    return row[2] is not None and row[1] != CaseKind.UNDELIVERABLE


def _letters(row: Any) -> Sequence[Letter]:
    case, name, merchant, order_id, known, provider_says, amount, currency, deadline, digits, reference = row[:11]
    news = CaseNews(
        case=case,
        kind=CaseKind(name),
        merchant=merchant,
        order_id=order_id,
        order=reference,
        known=known,
        provider_says=provider_says,
        amount_at_risk=_written(amount, _currency(currency, digits)),
        currency=currency,
        deadline=deadline,
    )
    return letters_of_case(news, letters.correspondent_of(row[12]))


def _told(row: Any, kind: EventType, verb: str, **more: str | None) -> Named:
    case, name, merchant, order_id, known, provider_says, amount, currency, deadline, digits, reference = row[:11]
    data = {
        "merchant": merchant,
        "order": reference,
        "case": case,
        "kind": name,
        "known": known,
        "provider_says": provider_says,
        "amount_at_risk": _written(amount, _currency(currency, digits)),
        "currency": currency,
        "deadline": None if deadline is None else deadline.isoformat(),
        **more,
    }
    return Named(f"evt_case_{case}_{verb}", Event(type=kind, merchant=merchant, order_id=order_id, data=data))


def _currency(code: str | None, digits: int) -> Currency | None:
    return None if code is None else Currency(code, digits)


def _written(amount: Decimal | None, currency: Currency | None) -> str | None:
    return None if amount is None or currency is None else currency.render(amount)
