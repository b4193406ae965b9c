"""Transactions that timed out, through every use case that has a part in them."""

from typing import Any

import pytest

from domain.model.answer import Answer, NoRecord, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.command import RecordOperation, ResolveOrder, ReverseNow
from domain.model.due_work import Work
from domain.model.order import CanceledBy, Order, OrderStatus
from domain.model.reversal import Reversal
from domain.model.transaction import Effect, OperationKind, OperationState, ReversalOutcome
from tests.builders import (
    DAYS,
    HOURS,
    MINUTES,
    NOON,
    PAYMENT,
    PROVIDER,
    SECONDS,
    a_merchant,
    a_policy,
    a_record,
    a_report,
    money,
)
from tests.fakes.bench import LEASE, Bench
from tests.fakes.rows import DueRow
from tests.unit.usecases.yard import Yard, a_registration, statuses_of

KEY = f"trueup:reverse:acme:{PAYMENT}:1"
SETTLES = NOON + 6 * HOURS
NOW = ReverseNow(merchant="shop", provider=PROVIDER, reference=PAYMENT)


@pytest.fixture
def yard(bench: Bench) -> Yard:
    return Yard(bench)


def the_reversal(yard: Yard) -> Reversal:
    (reversal,) = yard.bench.tables().reversals.values()
    return reversal


def its_row(yard: Yard) -> DueRow:
    return yard.due(the_reversal(yard).id)


def settled(yard: Yard, status: str) -> Order:
    """Let an order be paid, or underpaid, and whatever else its status needs."""
    paid = a_record("paid") if status in ("PAID", "REFUND_PENDING") else a_record("paid", amount_received=money("1.00"))
    named: dict[str, Any] = {"merchant": "shop", "order": "order-1"}
    refund = RecordOperation(**named, id="r-1", kind=OperationKind.REFUND, state=OperationState.QUEUED, amount="100.00")
    yard.receive(a_registration())
    yard.provider.says(PAYMENT, paid)
    yard.poll_when_due(yard.the_order())
    if status == "REFUND_PENDING":
        yard.receive(refund)
    if status == "RESOLVED":
        yard.receive(ResolveOrder(**named, note="sent it back"))
    return yard.the_order()


def refused(yard: Yard) -> list[str]:
    return sorted(row.name for row in yard.bench.tables().refused.values())


class TestAReport:
    def test_opens_a_reversal_that_is_due_at_once(self, yard: Yard) -> None:
        yard.receive(a_report(order="order-1"))

        reversal, row = the_reversal(yard), its_row(yard)
        assert (reversal.reference, reversal.amount, reversal.order) == (PAYMENT, money("100.00"), "order-1")
        assert (row.kind, row.due_at) == ("reverse", NOON)
        assert Work.REVERSE in yard.hints.given
        assert [row.state for row in yard.bench.tables().inbox.values()] == ["applied"]

    @pytest.mark.parametrize("again", [{}, {"response_code": "799"}, {"amount": "1.00"}], ids=str)
    def test_that_comes_again_changes_nothing(self, yard: Yard, again: dict[str, Any]) -> None:
        yard.receive(a_report())
        before = yard.bench.tables()

        yard.receive(a_report(**again))

        after = yard.bench.tables()
        assert (after.reversals, after.due, after.refused) == (before.reversals, before.due, {})

    def test_that_comes_again_after_the_end_changes_nothing(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("declined"))
        yard.poll()
        before = the_reversal(yard)

        yard.receive(a_report(response_code="797"))

        assert the_reversal(yard) == before
        assert yard.bench.due(before.id) is None
        assert before.outcome is ReversalOutcome.DECLINED

    @pytest.mark.parametrize("status", ["PAID", "REFUND_PENDING", "UNRESOLVED", "RESOLVED"])
    def test_of_the_payment_of_a_settled_order_is_refused_and_kept(self, yard: Yard, status: str) -> None:
        order = settled(yard, status)

        yard.receive(a_report())

        assert order.status == status
        assert yard.bench.tables().reversals == {}
        assert refused(yard) == ["intake.report_timeout"]
        assert yard.the_order() == order

    @pytest.mark.parametrize("given", [{"amount": "99.00"}, {"currency": "XXX"}, {"provider": "nobody"}], ids=str)
    def test_that_does_not_fit_is_refused_and_kept(self, yard: Yard, given: dict[str, Any]) -> None:
        yard.receive(a_registration())

        yard.receive(a_report(**given))

        assert yard.bench.tables().reversals == {}
        assert refused(yard) == ["intake.report_timeout"]
        assert not yard.the_order().transaction.reversing

    def test_of_another_merchants_payment_is_refused(self, yard: Yard) -> None:
        yard.bench.add_merchant(a_merchant(id="another"))
        yard.receive(a_registration())

        yard.receive(a_report(merchant="another"))

        assert yard.bench.tables().reversals == {}
        assert refused(yard) == ["intake.report_timeout"]

    def test_of_what_another_merchant_has_reported_is_refused(self, yard: Yard) -> None:
        yard.bench.add_merchant(a_merchant(id="another"))
        yard.receive(a_report())

        yard.receive(a_report(merchant="another"))

        assert the_reversal(yard).merchant == "shop"
        assert refused(yard) == ["intake.report_timeout"]


