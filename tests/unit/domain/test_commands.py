from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import pytest

from domain.model.case import CaseKind
from domain.model.command import (
    CancelOrder,
    CheckoutCompleted,
    OrderCommand,
    PollOrder,
    RecordAttempt,
    RecordOperation,
    ResolveOrder,
)
from domain.model.decision import CommandState
from domain.model.due_work import Due, Work
from domain.model.order import CanceledBy, Order, OrderStatus, Resolution
from domain.model.transaction import AttemptState, OperationKind, OperationState, ParentState
from domain.rules.commands import CommandRefused
from tests.builders import (
    HOURS,
    MINUTES,
    NOON,
    a_cancel_request,
    a_refund,
    an_attempt,
    an_operation,
    an_order,
    money,
    path_of,
)
from tests.unit.domain.steps import SOON, commanded

S = OrderStatus
P = ParentState
NAMES: Final[dict[str, Any]] = {"merchant": "shop", "order": "order-1"}
POLL_NOW = Due(work=Work.POLL, at=SOON)
CLOSE_NOW = Due(work=Work.CLOSE, at=SOON)


def refused(order: Order, command: OrderCommand, *, resolution: Resolution | None = None) -> str:
    """Return the field that the refusal names."""
    with pytest.raises(CommandRefused) as refusal:
        commanded(order, command, resolution=resolution)
    return refusal.value.field


def cancel(by: CanceledBy = CanceledBy.USER, reason: str | None = "changed my mind") -> CancelOrder:
    return CancelOrder(**NAMES, by=by, reason=reason)


def attempt(key: str, state: AttemptState) -> RecordAttempt:
    return RecordAttempt(**NAMES, id=key, state=state)


def operation(
    key: str, kind: OperationKind, amount: str = "100.00", state: OperationState = OperationState.QUEUED
) -> RecordOperation:
    return RecordOperation(**NAMES, id=key, kind=kind, state=state, amount=amount)


class TestCompletingTheCheckout:
    def test_starts_its_deadline_and_asks_now(self) -> None:
        state, decision = commanded(an_order(checkout=2 * MINUTES), CheckoutCompleted(**NAMES, at=NOON))

        assert state is CommandState.APPLIED
        assert decision.order.checkout_completed_at == NOON
        assert decision.due == POLL_NOW

    def test_long_ago_closes_now(self) -> None:
        long_ago = CheckoutCompleted(**NAMES, at=NOON - 1 * HOURS)

        assert commanded(an_order(checkout=2 * MINUTES), long_ago)[1].due == CLOSE_NOW

    def test_without_a_time_counts_from_now(self) -> None:
        assert commanded(an_order(), CheckoutCompleted(**NAMES))[1].order.checkout_completed_at == SOON

    @pytest.mark.parametrize("at", [None, NOON + 1 * HOURS])
    def test_again_changes_nothing(self, at: datetime | None) -> None:
        order = an_order(checkout_completed_at=NOON)

        state, decision = commanded(order, CheckoutCompleted(**NAMES, at=at))

        assert state is CommandState.APPLIED
        assert decision.order == order
        assert decision.keep_due

    def test_of_an_order_that_has_ended_leaves_its_plan(self) -> None:
        assert commanded(an_order(status=S.PAID), CheckoutCompleted(**NAMES))[1].keep_due


class TestCanceling:
    @pytest.mark.parametrize("state", [P.CREATED, P.PENDING, P.ATTEMPTED, P.AUTHORIZED, P.COD])
    def test_an_open_order_is_a_wish_until_the_provider_has_settled_it(self, state: ParentState) -> None:
        said, decision = commanded(an_order(status=S.PENDING, state=state), cancel())

        assert said is CommandState.ACCEPTED
        assert decision.order.status is S.PENDING
        request = decision.order.cancel_request
        assert request is not None
        assert (request.by, request.reason, request.command) == ("user", "changed my mind", 41)
        assert decision.due == CLOSE_NOW

    @pytest.mark.parametrize(
        "status", [S.PAID, S.REFUND_PENDING, S.REFUNDED, S.UNRESOLVED, S.RESOLVED, S.EXPIRED, S.FAILED]
    )
    def test_is_refused_for_every_other_order(self, status: OrderStatus) -> None:
        assert refused(an_order(status=status), cancel()) == "order"

    @pytest.mark.parametrize(
        "order",
        [
            an_order(status=S.CANCELED, canceled_by=CanceledBy.MERCHANT, reason="out of stock"),
            an_order(status=S.PENDING, cancel_request=a_cancel_request()),
        ],
    )
    @pytest.mark.parametrize("reason", ["out of stock", None])
    def test_twice_is_canceling_once(self, order: Order, reason: str | None) -> None:
        state, decision = commanded(order, cancel(CanceledBy.MERCHANT, reason))

        assert state is CommandState.APPLIED
        assert decision.order == order
        assert decision.keep_due

    @pytest.mark.parametrize(
        "order",
        [
            an_order(status=S.CANCELED, canceled_by=CanceledBy.MERCHANT, reason="out of stock"),
            an_order(status=S.PENDING, cancel_request=a_cancel_request()),
        ],
    )
    @pytest.mark.parametrize(
        ("command", "field"), [(cancel(CanceledBy.USER), "by"), (cancel(CanceledBy.MERCHANT), "reason")]
    )
    def test_twice_and_otherwise_is_refused_for_the_first_stands(
        self, order: Order, command: CancelOrder, field: str
    ) -> None:
        assert refused(order, command) == field


