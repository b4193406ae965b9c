"""Lanes and due work in memory, with the leases, generations and versions of the real ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count

from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Claim, Claimed, Due, Lane, LaneFamily, Work
from domain.rules.lanes import is_ready
from domain.rules.waiting import LONGEST_WAIT
from domain.usecases.drain import SUSPECT_AFTER
from tests.fakes.concluding import conclude
from tests.fakes.outbox import About, open_case
from tests.fakes.rows import DueRow, Tables

_tokens = count(1)


class FakeLanes:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]") -> None:
        self._tables = tables
        self._now = now
        self._ids = ids

    def ensure(self, family: LaneFamily, names: Iterable[str]) -> Mapping[str, int]:
        lanes = self._tables.lanes
        wanted = sorted(set(names))
        for name in wanted:
            if not any(lane.family is family and lane.name == name for lane in lanes.values()):
                lane = Lane(id=next(self._ids), family=family, name=name)
                lanes[lane.id] = lane
        return {lane.name: lane.id for lane in lanes.values() if lane.family is family and lane.name in wanted}

    def lock_due(self, works: Sequence[Work]) -> Sequence[Lane]:
        due = {r.lane for r in self._tables.due.values() if r.kind in works and r.due_at <= self._now}
        return [lane for key, lane in sorted(self._tables.lanes.items()) if key in due and is_ready(lane, self._now)]

    def lock(self, ids: Iterable[int]) -> Sequence[Lane]:
        return [self._tables.lanes[key] for key in sorted(set(ids)) if key in self._tables.lanes]

    def save(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            self._tables.lanes[lane.id] = replace(
                self._tables.lanes[lane.id],
                tokens=lane.tokens,
                refilled_at=lane.refilled_at,
                failures=lane.failures,
                paused_until=lane.paused_until,
            )


class FakeDueWork:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]") -> None:
        self._tables = tables
        self._now = now
        self._ids = ids

    def candidates(self, lanes: Mapping[int, Mapping[Work, int]]) -> Mapping[int, Mapping[Work, Sequence[Claimed]]]:
        found: dict[int, dict[Work, Sequence[Claimed]]] = {}
        for lane, works in lanes.items():
            for work, most in works.items():
                rows = [r for r in self._due(work) if r.lane == lane and r.claims < SUSPECT_AFTER][: max(most, 0)]
                if rows:
                    found.setdefault(lane, {})[work] = [_claimed(row) for row in rows]
        return found

    def suspects(self, lanes: Iterable[int], works: Sequence[Work]) -> Sequence[Claimed]:
        mine = set(lanes)
        rows = [r for work in works for r in self._due(work) if r.lane in mine and r.claims >= SUSPECT_AFTER]
        return [_claimed(row) for row in sorted(rows, key=lambda row: row.due_at)[:1]]

    def lease(self, rows: Sequence[Claimed], *, until: datetime, token: int | None = None) -> Claim:
        token = next(_tokens) if token is None else token
        due = self._tables.due
        for row in rows:
            old = due[row.subject]
            due[row.subject] = replace(old, lease=token, due_at=until, claims=old.claims + 1)
        counted = [replace(row, claims=row.claims + 1) for row in rows]
        return Claim(token=token, leased_until=until, rows=counted)

    def settle(
        self, claim: Claim, plans: Sequence[tuple[Claimed, Due | None]], versions: Mapping[int, int] | None = None
    ) -> frozenset[int]:
        saved = set()
        for claimed, plan in plans:
            row = self._tables.due.get(claimed.subject)
            if row is None or row.lease != claim.token:
                continue
            wanted = (versions or {}).get(claimed.subject)
            order = self._tables.orders.get(claimed.subject)
            as_read = wanted is None or (order is not None and order.version == wanted)
            if as_read:
                saved.add(claimed.subject)
            self._give_back(row, plan, fresh=as_read and row.generation == claimed.generation)
        return frozenset(saved)

    def release(self, claim: Claim, errors: Mapping[int, str], *, until: datetime) -> None:
        for subject, error in errors.items():
            row = self._tables.due.get(subject)
            if row is not None and row.lease == claim.token:
                self._tables.due[subject] = replace(row, lease=None, due_at=until, last_error=error)

    def park(self, claim: Claim, subjects: Sequence[int]) -> None:
        for subject in subjects:
            row = self._tables.due.get(subject)
            if row is None or row.lease != claim.token:
                continue
            del self._tables.due[subject]
            is_command = row.kind == Work.COMMAND
            if is_command and self._is_stuck(subject):
                why = f"it could not be carried out: {row.last_error or 'its worker died'}"
                outcome = CommandOutcome(command=subject, state=CommandState.REFUSED, reason=why)
                conclude(self._tables, self._ids, [outcome], now=self._now)
                continue
            opening = CaseOpening(
                kind=CaseKind.STUCK,
                known=f"{row.kind} was tried {row.claims - 1} times in vain;"
                f" the last error: {row.last_error or 'its worker died'}",
                amount_at_risk=self._amount_of(subject),
                deadline=self._now + LONGEST_WAIT if is_command else None,
            )
            about = replace(self._about(subject), actor="system:park")
            open_case(self._tables, self._ids, about, opening, now=self._now)
            if is_command:
                self.plan(subject, row.lane, Due(work=Work.COMMAND, at=self._now + LONGEST_WAIT))

    def _is_stuck(self, subject: int) -> bool:
        cases = self._tables.cases.values()
        return any((c.subject, c.kind) == (subject, CaseKind.STUCK) and c.closed_at is None for c in cases)

    def bump(self, subjects: Sequence[int]) -> None:
        for subject in subjects:
            row = self._tables.due.get(subject)
            if row is not None:
                due_at = min(row.due_at, self._now) if row.lease is None else row.due_at
                self._tables.due[subject] = replace(row, generation=row.generation + 1, due_at=due_at)

    def plan(self, subject: int, lane: int, due: Due) -> None:
        """Plan from outside, whoever may be working on it."""
        old = self._tables.due.get(subject)
        fresh = DueRow(subject=subject, lane=lane, kind=due.work, due_at=due.at, step=due.step)
        if old is not None:
            held = old.lease is not None
            fresh = replace(
                old,
                kind=due.work,
                step=due.step,
                generation=old.generation + 1,
                claims=old.claims if held else 0,
                due_at=old.due_at if held and old.due_at > self._now else due.at,
            )
        self._tables.due[subject] = fresh

    def _due(self, work: Work) -> list[DueRow]:
        rows = [row for row in self._tables.due.values() if row.kind == work and row.due_at <= self._now]
        return sorted(rows, key=lambda row: row.due_at)

    def _give_back(self, row: DueRow, plan: Due | None, *, fresh: bool) -> None:
        free = replace(row, lease=None, claims=0, last_error=None)
        if not fresh:
            self._tables.due[row.subject] = replace(free, due_at=self._now)
        elif plan is None:
            del self._tables.due[row.subject]
        else:
            self._tables.due[row.subject] = replace(free, kind=plan.work, due_at=plan.at, step=plan.step)

    def _amount_of(self, subject: int) -> Decimal | None:
        found = self._tables.orders.get(subject) or self._tables.reversals.get(subject)
        return None if found is None else found.amount

    def _about(self, subject: int) -> About:
        tables = self._tables
        if subject in tables.orders:
            order = tables.orders[subject]
            return About(subject=subject, merchant=order.merchant, order_id=subject, currency=order.currency)
        if subject in tables.reversals:
            reversal = tables.reversals[subject]
            return About(subject=subject, merchant=reversal.merchant, order_id=None, currency=reversal.currency)
        owned = tables.inbox.get(subject) or tables.retriggers.get(subject)
        if owned is not None:
            return About(subject=subject, merchant=owned.merchant, order_id=None, currency=None)
        if subject in tables.mails:
            mail = tables.mails[subject]
            return About(subject=subject, merchant=mail.merchant, order_id=mail.order_id, currency=None, mailed=False)
        stream = tables.streams.get(subject)
        if stream is None:
            return About(subject=subject, merchant=None, order_id=None, currency=None)
        merchant = tables.endpoints[stream.endpoint].merchant
        return About(subject=subject, merchant=merchant, order_id=stream.order_id, currency=None)


def _claimed(row: DueRow) -> Claimed:
    return Claimed(
        subject=row.subject,
        work=Work(row.kind),
        lane=row.lane,
        due_at=row.due_at,
        step=row.step,
        generation=row.generation,
        claims=row.claims,
    )
