"""Reversals: opened once for a payment, read whole, and written a wave at a time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, outbox
from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.lanes import SqlLanes
from domain.model.due_work import Claim, Due, LaneFamily
from domain.model.money import Currency
from domain.model.reversal import LastAnswer, Reversal, ReversalDecision, TimeoutCause
from domain.model.transaction import Effect, Intent, ReversalOutcome
from domain.rules.reversing import ACTOR

_SELECT: Final = """
SELECT r.id, r.merchant, r.provider, r.reference, r.amount, r.currency, r.digits, r.response_code, r.cause, r."order",
       r.occurred_at, r.settles_at, r.reported_at, r.attempts, r.on_record, r.last_answer, r.last_asked_at,
       r.provider_status, r.outcome, r.ended_at, r.version,
       n.number, n.key, n.confirmed, n.refused_in, n.asked
FROM reversals r
LEFT JOIN LATERAL (
    SELECT * FROM reversal_intents n WHERE n.reversal_id = r.id ORDER BY n.number DESC LIMIT 1
) n ON true
"""
_BY_ID: Final = f"{_SELECT} WHERE r.id = ANY(%(ids)s::bigint[])"
_LOCK_DUE: Final = "SELECT subject FROM due_work WHERE subject = %(id)s FOR UPDATE"
_LOCK_MANY: Final = "SELECT id FROM reversals WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE"
_LOCK: Final = f"{_SELECT} WHERE r.provider = %(provider)s AND r.reference = %(reference)s FOR UPDATE OF r"

_OPEN: Final = """
INSERT INTO reversals (id, merchant, provider, reference, amount, currency, digits, response_code, cause, "order",
                       occurred_at, settles_at, reported_at, actor, trace)
VALUES (%(id)s, %(merchant)s, %(provider)s, %(reference)s, %(amount)s, %(currency)s, %(digits)s, %(response_code)s,
        %(cause)s, %(order)s, %(occurred_at)s, %(settles_at)s, %(reported_at)s, %(actor)s, %(trace)s)
"""

_CHANGED: Final = Columns(
    "c",
    id="bigint",
    attempts="int",
    on_record="boolean",
    last_answer="text",
    last_asked_at="timestamptz",
    provider_status="text",
    outcome="text",
    ended_at="timestamptz",
)
_UPDATE: Final = f"""
UPDATE reversals r SET attempts = c.attempts, on_record = c.on_record, last_answer = c.last_answer,
    last_asked_at = c.last_asked_at, provider_status = c.provider_status, outcome = c.outcome, ended_at = c.ended_at,
    version = r.version + 1
FROM {_CHANGED.table} WHERE r.id = c.id
"""
_ATTEMPTS: Final = Columns(
    "c", id="bigint", asked="text", key="text", answer="jsonb", decided="text", next_at="timestamptz"
)
_INSERT_ATTEMPTS: Final = f"""
INSERT INTO reversal_attempts (reversal_id, at, asked, key, answer, decided, next_at)
SELECT c.id, %(now)s, c.asked, c.key, c.answer::jsonb, c.decided, c.next_at FROM {_ATTEMPTS.table}
"""
_INTENTS: Final = Columns(
    "c", id="bigint", number="int", key="text", confirmed="boolean", refused_in="text", asked="boolean"
)
_UPSERT_INTENTS: Final = f"""
INSERT INTO reversal_intents (reversal_id, number, key, confirmed, refused_in, asked, created_at)
SELECT c.id, c.number, c.key, c.confirmed, c.refused_in, c.asked, %(now)s FROM {_INTENTS.table}
ON CONFLICT (reversal_id, number) DO UPDATE SET confirmed = excluded.confirmed, refused_in = excluded.refused_in,
    asked = excluded.asked,
    answered_at = CASE WHEN excluded.confirmed OR excluded.refused_in IS NOT NULL THEN %(now)s END