class TestRecordingAnAttempt:
    @pytest.mark.parametrize("state", AttemptState)
    def test_keeps_it_and_asks_the_provider_who_alone_moves_the_parent(self, state: AttemptState) -> None:
        said, decision = commanded(an_order(), attempt("a-1", state))

        assert said is CommandState.APPLIED
        assert [(a.id, a.state, a.position) for a in decision.attempts] == [("a-1", state, 1)]
        assert (decision.order.status, decision.order.transaction.state) == (S.NEW, P.CREATED)
        assert decision.due == POLL_NOW

    def test_closes_if_the_deadline_has_passed(self) -> None:
        order = an_order(cancellation=1 * MINUTES)

        assert commanded(order, attempt("a-1", AttemptState.PENDING))[1].due == CLOSE_NOW

    def test_of_a_closed_order_looks_for_late_money_now(self) -> None:
        _, decision = commanded(an_order(status=S.CANCELED), attempt("a-1", AttemptState.SUCCESS))

        assert decision.due == Due(work=Work.WATCH, at=SOON)

    def test_of_a_paid_order_leaves_its_plan(self) -> None:
        assert commanded(an_order(status=S.PAID), attempt("a-1", AttemptState.SUCCESS))[1].keep_due

    @pytest.mark.parametrize("state", [AttemptState.PENDING, AttemptState.ERROR, AttemptState.SUCCESS])
    def test_refuses_to_go_back(self, state: AttemptState) -> None:
        failed = an_order(attempts=(an_attempt("a-1", AttemptState.FAILED),))

        assert refused(failed, attempt("a-1", state)) == "attempt.state"

    def test_moves_one_that_was_in_error(self) -> None:
        in_error = an_order(attempts=(an_attempt("a-1", AttemptState.ERROR),))

        _, decision = commanded(in_error, attempt("a-1", AttemptState.SUCCESS))

        assert [(a.state, a.position) for a in decision.attempts] == [("success", 1)]

    def test_refuses_more_than_the_order_allows(self) -> None:
        assert refused(an_order(attempts=(an_attempt("a-1"),)), attempt("a-2", AttemptState.PENDING)) == "attempt.id"

    def test_allows_any_number_where_there_is_no_limit(self) -> None:
        attempts = tuple(an_attempt(f"a-{n}", AttemptState.FAILED, n) for n in range(1, 31))

        _, decision = commanded(an_order(attempts_allowed=0, attempts=attempts), attempt("a-31", AttemptState.PENDING))

        assert decision.attempts[0].position == 31

    def test_twice_is_recording_it_once(self) -> None:
        order = an_order(attempts=(an_attempt("a-1"),))

        _, decision = commanded(order, attempt("a-1", AttemptState.PENDING))

        assert decision.order == order
        assert decision.keep_due


