"""A cancel whose answer was lost: the queue of reversals takes it to an end, by what it finds."""

import pytest

from domain.model.answer import Answer, NoRecord, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.due_work import Work
from domain.model.order import CanceledBy, OrderStatus
from domain.model.transaction import Effect
from tests.builders import MINUTES, NOON, PAYMENT, a_record
from tests.fakes.bench import Bench
from tests.unit.usecases.yard import Yard, a_registration

KEY = f"trueup:cancel:acme:{PAYMENT}:1"
DEADLINE = NOON + 5 * MINUTES


@pytest.fixture(params=[Unreachable(why="no answer"), Unintelligible(why="cut off")], ids=["lost", "cut"])
def yard(bench: Bench, request: pytest.FixtureRequest) -> Yard:
    """An order whose deadline has passed, and whose cancel was sent and not answered."""
    yard = Yard(bench)
    yard.receive(a_registration(cancellation_timeout=5 * MINUTES))
    yard.provider.says(PAYMENT, a_record("pending"))
    yard.provider.does(Effect.CANCEL, PAYMENT, request.param, a_record("canceled"))
    bench.clock.now = DEADLINE
    yard.poll()
    return yard


def found(yard: Yard, *answers: Answer) -> None:
    """Let the time for asking come, and what is asked about be so."""
    yard.provider.says(PAYMENT, *answers)
    yard.bench.clock.now = yard.due(yard.the_order()).due_at
    yard.drain(yard.reversing())


class TestACancelInDoubt:
    def test_leaves_its_order_as_it_is_to_the_queue_of_reversals(self, yard: Yard) -> None:
        order = yard.the_order()

        assert order.status is OrderStatus.PENDING
        assert yard.due(order).kind == Work.CONFIRM
        assert yard.due(order).due_at > DEADLINE
        assert [call.key for call in yard.provider.effects] == [KEY]

    @pytest.mark.parametrize("status", ["created", "pending", "attempted"])
    def test_is_sent_again_under_its_key_if_the_payment_is_open(self, yard: Yard, status: str) -> None:
        found(yard, a_record(status), a_record("canceled"))

        order = yard.the_order()
        assert [call.key for call in yard.provider.effects] == [KEY, KEY]
        assert (order.status, order.canceled_by, order.reason) == ("CANCELED", "system", "cancellation_timeout")

    @pytest.mark.parametrize("status", ["canceled", "voided"])
    def test_was_done_if_the_payment_is_canceled(self, yard: Yard, status: str) -> None:
        found(yard, a_record(status))

        order = yard.the_order()
        assert (order.status, order.canceled_by) == (OrderStatus.CANCELED, CanceledBy.SYSTEM)
        assert order.reason == "cancellation_timeout"
        assert len(yard.provider.effects) == 1

    @pytest.mark.parametrize(
        ("status", "ends"),
        [("expired", OrderStatus.EXPIRED), ("declined", OrderStatus.FAILED), ("invalid", OrderStatus.CANCELED)],
    )
    def test_ends_with_the_payment(self, yard: Yard, status: str, ends: OrderStatus) -> None:
        found(yard, a_record(status))

        assert yard.the_order().status is ends
        assert len(yard.provider.effects) == 1

    def test_gives_way_to_a_payment_that_is_authorized(self, yard: Yard) -> None:
        found(yard, a_record("authorized"))
        order = yard.the_order()

        yard.provider.says(PAYMENT, a_record("paid", paid_at=DEADLINE))
        yard.poll_when_due(order)

        assert (order.status, yard.bench.cases()) == (OrderStatus.PENDING, [])
        assert yard.the_order().status is OrderStatus.PAID
        assert {call.effect for call in yard.provider.effects} == {Effect.CANCEL}

    def test_gives_way_to_a_payment_in_time(self, yard: Yard) -> None:
        found(yard, a_record("paid", paid_at=DEADLINE - 1 * MINUTES))

        assert yard.the_order().status is OrderStatus.PAID
        assert yard.bench.due(yard.the_order().id) is None

    def test_is_a_case_if_nothing_is_learnt_till_the_retries_are_used_up(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, Unreachable(why="no answer"))

        for _ in range(10):
            if yard.bench.due(yard.the_order().id) is not None:
                found(yard, a_record("pending"))

        assert [case.kind for case in yard.bench.cases()] == [CaseKind.CANCEL_IN_DOUBT]
        assert yard.the_order().status is OrderStatus.PENDING
        assert {call.key for call in yard.provider.effects} == {KEY}

    def test_waits_while_the_provider_cannot_be_asked(self, yard: Yard) -> None:
        found(yard, Unreachable(why="no connection"))

        assert yard.the_order().status is OrderStatus.PENDING
        assert yard.due(yard.the_order()).due_at > yard.bench.clock.now

    def test_waits_for_a_record_that_is_gone(self, yard: Yard) -> None:
        found(yard, NoRecord())

        assert yard.the_order().status is OrderStatus.PENDING
        assert yard.due(yard.the_order()).due_at > yard.bench.clock.now

    def test_is_not_sent_in_a_lane_without_effects(self, yard: Yard) -> None:
        yard.bench.switch(yard.bench.lane(), no_effects=True)

        found(yard, a_record("pending"))

        assert len(yard.provider.effects) == 1
        assert yard.due(yard.the_order()).kind == Work.CANCEL
