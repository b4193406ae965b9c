"""Reversals in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.due_work import Claim, Due, LaneFamily
from domain.model.reversal import Reversal, ReversalDecision
from domain.ports.persistence import Conflict
from domain.rules.reversing import ACTOR
from tests.fakes.checks import check, check_reversal
from tests.fakes.due_work import FakeDueWork
from tests.fakes.outbox import About, open_case, tell
from tests.fakes.rows import AttemptRow, Tables


class FakeReversals:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]", due_work: FakeDueWork) -> None:
        self._tables = tables
        self._now = now
        self._ids = ids
        self._due_work = due_work

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Reversal]:
        return {key: self._tables.reversals[key] for key in ids if key in self._tables.reversals}

    def lock(self, provider: str, reference: str) -> Reversal | None:
        wanted = (provider, reference)
        return next((r for r in self._tables.reversals.values() if (r.provider, r.reference) == wanted), None)

    def lock_many(self, ids: Sequence[int]) -> None:
        """One unit of work at a time: nobody else is there."""

    def open(self, reversal: Reversal, due: Due, *, actor: str) -> None:  # noqa: ARG002 - shown to people only
        check_reversal(self._tables, reversal)
        if self.lock(reversal.provider, reversal.reference) is not None:
            raise Conflict(reversal.reference)
        self._tables.reversals[reversal.id] = reversal
        self.plan(reversal, due)

    def plan(self, reversal: Reversal, due: Due) -> None:
        lanes = self._tables.lanes.items()
        wanted = (LaneFamily.PROVIDER, reversal.provider)
        lane = next(key for key, lane in lanes if (lane.family, lane.name) == wanted)
        self._due_work.plan(reversal.id, lane, due)

    def apply(self, decisions: Sequence[ReversalDecision], claim: Claim) -> Sequence[int]:
        held = self._due_work.settle(claim, [(decision.row, decision.due) for decision in decisions])
        saved = [decision for decision in decisions if decision.reversal.id in held]
        for decision in saved:
            self._write(decision)
        return [decision.reversal.id for decision in saved]

    def _write(self, decision: ReversalDecision) -> None:
        tables, now = self._tables, self._now
        reversal = decision.reversal
        if reversal != decision.before:
            check_reversal(tables, reversal)
            tables.reversals[reversal.id] = replace(reversal, version=tables.reversals[reversal.id].version + 1)
        if decision.attempt is not None:
            a = decision.attempt
            row = AttemptRow(
                reversal_id=reversal.id,
                at=now,
                asked=a.asked,
                key=a.key,
                answer=dict(a.answer),
                decided=a.decided,
                next_at=a.next_at,
            )
            check("ck_reversal_attempts_void_under_a_key", holds=(row.asked == "void") == (row.key is not None))
            tables.reversal_attempts.append(row)
        for intent in decision.intents:
            check("ck_reversal_intents_one_outcome", holds=not intent.confirmed or intent.refused_in is None)
            tables.reversal_intents[reversal.id, intent.number] = intent
        if decision.event is not None:
            tell(tables, self._ids, f"evt_reversal_{reversal.id}_ended", decision.event, now=now, sequence=None)
        about = About(
            subject=reversal.id,
            merchant=reversal.merchant,
            order_id=decision.order_id,
            currency=reversal.currency,
            actor=ACTOR,
        )
        for opening in decision.openings:
            open_case(tables, self._ids, about, opening, now=now)
