"""Reports of timeouts: what a reversal is made of, and what is refused."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.model.money import Currency
from domain.model.reversal import Reversal, TimeoutCause
from domain.model.settlement import SettlementCalendar
from domain.rules.commands import CommandRefused
from domain.rules.reporting import check_against_order, new_reversal
from tests.builders import DAYS, EUR, HOURS, JPY, MINUTES, NOON, SECONDS, a_policy, a_report, a_reversal, an_order

# 2026-03-02 is a Monday; the calendar ends with its week.
CALENDAR = SettlementCalendar(
    zone=UTC,
    cut_off=time(18),
    days=1,
    days_off=frozenset({date(2026, 3, 3)}),
    first=date(2026, 3, 2),
    last=date(2026, 3, 6),
)


def reported(policy: Any = None, **given: Any) -> Reversal:
    return new_reversal(
        a_report(**given), id=9, policy=policy or a_policy(), currencies={"EUR": EUR, "JPY": JPY}, now=NOON
    )


class TestAReport:
    def test_makes_a_reversal_with_its_terms(self) -> None:
        reversal = reported(order="order-1", cause=TimeoutCause.PARTIAL_RESPONSE, response_code="798")

        assert reversal == a_reversal(order="order-1", cause=TimeoutCause.PARTIAL_RESPONSE, response_code="798")

    def test_brings_its_own_time_of_settlement(self) -> None:
        policy = a_policy(settlement=CALENDAR)

        assert reported(policy, settles_at=NOON + 1 * HOURS).settles_at == NOON + 1 * HOURS

    def test_is_settled_by_its_providers_calendar_else(self) -> None:
        reversal = reported(a_policy(settlement=CALENDAR), settles_at=None)

        assert reversal.settles_at == datetime(2026, 3, 4, 18, tzinfo=UTC)

    def test_is_settled_a_day_later_where_the_provider_has_no_calendar(self) -> None:
        assert reported(settles_at=None).settles_at == NOON - 1 * MINUTES + 24 * HOURS

    def test_of_a_transaction_that_has_settled_is_kept_all_the_same(self) -> None:
        reversal = reported(occurred_at=NOON - 2 * DAYS, settles_at=NOON - 1 * DAYS)

        assert reversal.settles_at == NOON - 1 * DAYS

    def test_keeps_its_amount_to_the_last_digit(self) -> None:
        assert reported(amount="0.01").amount == Decimal("0.01")

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"currency": "XXX"}, "currency"),
            ({"amount": "1.001"}, "amount"),
            ({"amount": "0"}, "amount"),
            ({"amount": "1.5", "currency": "JPY"}, "amount"),
            ({"occurred_at": NOON + 1 * DAYS + 1 * SECONDS, "settles_at": NOON + 3 * DAYS}, "occurred_at"),
            ({"settles_at": NOON - 1 * MINUTES}, "settles_at"),
            ({"settles_at": NOON - 1 * HOURS}, "settles_at"),
        ],
        ids=str,
    )
    def test_is_refused_by_the_name_of_the_field_that_cannot_be(self, given: dict[str, Any], field: str) -> None:
        with pytest.raises(CommandRefused) as refused:
            reported(**given)

        assert refused.value.field == field

    def test_of_an_unknown_provider_is_refused(self) -> None:
        with pytest.raises(CommandRefused, match="acme"):
            new_reversal(a_report(), id=9, policy=None, currencies={"EUR": EUR}, now=NOON)

    def test_of_a_provider_that_is_not_for_its_merchant_is_refused(self) -> None:
        with pytest.raises(CommandRefused, match="shop"):
            reported(a_policy(merchants=frozenset({"another"})))

    @pytest.mark.parametrize("late", [0 * DAYS, 4 * DAYS, 30 * DAYS], ids=str)
    def test_beyond_the_horizon_of_the_calendar_is_refused_not_guessed(self, late: timedelta) -> None:
        calendar = replace(CALENDAR, last=date(2026, 3, 3))
        policy = a_policy(settlement=calendar)

        with pytest.raises(CommandRefused, match="calendar") as refused:
            new_reversal(
                a_report(occurred_at=NOON + late, settles_at=None),
                id=9,
                policy=policy,
                currencies={"EUR": EUR},
                now=NOON + late,
            )

        assert refused.value.field == "occurred_at"


class TestAReportOfAnOrdersOwnPayment:
    @pytest.mark.parametrize("status", ["NEW", "PENDING", "CANCELED", "EXPIRED", "FAILED", "REFUNDED"])
    def test_fits_an_order_that_is_not_settled(self, status: str) -> None:
        check_against_order(a_reversal(), an_order(status=status))

    @pytest.mark.parametrize("status", ["PAID", "REFUND_PENDING", "UNRESOLVED", "RESOLVED"])
    def test_is_refused_once_the_order_is_settled(self, status: str) -> None:
        with pytest.raises(CommandRefused, match=status) as refused:
            check_against_order(a_reversal(), an_order(status=status))

        assert refused.value.field == "reference"

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"currency": Currency("USD", 2)}, "currency"),
            ({"amount": Decimal("99.99")}, "amount"),
        ],
    )
    def test_is_refused_if_it_is_about_other_money(self, given: dict[str, Any], field: str) -> None:
        with pytest.raises(CommandRefused) as refused:
            check_against_order(a_reversal(**given), an_order())

        assert refused.value.field == field