class TestARegistration:
    def test_of_what_another_merchant_has_reported_is_refused(self, yard: Yard) -> None:
        yard.bench.add_merchant(a_merchant(id="another"))
        yard.receive(a_report())

        yard.receive(a_registration(merchant="another"))

        assert yard.bench.tables().orders == {}
        assert refused(yard) == ["intake.register_order"]

    def test_after_the_report_makes_an_order_that_is_held(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.receive(a_registration())

        assert yard.the_order().transaction.reversing

    @pytest.mark.parametrize(
        ("said", "outcome", "status", "reason"),
        [
            ("voided", ReversalOutcome.ALREADY_REVERSED, OrderStatus.CANCELED, "reversed"),
            ("declined", ReversalOutcome.DECLINED, OrderStatus.FAILED, "declined"),
        ],
    )
    def test_after_the_end_makes_an_order_that_knows_of_it(
        self, yard: Yard, said: str, outcome: ReversalOutcome, status: OrderStatus, reason: str
    ) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record(said))
        yard.poll()

        yard.receive(a_registration())
        yard.poll_when_due(yard.the_order())

        order = yard.the_order()
        assert order.transaction.reversal is outcome
        assert (order.status, order.reason) == (status, reason)


class TestAnOrderWhoseOwnPaymentTimedOut:
    @pytest.fixture(params=["before the report", "after the report"])
    def yard(self, bench: Bench, request: pytest.FixtureRequest) -> Yard:
        yard = Yard(bench)
        both = [a_registration(), a_report()]
        yard.receive(*(both if request.param == "before the report" else reversed(both)))
        return yard

    def test_is_held_before_anything_is_asked_about_the_reversal(self, yard: Yard) -> None:
        yard.provider.says(PAYMENT, a_record("paid"))
        yard.bench.clock.wait(1 * MINUTES)

        yard.drain(yard.polling())

        order = yard.the_order()
        assert (order.status, order.transaction.reversing) == (OrderStatus.NEW, True)
        assert the_reversal(yard).last_asked_at is None

    @pytest.mark.parametrize("status", ["authorized", "paid"])
    def test_is_canceled_as_reversed_once_its_payment_is_voided(self, yard: Yard, status: str) -> None:
        yard.provider.says(PAYMENT, a_record(status), a_record("voided"))
        yard.provider.does(Effect.VOID, PAYMENT, a_record("voided"))

        yard.poll()

        order = yard.the_order()
        assert statuses_of(yard.bench, order.id) == ["NEW", "CANCELED"]
        assert (order.canceled_by, order.reason) == (CanceledBy.SYSTEM, "reversed")
        assert [call.key for call in yard.provider.effects] == [KEY]
        assert the_reversal(yard).outcome is ReversalOutcome.VOIDED
        assert yard.bench.cases() == []

    @pytest.mark.parametrize("status", ["voided", "canceled", "refunded"])
    def test_is_canceled_as_reversed_if_its_payment_was_given_back(self, yard: Yard, status: str) -> None:
        yard.provider.says(PAYMENT, a_record(status))

        yard.poll()

        order = yard.the_order()
        assert (order.status, order.canceled_by, order.reason) == (OrderStatus.CANCELED, "system", "reversed")
        assert yard.provider.effects == []

    def test_is_not_paid_while_its_payment_cannot_be_voided(self, yard: Yard) -> None:
        yard.provider.says(PAYMENT, a_record("paid"))
        yard.provider.does(Effect.VOID, PAYMENT, Refused(payment_status="paid"))

        for _ in range(20):
            yard.poll()
            yard.bench.clock.wait(1 * MINUTES)

        assert statuses_of(yard.bench, yard.the_order().id) == ["NEW"]
        assert the_reversal(yard).outcome is None

    def test_is_a_persons_if_its_payment_settled(self, yard: Yard) -> None:
        yard.provider.says(PAYMENT, a_record("paid", settled=True))

        yard.poll()

        order = yard.the_order()
        assert (order.status, order.reason) == (OrderStatus.UNRESOLVED, "delayed")
        kinds = {case.kind for case in yard.bench.cases()}
        assert kinds == {CaseKind.SETTLED_UNREVERSED, CaseKind.LATE_PAYMENT}


