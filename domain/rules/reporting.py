"""What makes a reversal of a reported timeout: its terms are settled once, when it is opened."""

from collections.abc import Mapping
from datetime import datetime

from domain.model.command import ReportTimeout
from domain.model.money import Currency
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.model.reversal import Reversal
from domain.rules.commands import CommandRefused
from domain.rules.registration import AHEAD, amount_of, terms_of
from domain.rules.reversing import SETTLED
from domain.rules.settlement import BeyondHorizon, settlement_of


def new_reversal(
    command: ReportTimeout,
    *,
    id: int,  # noqa: A002 - the field's own name
    policy: ProviderPolicy | None,
    currencies: Mapping[str, Currency],
    now: datetime,
) -> Reversal:
    """Return the reversal that the report opens.

    Raises:
        CommandRefused: provider or currency are unknown here, the amount is none of this currency, or a time cannot be.
    """
    terms = terms_of(command, policy)
    currency, amount = amount_of(command, currencies)
    if command.occurred_at > now + AHEAD:
        raise CommandRefused("occurred_at", "lies more than a day ahead")
    return Reversal(
        id=id,
        merchant=command.merchant,
        provider=command.provider,
        reference=command.reference,
        amount=amount,
        currency=currency,
        response_code=command.response_code,
        cause=command.cause,
        order=command.order,
        occurred_at=command.occurred_at,
        settles_at=_settlement_of(command, terms),
        reported_at=now,
    )


def check_against_order(reversal: Reversal, order: Order) -> None:
    """Refuse a report that does not fit the order whose own payment it is.

    Raises:
        CommandRefused: the order was settled, or is about other money.
    """
    if order.status in SETTLED:
        raise CommandRefused("reference", f"it pays order {order.reference!r}, which is {order.status}")
    if reversal.currency != order.currency:
        raise CommandRefused("currency", f"it pays order {order.reference!r}, which is in {order.currency.code}")
    if reversal.amount != order.amount:
        amount = order.currency.render(order.amount)
        raise CommandRefused("amount", f"it pays order {order.reference!r}, which is of {amount}")


def _settlement_of(command: ReportTimeout, policy: ProviderPolicy) -> datetime:
    """The report's own, else by the provider's calendar."""
    if command.settles_at is not None:
        if command.settles_at <= command.occurred_at:
            raise CommandRefused("settles_at", "is not after occurred_at")
        return command.settles_at
    try:
        return settlement_of(policy.settlement, command.occurred_at)
    except BeyondHorizon as error:
        raise CommandRefused("occurred_at", str(error)) from None