class TestRecordingAnOperation:
    HELD = an_order(status=S.PENDING, state=P.AUTHORIZED)
    PAID = an_order(status=S.PAID)

    def held(self, *operations: Any) -> Order:
        return an_order(status=S.PENDING, state=P.AUTHORIZED, operations=operations)

    def test_of_a_refund_moves_a_paid_order_to_refund_pending(self) -> None:
        _, decision = commanded(self.PAID, operation("r-1", OperationKind.REFUND, "40.00"))

        assert path_of(decision) == [S.REFUND_PENDING]
        assert decision.due == POLL_NOW

    def test_of_a_whole_refund_that_is_done_ends_it(self) -> None:
        order = an_order(status=S.REFUND_PENDING, operations=(a_refund("r-1"),))

        done = operation("r-1", OperationKind.REFUND, state=OperationState.DONE)
        _, decision = commanded(order, done)

        assert path_of(decision) == [S.REFUNDED]
        assert decision.due is None
        assert not decision.keep_due

    @pytest.mark.parametrize(
        ("state", "reason"),
        [(OperationState.REJECTED, "refund_rejected"), (OperationState.DONE, "refunded_in_part")],
    )
    def test_of_a_refund_that_was_rejected_or_partial_leads_back_to_paid(
        self, state: OperationState, reason: str
    ) -> None:
        order = an_order(status=S.REFUND_PENDING, operations=(a_refund("r-1", amount="40.00"),))

        _, decision = commanded(order, operation("r-1", OperationKind.REFUND, "40.00", state))

        assert (decision.order.status, decision.order.reason) == (S.PAID, reason)

    @pytest.mark.parametrize("status", [S.UNRESOLVED, S.RESOLVED])
    def test_of_a_refund_is_kept_and_does_not_move_what_is_a_persons(self, status: OrderStatus) -> None:
        _, decision = commanded(an_order(status=status), operation("r-1", OperationKind.REFUND, "40.00"))

        assert decision.moves == ()
        assert decision.keep_due
        assert len(decision.operations) == 1

    def test_of_partial_captures_may_repeat_and_keeps_the_parent_authorized(self) -> None:
        order = self.held(an_operation("c-1", OperationKind.CAPTURE, amount="60.00"))

        _, decision = commanded(order, operation("c-2", OperationKind.CAPTURE, "40.00"))

        assert decision.order.transaction.state is P.AUTHORIZED
        assert decision.moves == ()
        assert decision.due == POLL_NOW

    @pytest.mark.parametrize(
        ("order", "command", "field"),
        [
            (an_order(), operation("c-1", OperationKind.CAPTURE), "operation.kind"),
            (PAID, operation("c-1", OperationKind.CAPTURE), "operation.kind"),
            (HELD, operation("c-1", OperationKind.CAPTURE, "100.01"), "operation.amount"),
            (an_order(), operation("r-1", OperationKind.REFUND), "operation.kind"),
            (HELD, operation("r-1", OperationKind.REFUND, "0.01"), "operation.amount"),
            (PAID, operation("r-1", OperationKind.REFUND, "100.01"), "operation.amount"),
            (PAID, operation("v-1", OperationKind.VOID), "operation.kind"),
            (HELD, operation("v-1", OperationKind.VOID, "0"), "operation.amount"),
            (HELD, operation("v-1", OperationKind.VOID, "0.001"), "operation.amount"),
        ],
    )
    def test_refuses_what_would_not_conserve_money(self, order: Order, command: RecordOperation, field: str) -> None:
        assert refused(order, command) == field

    @pytest.mark.parametrize("state", [OperationState.QUEUED, OperationState.DONE])
    def test_counts_captures_refunds_and_voids_together(self, state: OperationState) -> None:
        capturing = self.held(an_operation("c-1", OperationKind.CAPTURE, state, "60.00"))
        voiding = self.held(an_operation("v-1", OperationKind.VOID, state))
        refunding = an_order(status=S.PAID, operations=(a_refund("r-1", state, "60.00"),))

        assert refused(capturing, operation("c-2", OperationKind.CAPTURE, "40.01")) == "operation.amount"
        assert refused(capturing, operation("v-1", OperationKind.VOID)) == "operation.kind"
        assert refused(voiding, operation("c-1", OperationKind.CAPTURE)) == "operation.kind"
        assert refused(refunding, operation("r-2", OperationKind.REFUND, "40.01")) == "operation.amount"

    def test_counts_the_providers_total_where_it_is_more(self) -> None:
        order = an_order(status=S.PAID, amount_refunded=money("80.00"))

        assert refused(order, operation("r-1", OperationKind.REFUND, "20.01")) == "operation.amount"

    def test_refunds_only_what_was_received(self) -> None:
        short = an_order(status=S.UNRESOLVED, amount_received=Decimal(0))

        assert refused(short, operation("r-1", OperationKind.REFUND, "0.01")) == "operation.amount"

    def test_refunds_only_captures_that_are_done(self) -> None:
        queued = self.held(an_operation("c-1", OperationKind.CAPTURE, OperationState.QUEUED, "60.00"))
        done = self.held(an_operation("c-1", OperationKind.CAPTURE, OperationState.DONE, "60.00"))

        assert refused(queued, operation("r-1", OperationKind.REFUND, "60.00")) == "operation.amount"
        assert commanded(done, operation("r-1", OperationKind.REFUND, "60.00"))[0] is CommandState.APPLIED

    def test_lets_a_capture_end_after_the_provider_has_said_paid(self) -> None:
        captured = an_operation("c-1", OperationKind.CAPTURE, OperationState.QUEUED)
        order = an_order(status=S.PAID, operations=(captured,))

        done = operation("c-1", OperationKind.CAPTURE, state=OperationState.DONE)
        assert commanded(order, done)[0] is CommandState.APPLIED

    def test_refuses_to_end_a_void_where_something_was_captured_meanwhile(self) -> None:
        queued = an_operation("v-1", OperationKind.VOID, OperationState.QUEUED)
        order = self.held(queued, an_operation("c-1", OperationKind.CAPTURE))

        assert refused(order, operation("v-1", OperationKind.VOID, state=OperationState.DONE)) == "operation.kind"

    @pytest.mark.parametrize(
        ("command", "field"),
        [
            (operation("r-1", OperationKind.REFUND, "50.00", OperationState.DONE), "operation"),
            (operation("r-1", OperationKind.CAPTURE, "40.00", OperationState.DONE), "operation"),
            (operation("r-1", OperationKind.REFUND, "40.00", OperationState.QUEUED), "operation.state"),
            (operation("r-1", OperationKind.REFUND, "40.00", OperationState.REJECTED), "operation.state"),
        ],
        ids=["another amount", "another kind", "back to queued", "rejected after done"],
    )
    def test_refuses_another_story_of_a_known_one(self, command: RecordOperation, field: str) -> None:
        order = an_order(status=S.PAID, operations=(a_refund("r-1", OperationState.DONE, "40.00"),))

        assert refused(order, command) == field

    def test_twice_is_recording_it_once(self) -> None:
        order = an_order(status=S.REFUND_PENDING, operations=(a_refund("r-1"),))

        _, decision = commanded(order, operation("r-1", OperationKind.REFUND))

        assert decision.order == order
        assert decision.keep_due