class TestARetryOfTheMerchants:
    def test_that_is_paid_meanwhile_stays_paid_and_is_never_undone(self, yard: Yard) -> None:
        yard.receive(a_registration(), a_report())
        yard.receive(a_registration(order="order-2", reference="pay-2"))
        yard.provider.says("pay-2", a_record("paid", reference="pay-2"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("paid"), a_record("voided"))
        yard.provider.does(Effect.VOID, PAYMENT, a_record("voided"))

        for _ in range(10):
            yard.bench.clock.wait(1 * MINUTES)
            yard.poll()

        statuses = {order.reference: order.status for order in yard.bench.tables().orders.values()}
        assert statuses == {"order-1": OrderStatus.CANCELED, "order-2": OrderStatus.PAID}
        assert {call.reference for call in yard.provider.effects} == {PAYMENT}


class TestAVoid:
    @pytest.mark.parametrize("lost", [Unreachable(why="no answer"), Unintelligible(why="cut off")])
    def test_without_an_answer_is_asked_about_and_sent_again_under_the_same_key(
        self, yard: Yard, lost: Unreachable | Unintelligible
    ) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("authorized"))
        yard.provider.does(Effect.VOID, PAYMENT, lost, a_record("voided"))

        yard.poll()
        yard.poll_when_due(the_reversal(yard).id)

        assert [call.key for call in yard.provider.effects] == [KEY, KEY]
        assert yard.provider.questions == [PAYMENT, PAYMENT]
        assert the_reversal(yard).outcome is ReversalOutcome.VOIDED

    def test_is_recorded_before_it_is_sent(self, yard: Yard) -> None:
        recorded = []
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("authorized"))

        def look() -> Unreachable:
            recorded.append([intent.key for intent in yard.bench.tables().reversal_intents.values()])
            return Unreachable(why="cut off")

        yard.provider.does(Effect.VOID, PAYMENT, look)

        yard.poll()

        assert recorded == [[KEY]]

    @pytest.mark.parametrize(
        ("found", "sent"), [("voided", []), ("authorized", [KEY])], ids=["after its effect", "before its effect"]
    )
    def test_that_a_dead_worker_may_have_sent_is_asked_about_first(
        self, yard: Yard, found: str, sent: list[str]
    ) -> None:
        def approved_and_then_no_effects() -> Answer:
            yard.bench.switch(yard.bench.lane(), no_effects=True)
            return a_record("authorized")

        yard.receive(a_report())
        yard.provider.says(PAYMENT, approved_and_then_no_effects)
        yard.poll()
        yard.bench.switch(yard.bench.lane(), no_effects=False)
        yard.bench.claim(Work.VOID)
        yard.bench.clock.wait(LEASE)
        yard.provider.says(PAYMENT, a_record(found))
        yard.provider.does(Effect.VOID, PAYMENT, a_record("voided"))

        yard.poll()

        assert yard.provider.questions == [PAYMENT, PAYMENT]
        assert [call.key for call in yard.provider.effects] == sent
        assert the_reversal(yard).outcome is ReversalOutcome.VOIDED

    def test_is_not_sent_in_a_lane_without_effects(self, yard: Yard) -> None:
        yard.bench.switch(yard.bench.lane(), no_effects=True)
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("authorized"))

        yard.poll()
        held_back = (list(yard.provider.effects), its_row(yard).kind)
        yard.bench.switch(yard.bench.lane(), no_effects=False)
        yard.provider.does(Effect.VOID, PAYMENT, a_record("voided"))
        yard.bench.clock.wait(30 * SECONDS)
        yard.poll()

        assert held_back == ([], "reverse")
        assert [row.decided for row in yard.bench.tables().reversal_attempts] == [
            "no void: effects are switched off in its lane",
            "void",
            "stop: VOIDED",
        ]
        assert the_reversal(yard).outcome is ReversalOutcome.VOIDED
        assert [call.key for call in yard.provider.effects] == [KEY]


