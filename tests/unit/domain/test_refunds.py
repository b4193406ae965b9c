from typing import Any

import pytest

from domain.model.case import CaseKind
from domain.model.due_work import Due, Work
from domain.model.order import Order, OrderStatus
from domain.model.transaction import OperationState as O
from domain.model.transaction import ParentState
from tests.builders import MINUTES, a_record, a_refund, an_order, money, path_of
from tests.unit.domain.steps import SOON, asked

S = OrderStatus


def refunds_of(order: Order) -> list[tuple[str, str, str]]:
    return [(o.id, o.state.value, str(o.amount)) for o in order.transaction.operations]


def refunding(*operations: Any, **given: Any) -> Order:
    return an_order(status=S.REFUND_PENDING, operations=operations, **given)


class TestARefundThatTheProviderReports:
    def test_as_pending_is_of_all_that_was_received(self) -> None:
        decision = asked(an_order(status=S.PAID), a_record("refund_pending"), work=Work.WATCH)

        assert path_of(decision) == [S.REFUND_PENDING]
        assert refunds_of(decision.order) == [("provider:1", "queued", "100.00")]
        assert decision.due == Due(work=Work.POLL, at=SOON + 1 * MINUTES)

    def test_as_done_gives_all_back(self) -> None:
        decision = asked(an_order(status=S.PAID), a_record("refunded"), work=Work.WATCH)

        assert path_of(decision) == [S.REFUNDED]
        assert refunds_of(decision.order) == [("provider:1", "done", "100.00")]
        assert decision.order.transaction.state is ParentState.PAID
        assert decision.due is None

    def test_as_done_after_it_was_pending_is_one_refund(self) -> None:
        pending = asked(an_order(status=S.PAID), a_record("refund_pending")).order

        assert refunds_of(asked(pending, a_record("refunded")).order) == [("provider:1", "done", "100.00")]

    def test_as_rejected_leaves_the_order_paid(self) -> None:
        pending = asked(an_order(status=S.PAID), a_record("refund_pending")).order

        decision = asked(pending, a_record("refund_rejected"))

        assert (decision.order.status, decision.order.reason) == (S.PAID, "refund_rejected")
        assert refunds_of(decision.order) == [("provider:1", "rejected", "100.00")]
        assert decision.due is None

    def test_as_rejected_without_having_been_pending_is_kept(self) -> None:
        decision = asked(an_order(), a_record("refund_rejected", amount_received=money("100.00")))

        assert decision.order.status is S.PAID
        assert refunds_of(decision.order) == [("provider:1", "rejected", "100.00")]

    def test_in_part_leaves_the_order_paid(self) -> None:
        record = a_record("refunded", amount_refunded=money("40.00"))

        order = asked(an_order(status=S.PAID), record, work=Work.WATCH).order

        assert order.status is S.PAID
        assert refunds_of(order) == [("provider:1", "done", "40.00")]

    def test_in_part_and_then_pending_keeps_what_is_done(self) -> None:
        in_part = asked(an_order(status=S.PAID), a_record("paid", amount_refunded=money("30.00"))).order

        order = asked(in_part, a_record("refund_pending", amount_refunded=money("30.00"))).order

        assert refunds_of(order) == [("provider:1", "done", "30.00"), ("provider:2", "queued", "70.00")]
        assert order.status is S.REFUND_PENDING

    def test_in_two_parts_is_whole(self) -> None:
        in_part = asked(an_order(status=S.PAID), a_record("paid", amount_refunded=money("30.00"))).order

        order = asked(in_part, a_record("refunded", amount_refunded=money("100.00"))).order

        assert order.status is S.REFUNDED
        assert refunds_of(order) == [("provider:1", "done", "30.00"), ("provider:2", "done", "70.00")]

    def test_again_is_reported_once(self) -> None:
        once = asked(an_order(status=S.PAID), a_record("paid", amount_refunded=money("30.00"))).order

        assert asked(once, a_record("paid", amount_refunded=money("30.00"))).order == once

    def test_by_an_older_answer_takes_nothing_back(self) -> None:
        refunded = asked(an_order(status=S.PAID), a_record("refunded")).order

        for word in ("refund_pending", "refund_rejected", "paid"):
            assert asked(refunded, a_record(word, amount_received=money("100.00"))).order.status is S.REFUNDED

    @pytest.mark.parametrize("status", [S.UNRESOLVED, S.RESOLVED])
    @pytest.mark.parametrize("word", ["refund_pending", "refunded"])
    def test_is_kept_and_does_not_move_an_order_that_is_a_persons(self, status: OrderStatus, word: str) -> None:
        decision = asked(an_order(status=status), a_record(word), work=Work.WATCH)

        assert decision.moves == ()
        assert len(decision.operations) == 1


