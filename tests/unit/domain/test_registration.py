from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.model.command import RegisterOrder
from domain.model.decision import Move
from domain.model.order import Order, OrderStatus, PaymentKind, Timeouts
from domain.model.policy import ProviderPolicy
from domain.model.transaction import ParentState
from domain.rules.commands import CommandRefused
from domain.rules.registration import first_move, new_order
from tests.builders import BTC, DAYS, EUR, HOURS, JPY, MINUTES, NOON, a_merchant, a_policy, money

CURRENCIES = {"EUR": EUR, "JPY": JPY, "BTC": BTC}
PLAIN = RegisterOrder(
    merchant="shop", order="order-1", provider="acme", reference="pay-1", amount="100.00", currency="EUR"
)


def registered(policy: ProviderPolicy | None = None, merchant: dict[str, Any] | None = None, **given: Any) -> Order:
    return new_order(
        replace(PLAIN, **given),
        id=7,
        merchant=a_merchant(**merchant or {}),
        policy=policy or a_policy(),
        currencies=CURRENCIES,
        now=NOON,
    )


def refused(policy: ProviderPolicy | None, **given: Any) -> str:
    with pytest.raises(CommandRefused) as refusal:
        new_order(replace(PLAIN, **given), id=7, merchant=a_merchant(), policy=policy, currencies=CURRENCIES, now=NOON)
    return refusal.value.field


class TestARegistration:
    def test_makes_a_new_order_with_its_parent(self) -> None:
        order = registered()

        assert (order.status, order.transaction.state) == (OrderStatus.NEW, ParentState.CREATED)
        assert (order.amount, order.currency) == (money("100.00"), EUR)
        assert (order.sequence, order.version) == (1, 1)

    def test_is_the_first_of_the_orders_changes(self) -> None:
        assert first_move() == Move(sequence=1, previous=None, status=OrderStatus.NEW)

    def test_counts_from_the_time_that_the_producer_gives(self) -> None:
        assert registered(created_at=NOON - 1 * DAYS).created_at == NOON - 1 * DAYS

    def test_counts_from_now_where_none_is_given(self) -> None:
        assert registered().created_at == NOON

    @pytest.mark.parametrize(
        ("order", "merchant", "provider", "resolved"),
        [
            (1 * MINUTES, 2 * MINUTES, 3 * MINUTES, 1 * MINUTES),
            (None, 2 * MINUTES, 3 * MINUTES, 2 * MINUTES),
            (None, None, 3 * MINUTES, 3 * MINUTES),
            (None, None, None, None),
        ],
    )
    def test_takes_each_timeout_from_the_order_else_its_merchant_else_its_provider(
        self,
        order: timedelta | None,
        merchant: timedelta | None,
        provider: timedelta | None,
        resolved: timedelta | None,
    ) -> None:
        timeouts = registered(
            a_policy(cancellation_timeout=provider, checkout_timeout=provider),
            {"cancellation_timeout": merchant, "checkout_timeout": merchant},
            cancellation_timeout=order,
            checkout_timeout=order,
        ).timeouts

        assert timeouts == Timeouts(cancellation=resolved, checkout=resolved, window=3 * HOURS)

    def test_mixes_sources_between_the_two_timeouts(self) -> None:
        timeouts = registered(a_policy(checkout_timeout=2 * MINUTES), cancellation_timeout=9 * MINUTES).timeouts

        assert (timeouts.cancellation, timeouts.checkout) == (9 * MINUTES, 2 * MINUTES)

    def test_gives_crypto_its_own_window(self) -> None:
        order = registered(kind=PaymentKind.CRYPTO, currency="BTC", amount="0.00150000")

        assert order.timeouts.window == 60 * MINUTES

    def test_keeps_the_merchants_tolerance(self) -> None:
        assert registered(merchant={"tolerance": money("0.50")}).tolerance == money("0.50")

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"currency": "XXQ"}, "currency"),
            ({"amount": "100.001"}, "amount"),
            ({"currency": "JPY", "amount": "1.5"}, "amount"),
            ({"amount": "0.00"}, "amount"),
            ({"amount": "-1"}, "amount"),
            ({"amount": "1e2"}, "amount"),
        ],
    )
    def test_is_refused_by_the_field_that_is_wrong(self, given: dict[str, str], field: str) -> None:
        assert refused(a_policy(), **given) == field

    def test_is_refused_where_nobody_knows_the_provider(self) -> None:
        assert refused(None) == "provider"

    def test_is_refused_where_the_merchant_may_not_name_its_payments(self) -> None:
        assert refused(a_policy(merchants=frozenset({"another"}))) == "provider"


class TestAnOrderFromTheFuture:
    def test_is_refused_where_it_lies_more_than_a_day_ahead(self) -> None:
        assert refused(a_policy(), created_at=NOON + 25 * HOURS) == "created_at"

    def test_is_taken_where_clocks_may_differ(self) -> None:
        assert registered(created_at=NOON + 23 * HOURS).created_at == NOON + 23 * HOURS
