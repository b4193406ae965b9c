import pytest

from domain.model.order import Reason
from domain.rules.payment import oddity_of
from tests.builders import ETH, HOURS, MINUTES, NOON, an_order, money


class TestAPayment:
    def test_in_full_and_in_time_has_no_oddity(self) -> None:
        assert oddity_of(an_order(), money("100.00"), NOON, closed=False) is None

    @pytest.mark.parametrize(
        ("received", "tolerance", "oddity"),
        [
            ("100.01", "0", Reason.OVERPAID),
            ("99.99", "0", Reason.UNDERPAID),
            ("0", "0", Reason.UNDERPAID),
            ("100.50", "0.50", None),
            ("99.50", "0.50", None),
            ("100.51", "0.50", Reason.OVERPAID),
            ("99.49", "0.50", Reason.UNDERPAID),
        ],
    )
    def test_is_judged_by_its_amount_with_the_merchants_tolerance(
        self, received: str, tolerance: str, oddity: Reason | None
    ) -> None:
        order = an_order(tolerance=money(tolerance))

        assert oddity_of(order, money(received), NOON, closed=False) == oddity

    def test_is_judged_to_the_last_digit(self) -> None:
        order = an_order(amount=money("123456789012345.123456789012345678"), currency=ETH)

        oddity = oddity_of(order, money("123456789012345.123456789012345677"), NOON, closed=False)

        assert oddity is Reason.UNDERPAID

    def test_that_is_late_while_the_order_is_open_is_delayed(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        assert oddity_of(order, money("100.00"), NOON + 6 * MINUTES, closed=False) is Reason.DELAYED

    def test_that_is_late_and_short_is_underpaid_first(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        assert oddity_of(order, money("90.00"), NOON + 1 * HOURS, closed=False) is Reason.UNDERPAID

    @pytest.mark.parametrize("received", ["100.00", "90.00", "110.00"])
    def test_on_a_closed_order_is_delayed_whatever_its_amount_and_time(self, received: str) -> None:
        assert oddity_of(an_order(), money(received), NOON, closed=True) is Reason.DELAYED
