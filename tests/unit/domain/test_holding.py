"""An order whose own payment timed out: what it waits for while that is undone, and what it becomes then."""

from datetime import timedelta
from typing import Any

import pytest

from domain.model.case import CaseKind
from domain.model.decision import EntryKind
from domain.model.due_work import Due, Work
from domain.model.order import CanceledBy, Order, OrderStatus, PaymentKind
from domain.model.transaction import ParentState, ReversalOutcome
from domain.rules.reversing import hold
from tests.builders import (
    HOURS,
    MINUTES,
    NOON,
    SECONDS,
    a_cancel_request,
    a_record,
    an_intent,
    an_order,
    money,
    path_of,
)
from tests.unit.domain.steps import SOON, asked

UNDONE = [ReversalOutcome.VOIDED, ReversalOutcome.ALREADY_REVERSED]
LEFT = [ReversalOutcome.SETTLEMENT_PASSED, ReversalOutcome.EXHAUSTED, ReversalOutcome.DECLINED]
MONEY = ["authorized", "paid", "voided", "refund_pending", "refund_rejected", "refunded"]


def held(**given: Any) -> Order:
    return an_order(**{"reversing": True, "status": OrderStatus.PENDING} | given)


def let_go(outcome: ReversalOutcome, **given: Any) -> Order:
    return an_order(**{"reversal": outcome, "status": OrderStatus.PENDING} | given)


class TestAHeldOrder:
    @pytest.mark.parametrize("status", MONEY)
    @pytest.mark.parametrize("order", [OrderStatus.NEW, OrderStatus.PENDING, OrderStatus.CANCELED, OrderStatus.EXPIRED])
    def test_is_not_moved_by_money_and_looks_again_later(self, order: OrderStatus, status: str) -> None:
        work = Work.WATCH if order in (OrderStatus.CANCELED, OrderStatus.EXPIRED) else Work.POLL

        decision = asked(held(status=order), a_record(status), work=work, step=3)

        assert (decision.moves, decision.openings, decision.intents) == ((), (), ())
        assert decision.order.status is order
        assert decision.due == Due(work=work, at=SOON + 5 * MINUTES, step=3)
        assert [(entry.kind, entry.detail) for entry in decision.entries] == [(EntryKind.HELD, {"status": status})]

    def test_notes_a_status_once(self) -> None:
        decision = asked(held(provider_status="paid"), a_record("paid"))

        assert decision.entries == ()

    def test_keeps_no_figures_of_money_that_may_be_given_back(self) -> None:
        assert asked(held(), a_record("paid")).order.transaction.amount_received is None

    @pytest.mark.parametrize(
        ("status", "path"),
        [
            ("pending", []),
            ("declined", [OrderStatus.FAILED]),
            ("invalid", [OrderStatus.CANCELED]),
            ("expired", [OrderStatus.EXPIRED]),
        ],
    )
    def test_follows_what_is_no_money(self, status: str, path: list[OrderStatus]) -> None:
        assert path_of(asked(held(), a_record(status))) == path

    def test_is_not_canceled_by_what_its_reversal_may_have_done(self) -> None:
        decision = asked(held(), a_record("canceled"))

        assert decision.moves == ()
        assert decision.due == Due(work=Work.POLL, at=SOON + 5 * MINUTES)

    def test_is_canceled_by_what_was_canceled_for_itself(self) -> None:
        order = held(cancellation=5 * MINUTES, intent=an_intent(asked=True))

        decision = asked(order, a_record("canceled"), now=NOON + 6 * MINUTES, work=Work.CONFIRM)

        assert (decision.order.canceled_by, decision.order.reason) == (CanceledBy.SYSTEM, "cancellation_timeout")

    @pytest.mark.parametrize("status", ["authorized", "paid"])
    def test_is_neither_closed_nor_voided_at_its_deadline_while_money_is_there(self, status: str) -> None:
        order = held(state=ParentState.AUTHORIZED, cancel_request=a_cancel_request())

        decision = asked(order, a_record(status), work=Work.CLOSE)

        assert (decision.moves, decision.intents) == ((), ())
        assert decision.due == Due(work=Work.CLOSE, at=SOON + 5 * MINUTES)

    def test_is_closed_at_its_deadline_as_ever_while_nothing_was_paid(self) -> None:
        order = held(cancellation=5 * MINUTES)

        decision = asked(order, a_record("pending"), now=NOON + 5 * MINUTES, work=Work.CLOSE)

        assert decision.intents == (an_intent(),)

    def test_of_crypto_that_is_seen_on_its_network_is_not_moved_to_paid(self) -> None:
        order = held(kind=PaymentKind.CRYPTO, network="bitcoin")

        assert path_of(asked(order, a_record("paid", confirmations=6))) == []


