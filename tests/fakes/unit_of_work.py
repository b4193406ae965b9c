"""The store in memory: everything or nothing, one unit of work at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count

from domain.model.decision import Decision
from domain.model.due_work import Claim
from domain.model.merchant import Merchant
from tests.fakes.due_work import FakeDueWork, FakeLanes
from tests.fakes.inbox import FakeInbox
from tests.fakes.mails import FakeMails
from tests.fakes.orders import FakeOrders, lane_of, write
from tests.fakes.outbox import FakeStreams
from tests.fakes.reversals import FakeReversals
from tests.fakes.rows import Tables
from tests.fakes.sanity import FakeMasterData, FakeRejections, FakeRetriggers


class FakeMerchants:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get_many(self, ids: Iterable[str]) -> Mapping[str, Merchant]:
        return {key: self._tables.merchants[key] for key in ids if key in self._tables.merchants}


class FakeUnitOfWork:
    def __init__(self, store: "FakeStore") -> None:
        self._store = store
        self._tables = store.tables.snapshot()
        self.now = store.clock()
        self.lanes = FakeLanes(self._tables, self.now, store.ids)
        self.due_work = FakeDueWork(self._tables, self.now, store.ids)
        self.orders = FakeOrders(self._tables, self.now, store.ids, self.due_work)
        self.inbox = FakeInbox(self._tables, self.now, store.ids, self.due_work, self.lanes)
        self.streams = FakeStreams(self._tables, self.now, store.ids, self.due_work)
        self.mails = FakeMails(self._tables, self.now, store.ids, self.due_work)
        self.reversals = FakeReversals(self._tables, self.now, store.ids, self.due_work)
        self.merchants = FakeMerchants(self._tables)
        self.master_data = FakeMasterData(self._tables)
        self.rejections = FakeRejections(self._tables, self.now, store.ids)
        self.retriggers = FakeRetriggers(self._tables, self.now, self.due_work, self.lanes)

    def apply(self, decisions: Sequence[Decision], claim: Claim | None = None) -> Sequence[int]:
        saved = list(decisions) if claim is None else self._settle(decisions, claim)
        write(self._tables, self._store.ids, saved, now=self.now)
        if claim is None:
            self._replan(saved)
        return [decision.order.id for decision in saved]

    def commit(self) -> None:
        self._store.tables = self._tables.snapshot()

    def _settle(self, decisions: Sequence[Decision], claim: Claim) -> list[Decision]:
        plans = [(decision.row, decision.due) for decision in decisions if decision.row is not None]
        versions = {decision.order.id: decision.before.version for decision in decisions}
        held = self.due_work.settle(claim, plans, versions)
        return [decision for decision in decisions if decision.order.id in held]

    def _replan(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if decision.keep_due:
                continue
            if decision.due is None:
                self._tables.due.pop(decision.order.id, None)
            else:
                self.due_work.plan(decision.order.id, lane_of(self._tables, decision.order), decision.due)


class FakeStore:
    """A `UnitOfWorkFactory`. Ids are never given back, as with a sequence."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.tables = Tables()
        self.ids = count(1)
        self._open = False

    @contextmanager
    def __call__(self) -> Iterator[FakeUnitOfWork]:
        assert not self._open, "a unit of work inside another would be lost"
        self._open = True
        try:
            yield FakeUnitOfWork(self)
        finally:
            self._open = False
