"""Master data, rejections and retriggers in memory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.due_work import Due, LaneFamily
from domain.model.event import Event
from domain.model.master_data import Entry, FieldType, MasterKind, Place
from domain.model.rejection import (
    Finding,
    Reason,
    Rejection,
    RejectionStatus,
    RejectionType,
    Retrigger,
    RetriggerOrigin,
)
from domain.ports.persistence import Conflict
from domain.rules.events import transaction_failed, transaction_rejected, transaction_reprocessed
from domain.rules.sanity import LEADS_TO
from tests.fakes.checks import check
from tests.fakes.due_work import FakeDueWork, FakeLanes
from tests.fakes.outbox import tell
from tests.fakes.rows import DecisionRow, ItemRow, Tables


class FakeMasterData:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def find(self, places: Iterable[Place]) -> Mapping[Place, Entry]:
        entries = self._tables.entries
        return {place: entries[place] for place in places if place in entries}

    def put(self, merchant: str, kind: MasterKind, entries: Sequence[Entry], *, actor: str) -> Sequence[Entry]:
        check("fk_master_data_merchant", holds=merchant in self._tables.merchants)
        last = {entry.key: entry for entry in entries}
        changed = [e for e in last.values() if self._tables.entries.get((merchant, kind, e.key)) != e]
        for entry in changed:
            self._tables.entries[merchant, kind, entry.key] = entry
        if changed:
            who = self._tables.versions.get((merchant, kind), ())
            self._tables.versions[merchant, kind] = (*who, actor)
        return changed


class FakeRejections:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]") -> None:
        self._tables = tables
        self._now = now
        self._ids = ids

    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return frozenset({(r.merchant, r.order) for r in self._tables.rejections.values()}.intersection(orders))

    def store(self, rejections: Sequence[Rejection], *, actor: str) -> None:
        check("nn_rejections_actor", holds=bool(actor))
        for rejection in rejections:
            permanent = rejection.type is RejectionType.PERMANENT
            failed = rejection.status is RejectionStatus.PERMANENT_FAILED
            check("fk_rejections_merchant", holds=rejection.merchant in self._tables.merchants)
            check("ck_rejections_for_a_reason", holds=bool(rejection.reasons))
            check("ck_rejections_permanent_is_permanent", holds=failed or not permanent)
            for other in self._tables.rejections.values():
                same_order = (other.merchant, other.order) == (rejection.merchant, rejection.order)
                same_payment = (other.provider, other.reference) == (rejection.provider, rejection.reference)
                if same_order or same_payment:
                    raise Conflict(rejection.order)
            self._tables.rejections[rejection.id] = rejection
            if rejection.status is RejectionStatus.PENDING:
                self._tables.needs[rejection.id] = _needs(rejection.reasons)
            self._tell("rejected", rejection, transaction_rejected(rejection))

    def status_of(self, merchant: str, order: str) -> RejectionStatus | None:
        found = (r.status for r in self._tables.rejections.values() if (r.merchant, r.order) == (merchant, order))
        return next(found, None)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        kept = self._tables.rejections
        return {key: kept[key] for key in sorted(ids) if key in kept}

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        return self.get_many(ids)

    def reprocess(self, rejections: Sequence[Rejection], retrigger: Retrigger) -> None:
        for rejection in rejections:
            decision = DecisionRow(by=retrigger.actor, retrigger=retrigger.id)
            self._decide(rejection, RejectionStatus.REPROCESSED, decision)
            self._tell("reprocessed", rejection, transaction_reprocessed(rejection, retrigger=retrigger.name))

    def restate(self, reasons: Mapping[int, Sequence[Reason]]) -> None:
        for key, some in reasons.items():
            self._tables.rejections[key] = replace(self._tables.rejections[key], reasons=tuple(some))
            self._tables.needs[key] = _needs(some)

    def fail(self, rejections: Sequence[Rejection], *, note: str | None, actor: str) -> None:
        for rejection in rejections:
            self._decide(rejection, RejectionStatus.PERMANENT_FAILED, DecisionRow(by=actor, note=note))
            self._tell("failed", rejection, transaction_failed(rejection, note=note, by=actor))

    def waiting_for(self, merchant: str, kind: MasterKind, entries: Sequence[Entry]) -> Sequence[int]:
        by_key = {entry.key: entry for entry in entries}

        def helps(needed: tuple[str, str, str]) -> bool:
            entry = by_key.get(needed[1])
            if entry is None or needed[0] != kind:
                return False
            return needed[2] == "" or entry.type is not FieldType.ENUM or needed[2] in entry.options

        return sorted(
            key
            for key, needs in self._tables.needs.items()
            if self._tables.rejections[key].merchant == merchant and any(map(helps, needs))
        )

    def _decide(self, rejection: Rejection, status: RejectionStatus, decision: DecisionRow) -> None:
        stored = self._tables.rejections[rejection.id]
        if status not in LEADS_TO[stored.status]:
            raise Conflict(rejection.order)
        self._tables.rejections[rejection.id] = replace(stored, status=status, note=decision.note)
        self._tables.decisions[rejection.id] = decision
        self._tables.needs.pop(rejection.id, None)

    def _tell(self, what: str, rejection: Rejection, event: Event) -> None:
        tell(self._tables, self._ids, f"evt_rejection_{rejection.id}_{what}", event, now=self._now)


class FakeRetriggers:
    def __init__(self, tables: Tables, now: datetime, due_work: FakeDueWork, lanes: FakeLanes) -> None:
        self._tables = tables
        self._now = now
        self._due_work = due_work
        self._lanes = lanes

    def open(self, retrigger: Retrigger, transactions: Sequence[int] | None, due: Due) -> None:
        if self.called(retrigger.merchant, retrigger.name) is not None:
            raise Conflict(retrigger.name)
        if retrigger.origin is RetriggerOrigin.SWEEP:
            self._forget_sweeps(retrigger.merchant)
        kept = self._tables.rejections.values()
        pending = [r.id for r in kept if r.merchant == retrigger.merchant and r.status is RejectionStatus.PENDING]
        items = sorted(set(pending if transactions is None else transactions))
        finished_at = None if items else self._now
        self._tables.retriggers[retrigger.id] = replace(retrigger, finished_at=finished_at)
        for key in items:
            self._tables.items[retrigger.id, key] = ItemRow(retrigger=retrigger.id, rejection=key)
        if items:
            lane = self._lanes.ensure(LaneFamily.MERCHANT, [retrigger.merchant])[retrigger.merchant]
            self._due_work.plan(retrigger.id, lane, due)

    def called(self, merchant: str, name: str) -> Retrigger | None:
        found = (g for g in self._tables.retriggers.values() if (g.merchant, g.name) == (merchant, name))
        return next(found, None)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Retrigger]:
        kept = self._tables.retriggers
        return {key: kept[key] for key in ids if key in kept}

    def batch(self, retrigger: Retrigger, limit: int) -> Sequence[int]:
        mine = [key for owner, key in self._tables.items if owner == retrigger.id and key > retrigger.cursor]
        return sorted(mine)[:limit]

    def save(self, retrigger: Retrigger, findings: Sequence[Finding]) -> None:
        self._tables.retriggers[retrigger.id] = retrigger
        for finding in findings:
            self._tables.items[retrigger.id, finding.rejection] = ItemRow(
                retrigger=retrigger.id, rejection=finding.rejection, outcome=finding.outcome, why=finding.why
            )
        counted = Counter(self._tables.counts.get(retrigger.id, {}))
        counted.update(finding.outcome.value for finding in findings)
        self._tables.counts[retrigger.id] = dict(counted)

    def begin_sweep(self, since: datetime) -> Sequence[str]:
        swept = self._tables.swept
        if not swept or swept[-1] >= since:
            self._tables.swept = swept or [self._now]
            return []
        self._tables.swept = [self._now]
        kept = self._tables.rejections.values()
        pending = {r.merchant for r in kept if r.status is RejectionStatus.PENDING}
        open_ = {g.merchant for g in self._tables.retriggers.values() if _is_open_sweep(g)}
        return sorted(pending - open_)

    def _forget_sweeps(self, merchant: str) -> None:
        kept = self._tables.retriggers.values()
        old = {g.id for g in kept if g.merchant == merchant and g.origin is RetriggerOrigin.SWEEP and g.finished_at}
        for place in [place for place in self._tables.items if place[0] in old]:
            del self._tables.items[place]


def _is_open_sweep(retrigger: Retrigger) -> bool:
    return retrigger.origin is RetriggerOrigin.SWEEP and retrigger.finished_at is None


def _needs(reasons: Iterable[Reason]) -> frozenset[tuple[str, str, str]]:
    return frozenset((reason.kind.value, reason.key, reason.option) for reason in reasons)