class TestResolving:
    def test_settles_an_unresolved_order_and_its_cases(self) -> None:
        said, decision = commanded(
            an_order(status=S.UNRESOLVED, reason="underpaid"), ResolveOrder(**NAMES, note="waived")
        )

        assert said is CommandState.APPLIED
        assert (decision.order.status, decision.order.reason) == (S.RESOLVED, "underpaid")
        assert {CaseKind.LATE_PAYMENT, CaseKind.AMOUNT_MISMATCH} <= decision.closures
        assert decision.closure_note == "waived"
        assert decision.due is None

    @pytest.mark.parametrize("by", ["ann", None])
    def test_twice_is_resolving_once(self, by: str | None) -> None:
        known = Resolution(note="waived", by="ann")

        _, decision = commanded(
            an_order(status=S.RESOLVED), ResolveOrder(**NAMES, note="waived", by=by), resolution=known
        )

        assert decision.moves == ()
        assert decision.keep_due

    @pytest.mark.parametrize(
        ("said", "field"), [({"note": "sent back"}, "note"), ({"note": "waived", "by": "bob"}, "by")]
    )
    def test_twice_and_otherwise_is_refused_for_the_first_stands(self, said: dict[str, str], field: str) -> None:
        known = Resolution(note="waived", by="ann")

        assert refused(an_order(status=S.RESOLVED), ResolveOrder(**NAMES, **said), resolution=known) == field

    @pytest.mark.parametrize("status", sorted(set(S) - {S.UNRESOLVED, S.RESOLVED}))
    def test_is_refused_for_every_other_order(self, status: OrderStatus) -> None:
        assert refused(an_order(status=status), ResolveOrder(**NAMES, note="waived")) == "order"


class TestPolling:
    @pytest.mark.parametrize(
        ("order", "work"),
        [
            (an_order(), Work.POLL),
            (an_order(status=S.REFUND_PENDING), Work.POLL),
            (an_order(cancellation=1 * MINUTES), Work.CLOSE),
            (an_order(cancel_request=a_cancel_request()), Work.CLOSE),
            (an_order(status=S.CANCELED), Work.WATCH),
            (an_order(status=S.PAID), Work.WATCH),
        ],
    )
    def test_asks_now_in_whatever_phase_the_order_is(self, order: Order, work: Work) -> None:
        said, decision = commanded(order, PollOrder(**NAMES))

        assert said is CommandState.APPLIED
        assert decision.due == Due(work=work, at=SOON)
        assert decision.order == order
