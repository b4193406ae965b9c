"""The race of the design: the customer pays at every step of the closing, and the money is always seen."""

import json
from datetime import datetime

import pytest

from domain.model.answer import Answer, Record, Refused, Unreachable
from domain.model.case import CaseKind
from domain.model.command import PollOrder, RecordOperation, ResolveOrder
from domain.model.order import OrderStatus
from domain.model.transaction import Effect, OperationKind, OperationState
from tests.builders import HOURS, MINUTES, NOON, PAYMENT, a_record
from tests.fakes.bench import Bench
from tests.unit.usecases.yard import Yard, a_registration

DEADLINE = NOON + 2 * MINUTES
IN_TIME, LATE = DEADLINE - 1 * MINUTES, DEADLINE + 1 * MINUTES


class Till:
    """A provider's payment, which the customer pays at the step that the test names."""

    def __init__(self, yard: Yard, *, pays: str, paid_at: datetime = LATE) -> None:
        self._pays = pays
        self._paid_at = paid_at
        self._paid = False
        self._canceled = False
        self._inquiries = 0
        yard.provider.says(PAYMENT, self.inquire)
        yard.provider.does(Effect.CANCEL, PAYMENT, self.cancel)

    def inquire(self) -> Answer:
        self._inquiries += 1
        self._reach(f"before inquiry {self._inquiries}")
        answer = self._record()
        self._reach(f"after inquiry {self._inquiries}")
        return answer

    def cancel(self) -> Answer:
        self._reach("before the cancel")
        if self._paid:
            return Refused(payment_status="paid")
        if self._pays == "instead of the cancel":
            self._paid = True
            return Unreachable(why="cut off")
        self._canceled = True
        self._reach("after the cancel")
        return self._record() if self._pays != "after a cancel whose answer is lost" else self._lost()

    def _lost(self) -> Answer:
        self._paid = True
        return Unreachable(why="cut off")

    def _reach(self, step: str) -> None:
        self._paid = self._paid or step == self._pays

    def _record(self) -> Record:
        if self._paid:
            return a_record("paid", paid_at=self._paid_at)
        return a_record("canceled" if self._canceled else "pending")


STEPS = [
    "before inquiry 1",  # before we ask at the deadline
    "after inquiry 1",  # between asking and canceling
    "before the cancel",  # while the cancel is on its way
    "instead of the cancel",  # the cancel is lost, and the money there
    "after the cancel",  # the provider had confirmed
    "after a cancel whose answer is lost",
    "before inquiry 2",  # before the confirmation
    "after inquiry 2",  # once the order is closed: the watch sees it
]


@pytest.fixture
def yard(bench: Bench) -> Yard:
    yard = Yard(bench)
    bench.add_endpoint()
    yard.receive(a_registration(cancellation_timeout=2 * MINUTES))
    bench.clock.now = LATE + 1 * MINUTES
    return yard


def play(yard: Yard) -> None:
    """Let everything happen that is due within two hours."""
    end = DEADLINE + 2 * HOURS
    while True:
        yard.poll()
        row = yard.bench.due(yard.the_order().id)
        if row is None or row.due_at > end:
            return
        yard.bench.clock.now = max(yard.bench.clock.now, row.due_at)


class TestACustomerWhoPaysLate:
    @pytest.mark.parametrize("step", STEPS)
    def test_is_seen_wherever_the_closing_is(self, yard: Yard, step: str) -> None:
        Till(yard, pays=step)

        play(yard)

        order = yard.the_order()
        assert (order.status, order.reason) == (OrderStatus.UNRESOLVED, "delayed")
        (case,) = yard.bench.cases()
        assert (case.kind, case.amount_at_risk, case.closed_at) == (CaseKind.LATE_PAYMENT, order.amount, None)

    @pytest.mark.parametrize("step", STEPS)
    def test_is_settled_by_the_merchant_and_the_callbacks_say_so(self, yard: Yard, step: str) -> None:
        Till(yard, pays=step)
        play(yard)

        yard.receive(ResolveOrder(merchant="shop", order="order-1", note="delivered after all"))
        yard.deliver()

        told = [json.loads(delivery.body) for delivery in yard.endpoints.tries]
        statuses = [said["data"]["status"] for said in told if said["type"] == "order.status_changed"]
        assert statuses[-2:] == ["UNRESOLVED", "RESOLVED"]
        assert [said["type"] for said in told if said["type"].startswith("case.")] == ["case.opened", "case.closed"]
        (case,) = yard.bench.cases()
        assert case.note == "delivered after all"
        assert [entry.kind for entry in yard.bench.tables().case_entries] == ["opened", "action", "closed"]

    @pytest.mark.parametrize("step", ["before inquiry 1", "before the cancel"])
    def test_is_paid_if_the_money_came_in_time_and_was_only_learnt_late(self, yard: Yard, step: str) -> None:
        Till(yard, pays=step, paid_at=IN_TIME)

        play(yard)

        assert yard.the_order().status is OrderStatus.PAID
        assert yard.bench.cases() == []


class TestTheCaseOfALatePayment:
    def test_says_that_nothing_is_at_risk_once_all_is_given_back(self, yard: Yard) -> None:
        Till(yard, pays="after inquiry 2")
        play(yard)

        refund = RecordOperation(
            merchant="shop",
            order="order-1",
            id="r-1",
            kind=OperationKind.REFUND,
            state=OperationState.DONE,
            amount="100.00",
        )
        yard.receive(refund)

        (case,) = yard.bench.cases()
        assert case.closed_at is None
        assert case.amount_at_risk == 0
        assert yard.the_order().status is OrderStatus.UNRESOLVED
        assert [entry.note for entry in yard.bench.tables().case_entries][1:] == [
            "all that was received has been given back: it can be resolved"
        ]


class TestAContradiction:
    def test_is_closed_when_the_provider_says_again_what_it_had_said(self, bench: Bench) -> None:
        yard = Yard(bench)
        yard.receive(a_registration())
        yard.provider.says(PAYMENT, a_record("paid"), a_record("declined"), a_record("paid"))
        yard.poll_when_due(yard.the_order())
        for key in ("first", "second"):
            yard.receive(PollOrder(merchant="shop", order="order-1"), key=key)
            yard.poll()

        (case,) = bench.cases()
        assert case.kind == CaseKind.CONTRADICTION
        assert (case.closed_by, case.note) == (
            "system:reconcile",
            "the provider says paid, which agrees with what is known",
        )
        assert yard.the_order().status is OrderStatus.PAID