class TestAReversal:
    def test_of_what_was_never_on_record_is_closed_and_says_so(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, NoRecord())

        for _ in range(20):
            yard.poll()
            if the_reversal(yard).outcome is not None:
                break
            yard.bench.clock.now = its_row(yard).due_at

        reversal = the_reversal(yard)
        assert (reversal.outcome, reversal.on_record) == (ReversalOutcome.SETTLEMENT_PASSED, False)
        assert reversal.attempts == 0
        assert yard.bench.cases() == []
        assert len(yard.bench.events("reversal.ended")) == 1
        assert reversal.ended_at == SETTLES

    def test_keeps_what_was_asked_and_decided(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("authorized"))
        yard.provider.does(Effect.VOID, PAYMENT, a_record("voided"))

        yard.poll()

        kept = [(row.asked, row.key, row.decided) for row in yard.bench.tables().reversal_attempts]
        assert kept == [("inquiry", None, "void"), ("void", KEY, "stop: VOIDED")]

    def test_that_nobody_looked_after_until_settlement_is_asked_about_once_and_not_voided(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("authorized"))
        yard.bench.clock.now = SETTLES + 2 * DAYS

        yard.poll()

        assert yard.provider.effects == []
        assert the_reversal(yard).outcome is ReversalOutcome.SETTLEMENT_PASSED
        assert [case.kind for case in yard.bench.cases()] == [CaseKind.SETTLED_UNREVERSED]

    def test_is_taken_up_at_once_when_somebody_asks_for_it(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, NoRecord(), a_record("declined"))
        yard.poll()
        waiting = the_reversal(yard).outcome

        yard.receive(NOW)
        yard.poll()

        assert waiting is None
        assert yard.bench.clock.now == NOON
        assert the_reversal(yard).outcome is ReversalOutcome.DECLINED

    def test_that_ended_while_somebody_asked_for_it_is_not_taken_up_again(self, yard: Yard) -> None:
        yard.receive(a_report())

        def while_it_is_asked() -> Answer:
            yard.bench.clock.wait(1 * SECONDS)
            yard.receive(NOW)
            return a_record("declined")

        yard.provider.says(PAYMENT, while_it_is_asked, a_record("voided"))

        yard.poll()

        assert the_reversal(yard).outcome is ReversalOutcome.DECLINED
        assert yard.bench.due(the_reversal(yard).id) is None
        assert len(yard.bench.events("reversal.ended")) == 1

    def test_that_has_ended_cannot_be_taken_up(self, yard: Yard) -> None:
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("declined"))
        yard.poll()

        yard.receive(NOW)

        assert refused(yard) == ["intake.reverse_now"]
        assert yard.bench.due(the_reversal(yard).id) is None

    @pytest.mark.parametrize(
        "command",
        [
            ReverseNow(merchant="another", provider=PROVIDER, reference=PAYMENT),
            ReverseNow(merchant="shop", provider=PROVIDER, reference="never-reported"),
        ],
        ids=["another's", "none"],
    )
    def test_that_is_anothers_or_none_cannot_be_taken_up(self, yard: Yard, command: ReverseNow) -> None:
        yard.bench.add_merchant(a_merchant(id="another"))
        yard.receive(a_report())
        yard.provider.says(PAYMENT, NoRecord())
        yard.poll()
        planned = its_row(yard)

        yard.receive(command)

        (error,) = next(iter(yard.bench.tables().refused.values())).errors
        assert error == {"field": "reference", "reason": f"no timeout of {command.reference!r} was reported"}
        assert its_row(yard) == planned

    def test_is_not_taken_up_with_the_attempt_that_is_kept_for_the_end(self, bench: Bench) -> None:
        yard = Yard(bench, policy=a_policy(most_attempts=2))
        yard.receive(a_report())
        yard.provider.says(PAYMENT, a_record("pending"))
        yard.poll()
        planned = its_row(yard).due_at

        yard.receive(NOW)

        assert refused(yard) == ["intake.reverse_now"]
        assert its_row(yard).due_at == planned == SETTLES - 5 * MINUTES
