from datetime import timedelta

import pytest

from domain.model.order import Order, PaymentKind, Reason
from domain.model.transaction import ParentState
from domain.rules.deadlines import deadline_of, live_deadline, paid_in_time
from tests.builders import HOURS, MINUTES, NOON, SECONDS, an_order


class TestADeadline:
    def test_is_the_cancellation_timeout_after_the_orders_creation(self) -> None:
        deadline = deadline_of(an_order(cancellation=20 * MINUTES))

        assert (deadline.at, deadline.reason) == (NOON + 20 * MINUTES, Reason.CANCELLATION_TIMEOUT)

    @pytest.mark.parametrize(("kind", "window"), [(PaymentKind.FIAT, 3 * HOURS), (PaymentKind.CRYPTO, 60 * MINUTES)])
    def test_is_the_payment_window_without_a_cancellation_timeout(self, kind: PaymentKind, window: timedelta) -> None:
        deadline = deadline_of(an_order(kind=kind))

        assert (deadline.at, deadline.reason) == (NOON + window, Reason.PAYMENT_WINDOW)

    @pytest.mark.parametrize(
        ("cancellation", "completed", "reason"),
        [
            (60 * MINUTES, NOON + 10 * MINUTES, Reason.CHECKOUT_TIMEOUT),
            (60 * MINUTES, NOON + 59 * MINUTES, Reason.CANCELLATION_TIMEOUT),
            (60 * MINUTES, NOON + 58 * MINUTES, Reason.CANCELLATION_TIMEOUT),
            (None, NOON + 10 * MINUTES, Reason.CHECKOUT_TIMEOUT),
            (None, NOON + 3 * HOURS, Reason.PAYMENT_WINDOW),
        ],
    )
    def test_is_the_earliest_that_is_live(
        self, cancellation: timedelta | None, completed: object, reason: Reason
    ) -> None:
        order = an_order(cancellation=cancellation, checkout=2 * MINUTES, checkout_completed_at=completed)

        assert deadline_of(order).reason is reason

    def test_is_not_the_checkouts_before_checkout_is_completed(self) -> None:
        assert deadline_of(an_order(checkout=2 * MINUTES)).reason is Reason.PAYMENT_WINDOW

    def test_is_not_the_checkouts_where_no_checkout_timeout_is_set(self) -> None:
        assert deadline_of(an_order(checkout_completed_at=NOON)).reason is Reason.PAYMENT_WINDOW


class TestACustomerWhoHasDoneTheirPart:
    @pytest.mark.parametrize("state", [ParentState.AUTHORIZED, ParentState.COD, ParentState.PAID])
    def test_has_no_deadline_any_more(self, state: ParentState) -> None:
        assert live_deadline(an_order(state=state)) is None

    @pytest.mark.parametrize("confirmations", [0, 1])
    def test_is_seen_on_the_network_even_unconfirmed(self, confirmations: int) -> None:
        order = an_order(kind=PaymentKind.CRYPTO, state=ParentState.PENDING, confirmations=confirmations)

        assert live_deadline(order) is None

    @pytest.mark.parametrize(
        "order",
        [
            an_order(),
            an_order(state=ParentState.PENDING),
            an_order(state=ParentState.ATTEMPTED),
            an_order(kind=PaymentKind.CRYPTO, state=ParentState.PENDING),
            an_order(kind=PaymentKind.FIAT, state=ParentState.PENDING, confirmations=3),
        ],
        ids=["created", "pending", "attempted", "crypto not seen", "fiat has no network"],
    )
    def test_is_nobody_else(self, order: Order) -> None:
        assert live_deadline(order) == deadline_of(order)


class TestAPaymentIsInTime:
    def test_at_the_very_deadline(self) -> None:
        assert paid_in_time(an_order(cancellation=5 * MINUTES), NOON + 5 * MINUTES)

    def test_and_not_a_second_later(self) -> None:
        assert not paid_in_time(an_order(cancellation=5 * MINUTES), NOON + 5 * MINUTES + 1 * SECONDS)

    def test_whenever_it_was_confirmed_if_it_was_seen_in_time(self) -> None:
        seen_in_time = an_order(cancellation=5 * MINUTES, secured_at=NOON + 4 * MINUTES)

        assert paid_in_time(seen_in_time, NOON + 2 * HOURS)

    def test_after_days_only_if_a_day_is_not_taken_for_its_seconds(self) -> None:
        assert not paid_in_time(an_order(cancellation=5 * MINUTES), NOON + 24 * HOURS + 1 * SECONDS)
