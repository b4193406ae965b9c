"""Until when an unpaid order stays open, and what was paid in time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.model.order import Order, OrderStatus, PaymentKind, Reason
from domain.rules.transaction_lifecycle import CUSTOMER_IS_DONE


@dataclass(frozen=True, slots=True)
class Deadline:
    """`reason` says which clock ran out; it decides how the order ends."""

    at: datetime
    reason: Reason


ENDS_IN: Final = {
    Reason.CANCELLATION_TIMEOUT: OrderStatus.CANCELED,
    Reason.CHECKOUT_TIMEOUT: OrderStatus.CANCELED,
    Reason.PAYMENT_WINDOW: OrderStatus.EXPIRED,
}


def deadline_of(order: Order) -> Deadline:
    """Return the earliest deadline of the order, whether or not it still lives."""
    timeouts = order.timeouts
    if timeouts.cancellation is not None:
        first = Deadline(order.created_at + timeouts.cancellation, Reason.CANCELLATION_TIMEOUT)
    else:
        first = Deadline(order.created_at + timeouts.window, Reason.PAYMENT_WINDOW)
    if order.checkout_completed_at is not None and timeouts.checkout is not None:
        checkout = order.checkout_completed_at + timeouts.checkout
        if checkout < first.at:
            return Deadline(checkout, Reason.CHECKOUT_TIMEOUT)
    return first


def customer_is_done(order: Order) -> bool:
    """Whether the customer has done their part: nothing that they could still do would be cut off."""
    transaction = order.transaction
    seen_on_its_network = order.kind is PaymentKind.CRYPTO and transaction.confirmations is not None
    return transaction.state in CUSTOMER_IS_DONE or seen_on_its_network


def live_deadline(order: Order) -> Deadline | None:
    """Return the deadline that still counts; None once the customer has done their part."""
    return None if customer_is_done(order) else deadline_of(order)


def paid_in_time(order: Order, paid_at: datetime) -> bool:
    """Whether money that was paid or secured at that moment is in time, however late we learnt of it."""
    secured_at = order.transaction.secured_at
    moment = paid_at if secured_at is None else min(paid_at, secured_at)
    return moment <= deadline_of(order).at
