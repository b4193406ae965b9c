"""What makes a new order: its terms are resolved once, at registration, and stay with it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from domain.model.command import RegisterOrder, ReportTimeout
from domain.model.decision import Move
from domain.model.due_work import Due, Work
from domain.model.merchant import Merchant
from domain.model.money import Currency, InvalidAmount, UnknownCurrency, currency_of
from domain.model.order import Order, OrderStatus, PaymentKind, Timeouts
from domain.model.policy import ProviderPolicy
from domain.model.transaction import ReversalOutcome, Transaction
from domain.rules.cadence import delay_at
from domain.rules.commands import CommandRefused
from domain.rules.deadlines import deadline_of
from domain.rules.planning import polling_of

# Clocks differ, time zones are mistaken for others; what lies further ahead is a mistake that would move deadlines.
AHEAD: Final = timedelta(days=1)


def new_order(
    command: RegisterOrder,
    *,
    id: int,  # noqa: A002 - the field's own name
    merchant: Merchant,
    policy: ProviderPolicy | None,
    currencies: Mapping[str, Currency],
    now: datetime,
    reversing: bool = False,
    reversal: ReversalOutcome | None = None,
) -> Order:
    """Return the order that the command registers.

    `reversing` and `reversal` say what has become of a timeout that was reported for its payment before the order came.

    Raises:
        CommandRefused: provider or currency are unknown here, the amount is none of this currency, or it lies ahead.
    """
    terms = terms_of(command, policy)
    currency, amount = amount_of(command, currencies)
    return Order(
        id=id,
        merchant=command.merchant,
        reference=command.order,
        amount=amount,
        currency=currency,
        kind=command.kind,
        network=command.network,
        customer=command.customer,
        created_at=_created_at(command, now),
        attempts_allowed=command.attempts_allowed,
        timeouts=resolve_timeouts(command, merchant, terms),
        tolerance=merchant.tolerance,
        transaction=Transaction(
            provider=command.provider,
            reference=command.reference,
            reversing=reversing,
            reversal=reversal,
        ),
        changed_at=now,
    )


def _created_at(command: RegisterOrder, now: datetime) -> datetime:
    if command.created_at is not None and command.created_at > now + AHEAD:
        raise CommandRefused("created_at", "lies more than a day ahead")
    return command.created_at or now


def terms_of(command: RegisterOrder | ReportTimeout, policy: ProviderPolicy | None) -> ProviderPolicy:
    """Return the terms of the provider that the command names, if its merchant may name it.

    Raises:
        CommandRefused: no provider is called so, or it is not for this merchant.
    """
    if policy is None:
        raise CommandRefused("provider", f"no provider is called {command.provider!r}")
    if policy.merchants is not None and command.merchant not in policy.merchants:
        raise CommandRefused("provider", f"{command.merchant!r} may not name payments of {command.provider!r}")
    return policy


def amount_of(command: RegisterOrder | ReportTimeout, currencies: Mapping[str, Currency]) -> tuple[Currency, Decimal]:
    """Return the command's money as values.

    Raises:
        CommandRefused: the currency is unknown here, or the amount is none of it.
    """
    try:
        currency = currency_of(command.currency, currencies)
        amount = currency.amount(command.amount)
    except UnknownCurrency as error:
        raise CommandRefused("currency", str(error)) from None
    except InvalidAmount as error:
        raise CommandRefused("amount", str(error)) from None
    if not amount:
        raise CommandRefused("amount", "an amount is greater than zero")
    return currency, amount


def resolve_timeouts(command: RegisterOrder, merchant: Merchant, policy: ProviderPolicy) -> Timeouts:
    """The order's own, else its merchant's, else its provider's, else none."""
    cancellation = (command.cancellation_timeout, merchant.cancellation_timeout, policy.cancellation_timeout)
    checkout = (command.checkout_timeout, merchant.checkout_timeout, policy.checkout_timeout)
    return Timeouts(
        cancellation=next((timeout for timeout in cancellation if timeout is not None), None),
        checkout=next((timeout for timeout in checkout if timeout is not None), None),
        window=policy.window_crypto if command.kind is PaymentKind.CRYPTO else policy.window_fiat,
    )


def first_move() -> Move:
    """Registration is the first of an order's status changes."""
    return Move(sequence=1, previous=None, status=OrderStatus.NEW)


def first_due(order: Order, policy: ProviderPolicy, now: datetime) -> Due:
    """The first poll, or the deadline where that comes first."""
    delay = delay_at(polling_of(order, policy), 0, seed=order.id)
    at = now if delay is None else now + delay
    deadline = deadline_of(order)
    if deadline.at <= at:
        return Due(work=Work.CLOSE, at=max(deadline.at, now))
    return Due(work=Work.POLL, at=at)