class TestARefundThatAProducerAnnounced:
    def test_is_what_the_provider_reports_as_pending(self) -> None:
        order = refunding(a_refund("r-1", amount="40.00"))

        decision = asked(order, a_record("refund_pending"))

        assert decision.operations == ()
        assert decision.moves == ()

    @pytest.mark.parametrize(
        ("word", "refunded", "status", "reason"),
        [
            ("paid", "40.00", S.PAID, "refunded_in_part"),
            ("refunded", "40.00", S.PAID, "refunded_in_part"),
            ("refunded", "100.00", S.REFUNDED, None),
        ],
    )
    def test_is_done_when_the_providers_total_covers_it(
        self, word: str, refunded: str, status: OrderStatus, reason: str | None
    ) -> None:
        order = refunding(a_refund("r-1", amount="40.00"))

        decision = asked(order, a_record(word, amount_refunded=money(refunded)))

        assert (decision.order.status, decision.order.reason) == (status, reason)
        assert ("r-1", "done", "40.00") in refunds_of(decision.order)
        assert sum(o.amount for o in decision.order.transaction.operations) == money(refunded)

    def test_goes_on_while_the_provider_only_says_paid(self) -> None:
        decision = asked(refunding(a_refund("r-1")), a_record("paid"))

        assert decision.moves == ()
        assert decision.due is not None

    def test_is_rejected_when_the_provider_rejects(self) -> None:
        decision = asked(refunding(a_refund("r-1", amount="40.00")), a_record("refund_rejected"))

        assert (decision.order.status, decision.order.reason) == (S.PAID, "refund_rejected")
        assert refunds_of(decision.order) == [("r-1", "rejected", "40.00")]

    def test_after_one_that_is_done_is_rejected_and_leaves_the_order_refunded_in_part(self) -> None:
        order = refunding(a_refund("r-1", O.DONE, "30.00"), a_refund("r-2", amount="40.00"))

        decision = asked(order, a_record("refund_rejected", amount_refunded=money("30.00")))

        assert (decision.order.status, decision.order.reason) == (S.PAID, "refunded_in_part")

    def test_did_not_come_true_if_the_provider_gave_back_another_sum_and_is_through(self) -> None:
        order = refunding(a_refund("r-1", amount="80.00"))

        decision = asked(order, a_record("refunded", amount_refunded=money("50.00")))

        assert refunds_of(decision.order) == [("r-1", "rejected", "80.00"), ("provider:1", "done", "50.00")]
        assert decision.order.status is S.PAID

    def test_never_adds_up_to_more_than_was_received(self) -> None:
        order = refunding(a_refund("r-1", amount="30.00"), a_refund("r-2", amount="70.00"))

        decision = asked(order, a_record("paid", amount_refunded=money("50.00")))

        live = [o.amount for o in decision.order.transaction.operations if o.state is not O.REJECTED]
        assert sum(live) <= money("100.00")

    def test_that_never_ends_is_a_persons_when_the_cadence_is_used_up(self) -> None:
        decision = asked(refunding(a_refund("r-1")), a_record("refund_pending"), step=9)

        assert [opening.kind for opening in decision.openings] == [CaseKind.POLLING_EXHAUSTED]
        assert decision.due is None