"""


class SqlReversals:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._now = now
        self._trace = trace

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Reversal]:
        return {row[0]: _reversal(row) for row in run(self._connection, _BY_ID, {"ids": list(ids)})}

    def lock(self, provider: str, reference: str) -> Reversal | None:
        row = run(self._connection, _LOCK, {"provider": provider, "reference": reference}).first()
        if row is None:
            return None
        # The due row last: waves lock in this order too.
        run(self._connection, _LOCK_DUE, {"id": row[0]})
        return _reversal(row)

    def lock_many(self, ids: Sequence[int]) -> None:
        run(self._connection, _LOCK_MANY, {"ids": list(ids)})

    def open(self, reversal: Reversal, due: Due, *, actor: str) -> None:
        run(
            self._connection,
            _OPEN,
            {
                "id": reversal.id,
                "merchant": reversal.merchant,
                "provider": reversal.provider,
                "reference": reversal.reference,
                "amount": reversal.amount,
                "currency": reversal.currency.code,
                "digits": reversal.currency.digits,
                "response_code": reversal.response_code,
                "cause": reversal.cause,
                "order": reversal.order,
                "occurred_at": reversal.occurred_at,
                "settles_at": reversal.settles_at,
                "reported_at": reversal.reported_at,
                "actor": actor,
                "trace": self._trace,
            },
        )
        self.plan(reversal, due)

    def plan(self, reversal: Reversal, due: Due) -> None:
        lane = SqlLanes(self._connection, self._now).ids(LaneFamily.PROVIDER, [reversal.provider])[reversal.provider]
        SqlDueWork(self._connection, self._now).plan([(reversal.id, lane, due)])

    def apply(self, decisions: Sequence[ReversalDecision], claim: Claim) -> Sequence[int]:
        if not decisions:
            return []
        held = SqlDueWork(self._connection, self._now).settle(claim, [(d.row, d.due) for d in decisions])
        saved = [decision for decision in decisions if decision.reversal.id in held]
        self._write(saved)
        return [decision.reversal.id for decision in saved]

    def _write(self, decisions: Sequence[ReversalDecision]) -> None:
        now = self._now
        self._each(_UPDATE, _CHANGED, (_changed(d.reversal) for d in decisions if d.reversal != d.before))
        self._each(_INSERT_ATTEMPTS, _ATTEMPTS, _attempts(decisions), now=now)
        self._each(_UPSERT_INTENTS, _INTENTS, _intents(decisions), now=now)
        told = [outbox.Named(f"evt_reversal_{d.reversal.id}_ended", d.event) for d in decisions if d.event is not None]
        openings = [(_about(d), opening) for d in decisions for opening in d.openings]
        told += cases.open_cases(self._connection, openings, now=now)
        outbox.store(self._connection, told, now=now)

    def _each(self, statement: str, columns: Columns, rows: Iterable[Sequence[Any]], **others: Any) -> None:
        rows = list(rows)
        if rows:
            run(self._connection, statement, columns.parameters(rows, **others))


def _about(decision: ReversalDecision) -> cases.About:
    reversal = decision.reversal
    return cases.About(
        subject=reversal.id,
        merchant=reversal.merchant,
        order_id=decision.order_id,
        currency=reversal.currency,
        actor=ACTOR,
    )


def _changed(reversal: Reversal) -> tuple[Any, ...]:
    return (
        reversal.id,
        reversal.attempts,
        reversal.on_record,
        reversal.last_answer,
        reversal.last_asked_at,
        reversal.provider_status,
        reversal.outcome,
        reversal.ended_at,
    )


def _attempts(decisions: Sequence[ReversalDecision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        if d.attempt is not None:
            a = d.attempt
            yield d.reversal.id, a.asked, a.key, to_json(dict(a.answer)), a.decided, a.next_at


def _intents(decisions: Sequence[ReversalDecision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        for i in d.intents:
            yield d.reversal.id, i.number, i.key, i.confirmed, i.refused_in, i.asked


def _reversal(row: Any) -> Reversal:
    (
        key, merchant, provider, reference, amount, currency, digits, response_code, cause, order,
        occurred_at, settles_at, reported_at, attempts, on_record, last_answer, last_asked_at,
        provider_status, outcome, ended_at, version, *intent,
    ) = row  # fmt: skip
    return Reversal(
        id=key,
        merchant=merchant,
        provider=provider,
        reference=reference,
        amount=amount,
        currency=Currency(currency, digits),
        response_code=response_code,
        cause=None if cause is None else TimeoutCause(cause),
        order=order,
        occurred_at=occurred_at,
        settles_at=settles_at,
        reported_at=reported_at,
        attempts=attempts,
        on_record=on_record,
        last_answer=None if last_answer is None else LastAnswer(last_answer),
        last_asked_at=last_asked_at,
        provider_status=provider_status,
        intent=_intent(intent),
        outcome=None if outcome is None else ReversalOutcome(outcome),
        ended_at=ended_at,
        version=version,
    )


def _intent(row: Sequence[Any]) -> Intent | None:
    number, key, confirmed, refused_in, asked = row
    if number is None:
        return None
    return Intent(effect=Effect.VOID, number=number, key=key, confirmed=confirmed, refused_in=refused_in, asked=asked)
