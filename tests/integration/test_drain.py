"""Drains that run at once on PostgreSQL, each in a thread with connections, a clock and a provider of its own."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from domain.model.answer import Record
from domain.model.command import PutMasterData, RegisterOrder
from domain.model.due_work import Due, Work
from domain.model.master_data import Entry, MasterKind
from domain.model.order import Order
from domain.model.rejection import Reason, Rejection
from domain.model.reversal import ReversalDecision
from domain.model.transaction import ReversalOutcome
from domain.rules.sanity import rejection_of
from tests.builders import NOON, PAYMENT, PROVIDER, a_merchant, a_new, a_record, a_report, a_reversal, an_order
from tests.fakes.bench import Bench, SqlBench
from tests.fakes.calls import Script
from tests.unit.usecases.yard import WIDE, Yard, a_cancel, a_registration

TOGETHER = 20.0  # seconds until a thread that waits for the other gives up


@pytest.fixture
def bench(engine: Engine) -> Bench:
    return SqlBench(engine).furnish()


def yards(engine: Engine, count: int = 2) -> list[Yard]:
    return [Yard(SqlBench(engine), lane=replace(WIDE, concurrency=50)) for _ in range(count)]


def orders_of(bench: Bench, count: int) -> list[Order]:
    return bench.register_many([an_order(reference=f"o-{n}", payment=f"p-{n}") for n in range(count)])


class TestTwoDrainsAtOnce:
    def test_never_work_on_the_same_row(self, bench: Bench, engine: Engine) -> None:
        orders = orders_of(bench, 200)
        both = yards(engine)
        meeting = Barrier(len(both), timeout=TOGETHER)
        for yard in both:
            waited: list[bool] = []
            for order in orders:
                reference = order.transaction.reference
                yard.provider.says(reference, _paid_after_meeting(reference, meeting, waited))

        with ThreadPoolExecutor(len(both)) as threads:
            worked = list(threads.map(lambda yard: yard.poll(), both))

        asked = [reference for yard in both for reference in yard.provider.questions]
        assert sorted(asked) == sorted(order.transaction.reference for order in orders)
        assert all(yard.provider.questions for yard in both)
        assert sum(worked) == len(orders)
        assert {order.status for order in bench.tables().orders.values()} == {"PAID"}
        assert bench.tables().due == {}

    def test_spend_the_tokens_of_a_lane_once(self, bench: Bench, engine: Engine) -> None:
        orders_of(bench, 60)
        both = [Yard(SqlBench(engine), lane=replace(WIDE, requests_per_second=20.0)) for _ in range(2)]

        with ThreadPoolExecutor(len(both)) as threads:
            worked = list(threads.map(lambda yard: yard.poll(), both))

        assert sum(worked) == 20


def _paid_after_meeting(reference: str, meeting: Barrier, waited: list[bool]) -> Script:
    def answer() -> Record:
        if not waited:
            waited.append(True)
            meeting.wait()
        return a_record("paid", reference=reference)

    return answer


class TestARowThatAnotherIsReading:
    def test_is_passed_over_and_not_waited_for(self, bench: Bench, engine: Engine) -> None:
        first, second = orders_of(bench, 2)
        other = SqlBench(engine)

        with bench.units() as uow:
            uow.orders.lock_by_reference("shop", first.reference)
            claim = other.claim()

        assert [row.subject for row in claim.rows] == [second.id]


class TestTheSameMessageInTwoThreads:
    def test_makes_one_order(self, bench: Bench, engine: Engine) -> None:
        meeting = Barrier(4, timeout=TOGETHER)

        def receive(yard: Yard) -> None:
            meeting.wait()
            yard.receive(*[a_registration(order=f"o-{n}", reference=f"p-{n}") for n in range(20)])

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(receive, yards(engine, 4)))

        tables = bench.tables()
        assert len(tables.orders) == 20
        assert len(tables.events) == 20
        assert len(tables.due) == 20
        assert tables.refused == {}

    def test_cancels_once(self, bench: Bench, engine: Engine) -> None:
        Yard(bench).receive(a_registration())
        meeting = Barrier(4, timeout=TOGETHER)

        def receive(yard: Yard) -> None:
            meeting.wait()
            yard.receive(a_cancel())

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(receive, yards(engine, 4)))

        (order,) = bench.tables().orders.values()
        assert order.version == 2
        assert order.cancel_request is not None
        assert [entry.kind for entry in bench.tables().timeline] == ["cancel_requested"]


class TestACommandAgainstADrain:
    def test_is_never_lost_whoever_is_first(self, bench: Bench, engine: Engine) -> None:
        orders = orders_of(bench, 40)
        poller, commander = yards(engine)
        meeting = Barrier(2, timeout=TOGETHER)
        for order in orders:
            reference = order.transaction.reference
            poller.provider.says(reference, a_record("pending", reference=reference))

        def command() -> None:
            meeting.wait()
            for order in orders:
                commander.receive(a_cancel(order=order.reference))

        def poll() -> None:
            meeting.wait()
            poller.poll(budget=0.5)

        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(command), threads.submit(poll)]:
                done.result()

        tables = bench.tables()
        assert all(order.cancel_request is not None for order in tables.orders.values())
        assert {row.kind for row in tables.due.values()} <= {"close", "cancel", "confirm"}
        assert len(tables.due) == len(orders)


class TestATimeoutThatIsReportedWhileItsOrderIsRegistered:
    def test_waits_for_the_order_and_holds_it(self, bench: Bench, engine: Engine) -> None:
        yard = yards(engine, 1)[0]

        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            assert uow.orders.taken([(PROVIDER, PAYMENT)]) == {}
            reporting = threads.submit(yard.receive, a_report())
            wait_until_one_waits(engine)
            order = an_order(id=uow.orders.next_ids(1)[0])
            uow.orders.register([a_new(order, Due(work=Work.POLL, at=NOON))])
            uow.commit()
            reporting.result(TOGETHER)

        assert bench.order(order.id).transaction.reversing

    def test_is_waited_for_and_then_known(self, bench: Bench, engine: Engine) -> None:
        yard = yards(engine, 1)[0]

        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            assert uow.orders.taken([(PROVIDER, PAYMENT)], alone=True) == {}
            registering = threads.submit(yard.receive, a_registration())
            wait_until_one_waits(engine)
            uow.reversals.open(a_reversal(), Due(work=Work.REVERSE, at=NOON), actor="merchant:shop")
            uow.commit()
            registering.result(TOGETHER)

        assert yard.the_order().transaction.reversing

    def test_does_not_keep_registrations_from_one_another(self, bench: Bench, engine: Engine) -> None:
        yard = yards(engine, 1)[0]

        with bench.units() as uow:
            uow.orders.taken([(PROVIDER, PAYMENT)])
            yard.receive(a_registration(order="o-2", reference="pay-2"))

        assert yard.the_order().reference == "o-2"


def _in_an_unknown_store() -> RegisterOrder:
    return a_registration(merchant="checked", bill={"number": "B-1", "store": "north"})


def _rejected_for_its_store(key: int) -> Rejection:
    command = _in_an_unknown_store()
    reason = Reason(kind=MasterKind.STORES, key="north", message="is not registered")
    merchant = a_merchant(id="checked", sanity_queue=True)
    return rejection_of(command, (reason,), id=key, merchant=merchant, body={"order": command.order}, now=NOON)


class TestABillThatIsScreenedWhileSomebodyElseIsAtIt:
    @pytest.fixture
    def checked(self, bench: Bench, engine: Engine) -> Yard:
        bench.add_merchant(
            a_merchant(id="checked", checks=frozenset({MasterKind.STORES}), sanity_queue=True, auto_retrigger=True)
        )
        return yards(engine, 1)[0]

    def test_loses_its_payment_to_the_order_that_is_being_registered(
        self, bench: Bench, engine: Engine, checked: Yard
    ) -> None:
        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            uow.orders.taken([(PROVIDER, PAYMENT)])
            screened = threads.submit(checked.receive, _in_an_unknown_store())
            wait_until_one_waits(engine)
            order = an_order(id=uow.orders.next_ids(1)[0])
            uow.orders.register([a_new(order, Due(work=Work.POLL, at=NOON))])
            uow.commit()
            screened.result(TOGETHER)

        assert bench.tables().rejections == {}
        assert [row.merchant for row in bench.tables().refused.values()] == ["checked"]

    @pytest.mark.usefixtures("checked")
    def test_is_tried_again_by_the_master_data_that_came_meanwhile(self, bench: Bench, engine: Engine) -> None:
        store = PutMasterData(merchant="checked", kind=MasterKind.STORES, entries=(Entry(key="north"),))
        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            assert uow.master_data.find([("checked", MasterKind.STORES, "north")]) == {}
            mending = threads.submit(yards(engine, 1)[0].receive, store)
            wait_until_one_waits(engine)
            uow.rejections.store([_rejected_for_its_store(uow.orders.next_ids(1)[0])], actor="merchant:checked")
            uow.commit()
            mending.result(TOGETHER)

        assert len(bench.tables().retriggers) == 1

    @pytest.mark.usefixtures("checked")
    def test_lets_changes_of_its_master_data_come_one_after_another(self, engine: Engine) -> None:
        stores = [
            PutMasterData(merchant="checked", kind=MasterKind.STORES, entries=(Entry(key=f"s{number}"),))
            for number in range(8)
        ]
        together = Barrier(len(stores))

        def put(yard: Yard, store: PutMasterData) -> None:
            together.wait(TOGETHER)
            yard.receive(store)

        with ThreadPoolExecutor(len(stores)) as threads:
            list(threads.map(put, yards(engine, len(stores)), stores))

        with engine.connect() as connection:
            versions = connection.execute(text("SELECT version FROM master_data_versions ORDER BY version")).scalars()
            assert list(versions) == list(range(1, len(stores) + 1))


class TestAReversalThatEndsWhileItsOrderIsRegistered:
    def test_waits_for_the_order_and_tells_it(self, bench: Bench, engine: Engine) -> None:
        yard = yards(engine, 1)[0]
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("voided"))

        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            named = uow.orders.taken([(PROVIDER, PAYMENT)])[PROVIDER, PAYMENT]
            ending = threads.submit(yard.drain, yard.reversing())
            wait_until_one_waits(engine)
            order = an_order(id=uow.orders.next_ids(1)[0], reversing=named.outcome is None)
            uow.orders.register([a_new(order, Due(work=Work.POLL, at=NOON))])
            uow.commit()
            ending.result(TOGETHER)

        transaction = bench.order(order.id).transaction
        assert (transaction.reversing, transaction.reversal) == (False, ReversalOutcome.ALREADY_REVERSED)

    def test_is_waited_for_and_then_known(self, bench: Bench, engine: Engine) -> None:
        yard = yards(engine, 1)[0]
        yard.receive(a_report())
        claim = bench.claim(Work.REVERSE)
        reversal = next(iter(bench.tables().reversals.values()))

        with ThreadPoolExecutor(1) as threads, bench.units() as uow:
            uow.reversals.lock_many([reversal.id])
            registering = threads.submit(yard.receive, a_registration())
            wait_until_one_waits(engine)
            ended = replace(reversal, outcome=ReversalOutcome.DECLINED, ended_at=bench.clock.now)
            uow.reversals.apply([ReversalDecision(before=reversal, reversal=ended, row=claim.rows[0], due=None)], claim)
            uow.commit()
            registering.result(TOGETHER)

        transaction = yard.the_order().transaction
        assert (transaction.reversing, transaction.reversal) == (False, ReversalOutcome.DECLINED)


def wait_until_one_waits(engine: Engine) -> None:
    """Wait until a connection waits for a lock that another holds."""
    until = time.monotonic() + TOGETHER
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while time.monotonic() < until:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                return
    raise TimeoutError("nobody waits")