class TestAnOrderWhosePaymentWasUndone:
    @pytest.mark.parametrize("outcome", UNDONE)
    @pytest.mark.parametrize("status", ["voided", "canceled", "refunded"])
    @pytest.mark.parametrize("before", [OrderStatus.NEW, OrderStatus.PENDING])
    def test_is_canceled_by_us_because_it_was_reversed(
        self, outcome: ReversalOutcome, status: str, before: OrderStatus
    ) -> None:
        decision = asked(let_go(outcome, status=before), a_record(status))

        order = decision.order
        assert path_of(decision) == [OrderStatus.CANCELED]
        assert (order.canceled_by, order.reason) == (CanceledBy.SYSTEM, "reversed")
        assert order.transaction.state is ParentState.CANCELED
        assert order.watching

    @pytest.mark.parametrize("outcome", UNDONE)
    def test_that_was_authorized_here_is_canceled_too(self, outcome: ReversalOutcome) -> None:
        order = let_go(outcome, state=ParentState.AUTHORIZED)

        assert asked(order, a_record("voided")).order.status is OrderStatus.CANCELED

    def test_is_ours_where_it_was_our_own_cancel(self) -> None:
        order = let_go(ReversalOutcome.ALREADY_REVERSED, cancellation=5 * MINUTES, intent=an_intent(confirmed=True))

        decision = asked(order, a_record("canceled"), now=NOON + 6 * MINUTES, work=Work.CONFIRM)

        assert (decision.order.canceled_by, decision.order.reason) == (CanceledBy.SYSTEM, "cancellation_timeout")

    @pytest.mark.parametrize("outcome", UNDONE)
    @pytest.mark.parametrize("status", ["voided", "refunded"])
    def test_stays_closed_without_a_case_if_it_was(self, outcome: ReversalOutcome, status: str) -> None:
        decision = asked(let_go(outcome, status=OrderStatus.CANCELED), a_record(status), work=Work.WATCH)

        assert (decision.moves, decision.openings) == ((), ())

    def test_is_a_persons_if_only_a_part_is_back(self) -> None:
        record = a_record("refunded", amount_refunded=money("40.00"))

        decision = asked(let_go(ReversalOutcome.ALREADY_REVERSED), record)

        assert decision.order.status is OrderStatus.UNRESOLVED
        assert decision.openings != ()

    @pytest.mark.parametrize("span", [1 * MINUTES, 1 * HOURS])
    def test_is_unresolved_if_money_shows_up_all_the_same(self, span: timedelta) -> None:
        order = let_go(ReversalOutcome.VOIDED, status=OrderStatus.CANCELED)

        decision = asked(order, a_record("paid"), now=NOON + span, work=Work.WATCH)

        assert (decision.order.status, decision.order.reason) == (OrderStatus.UNRESOLVED, "delayed")
        assert [opening.kind for opening in decision.openings] == [CaseKind.LATE_PAYMENT]


class TestAnOrderWhosePaymentWasNotUndone:
    @pytest.mark.parametrize("outcome", LEFT)
    def test_is_unresolved_if_it_is_paid_for_its_merchant_was_told_to_try_again(self, outcome: ReversalOutcome) -> None:
        decision = asked(let_go(outcome), a_record("paid", paid_at=NOON + 1 * SECONDS))

        assert path_of(decision) == [OrderStatus.UNRESOLVED]
        assert decision.order.reason == "delayed"
        assert [opening.kind for opening in decision.openings] == [CaseKind.LATE_PAYMENT]

    @pytest.mark.parametrize(
        ("status", "path"),
        [("declined", [OrderStatus.FAILED]), ("pending", []), ("authorized", [])],
    )
    def test_goes_on_by_what_its_provider_says(self, status: str, path: list[OrderStatus]) -> None:
        assert path_of(asked(let_go(ReversalOutcome.DECLINED), a_record(status))) == path


class TestAReversalThatOpens:
    def test_holds_its_order_and_leaves_its_plan(self) -> None:
        decision = hold(an_order(), now=NOON, actor="merchant:key")

        assert decision.order.transaction.reversing
        assert decision.keep_due
        assert decision.moves == ()
        assert [entry.kind for entry in decision.entries] == [EntryKind.REVERSAL_OPENED]
        assert decision.actor == "merchant:key"
