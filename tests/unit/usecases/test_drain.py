"""One run over due work: its waves, its isolation of what is ill, and how it treats lanes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from domain.model.answer import Record, Unreachable
from domain.model.case import CaseKind
from domain.model.due_work import Due, Work
from domain.model.order import Order, OrderStatus
from domain.usecases.drain import PARK_AFTER
from tests.builders import MINUTES, NOON, SECONDS, a_cadence, a_policy, a_record, an_intent, an_order, limits
from tests.fakes.bench import LEASE, Bench, MemoryBench
from tests.unit.usecases.yard import WIDE, Yard

BATCH = 500


class WorkerKilled(BaseException):
    """Stands for a process that is killed: nothing catches it."""


def many(bench: Bench, count: int = BATCH) -> list[Order]:
    return bench.register_many([an_order(reference=f"o-{n}", payment=f"p-{n}") for n in range(count)])


def all_paid(yard: Yard, orders: list[Order]) -> None:
    for order in orders:
        reference = order.transaction.reference
        yard.provider.says(reference, a_record("paid", reference=reference))


def statuses(yard: Yard) -> Mapping[int, str]:
    return {key: order.status for key, order in yard.bench.tables().orders.items()}


def assert_all_but_one_are_paid(yard: Yard, orders: list[Order], ill: Order) -> None:
    expected = dict.fromkeys((order.id for order in orders), "PAID") | {ill.id: "NEW"}
    assert statuses(yard) == expected


def assert_the_one_is_stuck(yard: Yard, ill: Order, why: str) -> None:
    assert yard.bench.due(ill.id) is None
    (case,) = yard.bench.cases()
    assert (case.kind, case.order_id) == (CaseKind.STUCK, ill.id)
    assert why in case.known


def claim_in_vain(bench: Bench, times: int, *works: Work) -> None:
    for _ in range(times):
        bench.claim(*works)
        bench.clock.wait(LEASE)


def drain_until_parked(yard: Yard) -> None:
    for _ in range(PARK_AFTER + 1):
        yard.poll()
        yard.bench.clock.wait(LEASE + yard.pace.lease_margin)
    yard.poll()


class TestABatchOfFiveHundred:
    def test_is_claimed_once_and_saved_by_waves(self, bench: Bench) -> None:
        yard = Yard(bench, lane=replace(WIDE, bulk=100))
        orders = many(bench)
        all_paid(yard, orders)

        worked = yard.poll()

        assert worked == BATCH
        assert set(statuses(yard).values()) == {"PAID"}
        assert bench.tables().due == {}
        assert len(bench.events("order.status_changed")) == 2 * BATCH
        assert yard.provider.calls == BATCH // 100

    def test_goes_on_without_the_one_whose_rule_raises(self, bench: Bench) -> None:
        yard = Yard(bench)
        orders = many(bench)
        all_paid(yard, orders)
        ill = orders[137]
        no_amount = a_record("paid", reference=ill.transaction.reference, amount_received="a bug of an adapter")
        yard.provider.says(ill.transaction.reference, no_amount)

        yard.poll()
        first = statuses(yard)
        drain_until_parked(yard)

        assert sum(status == "PAID" for status in first.values()) == BATCH - 1
        assert_all_but_one_are_paid(yard, orders, ill)
        assert_the_one_is_stuck(yard, ill, "poll was tried 8 times in vain; the last error: AttributeError")
        assert ("due_work.parked", {"subject": ill.id}) in yard.reports

    def test_goes_on_without_the_one_that_the_store_refuses(self, bench: Bench) -> None:
        yard = Yard(bench)
        orders = many(bench)
        all_paid(yard, orders)
        ill = orders[411]
        # Twenty digits before the point fit into NUMERIC(38,18); twenty-one do not.
        enormous = a_record("paid", reference=ill.transaction.reference, amount_received=10**20 + ill.amount)
        yard.provider.says(ill.transaction.reference, enormous)

        yard.poll()
        first = statuses(yard)
        drain_until_parked(yard)

        assert sum(status == "PAID" for status in first.values()) == BATCH - 1
        assert_all_but_one_are_paid(yard, orders, ill)
        assert_the_one_is_stuck(yard, ill, "Violation" if isinstance(bench, MemoryBench) else "numeric field overflow")

    def test_goes_on_without_the_one_that_kills_its_worker(self, bench: Bench) -> None:
        yard = Yard(bench)
        orders = many(bench)
        all_paid(yard, orders)
        ill = orders[42]
        yard.provider.says(ill.transaction.reference, _kill)

        deaths = 0
        for _ in range(PARK_AFTER + 1):
            try:
                yard.poll()
            except WorkerKilled:
                deaths += 1
                yard.provider.forget()
            bench.clock.wait(LEASE + yard.pace.lease_margin)
        yard.poll()

        assert deaths == PARK_AFTER
        assert_all_but_one_are_paid(yard, orders, ill)
        assert_the_one_is_stuck(yard, ill, "its worker died")


def _kill() -> Record:
    raise WorkerKilled


class TestAWorkerThatDiedAfterItsClaim:
    def test_leaves_nothing_open_for_longer_than_its_lease(self, bench: Bench) -> None:
        yard = Yard(bench)
        orders = many(bench, 3)
        bench.claim(until=NOON + LEASE)
        all_paid(yard, orders)

        during = yard.poll()
        bench.clock.wait(LEASE)
        after = yard.poll()

        assert (during, after) == (0, 3)
        assert set(statuses(yard).values()) == {"PAID"}


class TestTheBudgetOfADrain:
    def test_ends_its_claims_but_not_the_saving_of_what_was_begun(self, bench: Bench) -> None:
        yard = Yard(bench, lane=replace(WIDE, concurrency=10))
        orders = many(bench, 30)
        all_paid(yard, orders)

        worked = yard.poll(budget=0.0201)

        assert 0 < worked < 30
        assert sum(status == "PAID" for status in statuses(yard).values()) == worked
        assert all(row.lease is None for row in bench.tables().due.values())


class TestALane:
    def test_that_is_paused_is_not_asked(self, bench: Bench) -> None:
        yard = Yard(bench)
        many(bench, 2)
        bench.switch(bench.lane(), paused=True)

        assert yard.poll() == 0
        assert yard.provider.calls == 0

    def test_that_is_paused_for_a_time_is_asked_after_it(self, bench: Bench) -> None:
        yard = Yard(bench)
        many(bench, 2)
        bench.switch(bench.lane(), paused_until=NOON + 1 * MINUTES)

        before = yard.poll()
        bench.clock.wait(1 * MINUTES)
        after = yard.poll()

        assert (before, after) == (0, 2)

    def test_holds_no_other_lane_up(self, bench: Bench) -> None:
        yard = Yard(bench)
        yard.policies["other"] = yard.policies["acme"]
        yard.lane_limits["other"] = WIDE
        bench.lane("other")
        ours, theirs = bench.register_many(
            [an_order(), an_order(reference="order-2", payment="pay-2", provider="other")]
        )
        bench.switch(bench.lane(), paused=True)
        yard.provider.says("pay-2", a_record("paid", reference="pay-2"))

        yard.poll()

        assert statuses(yard) == {ours.id: "NEW", theirs.id: "PAID"}

    def test_is_asked_no_more_than_its_tokens_allow(self, bench: Bench) -> None:
        yard = Yard(bench, lane=limits(requests_per_second=5.0, concurrency=100))
        all_paid(yard, many(bench, 20))

        first = yard.poll()
        bench.clock.wait(1 * SECONDS)
        second = yard.poll()

        assert (first, second) == (5, 5)

    def test_is_asked_no_more_at_once_than_it_can_carry(self, bench: Bench) -> None:
        yard = Yard(bench, lane=replace(WIDE, concurrency=8))
        all_paid(yard, many(bench, 40))

        worked = yard.poll()

        assert worked == 40
        assert yard.provider.most_under_way == 8

    def test_that_fails_too_often_is_left_alone_then_probed_then_well_again(self, bench: Bench) -> None:
        yard = Yard(bench, lane=replace(WIDE, breaker_failures=5))
        orders = many(bench, 20)

        ill = yard.poll()
        at_once = yard.poll()
        bench.clock.wait(10 * MINUTES)
        all_paid(yard, orders)
        calls = yard.provider.calls
        yard.drain(yard.polling(), budget=0.0)
        yard.poll()

        assert (ill, at_once) == (20, 0)
        assert yard.provider.calls == calls + 20
        assert yard.lane().failures == 0

    def test_that_is_probed_is_asked_once_a_time(self, bench: Bench) -> None:
        yard = Yard(bench)
        many(bench, 20)
        bench.switch(bench.lane(), failures=5)

        yard.poll()

        assert yard.provider.calls == 1
        assert yard.lane().failures == 6
        assert yard.lane().paused_until == NOON + WIDE.breaker_open

    def test_that_was_told_to_wait_waits(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = many(bench, 1)[0]
        yard.provider.says(order.transaction.reference, Unreachable(why="429", retry_after=2 * MINUTES))

        yard.poll()

        assert yard.lane().paused_until == NOON + 2 * MINUTES
        assert yard.lane().failures == 1

    def test_without_effects_is_asked_and_not_acted_on(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = bench.register(due=Due(work=Work.CANCEL, at=NOON))
        bench.switch(bench.lane(), no_effects=True)

        worked = yard.poll()

        assert worked == 0
        assert yard.due(order).kind == "cancel"

    @pytest.mark.parametrize("switch", ["no_effects", "shadow"])
    def test_without_effects_acts_on_no_suspect_either_and_goes_on_with_the_rest(
        self, bench: Bench, switch: str
    ) -> None:
        yard = Yard(bench)
        effect = bench.register(due=Due(work=Work.CANCEL, at=NOON - 1 * MINUTES))
        poll = bench.register(an_order(reference="order-2", payment="pay-2"))
        claim_in_vain(bench, 3, Work.CANCEL, Work.POLL)
        yard.provider.says("pay-2", a_record("pending", reference="pay-2"))
        bench.switch(bench.lane(), **{switch: True})

        worked = yard.poll()

        assert worked == 1
        assert yard.due(effect).claims == 3
        assert yard.due(poll).claims == 0
        assert yard.provider.questions == ["pay-2"]

    def test_spends_its_tokens_on_suspects_too(self, bench: Bench) -> None:
        yard = Yard(bench, lane=limits(requests_per_second=5.0, concurrency=100))
        all_paid(yard, many(bench, 20))
        claim_in_vain(bench, 3)

        assert yard.poll() == 5

    def test_in_shadow_is_asked_and_nothing_moves(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = many(bench, 1)[0]
        all_paid(yard, [order])
        bench.switch(bench.lane(), shadow=True)

        yard.poll()

        assert statuses(yard) == {order.id: "NEW"}
        assert yard.due(order).due_at > NOON
        assert ("order.shadowed", {"order": order.id, "would_be": OrderStatus.PAID}) in yard.reports

    def test_in_shadow_is_not_acted_on(self, bench: Bench) -> None:
        yard = Yard(bench, policy=a_policy(retries=a_cadence((1 * MINUTES, 4))))
        order = bench.register(an_order(cancellation=1 * MINUTES), Due(work=Work.CLOSE, at=NOON))
        bench.clock.wait(1 * MINUTES)
        yard.provider.says("pay-1", a_record("pending"))
        yard.poll(step=yard.polling())
        asked_before = len(yard.provider.effects)
        bench.switch(bench.lane(), shadow=True)
        bench.clock.wait(10 * MINUTES)

        yard.poll()

        assert bench.order(order.id).transaction.intent == an_intent()
        assert yard.due(order).kind == "cancel"
        assert (asked_before, len(yard.provider.effects)) == (0, 0)

    def test_of_a_provider_that_is_configured_no_more_keeps_its_rows(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = many(bench, 1)[0]
        yard.lane_limits.clear()

        assert yard.poll() == 0
        assert yard.due(order).claims == 0


class TestACancelWithoutAnIntent:
    def test_is_asked_about_and_not_performed(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = bench.register(an_order(), Due(work=Work.CANCEL, at=NOON))

        yard.poll()

        assert yard.provider.questions[:1] == [order.transaction.reference]
        assert yard.provider.effects == []


class TestALeaseThatWasLost:
    def test_saves_nothing_of_what_was_learnt(self, bench: Bench) -> None:
        yard = Yard(bench)
        order = many(bench, 1)[0]

        def slowly() -> Record:
            bench.clock.wait(10 * MINUTES)
            bench.claim()
            return a_record("paid", reference=order.transaction.reference)

        yard.provider.says(order.transaction.reference, slowly)

        yard.poll(budget=0.0201)

        assert statuses(yard) == {order.id: "NEW"}
        assert not [event for event, _ in yard.reports if event == "order.moved"]
        assert yard.due(order).lease is not None
