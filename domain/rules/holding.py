"""An order whose own payment was reported as timed out: what its reversal keeps from it, and what it leaves behind."""

from typing import Final

from domain.model.answer import ProviderStatus, Record
from domain.model.order import Order, Reason
from domain.model.transaction import ParentState, ReversalOutcome
from domain.rules.order_lifecycle import CLOSED, OPEN

# While a reversal is open, what speaks of money taken or given back is its own to follow.
HELD: Final = frozenset({
    ProviderStatus.AUTHORIZED, ProviderStatus.PAID, ProviderStatus.VOIDED,
    ProviderStatus.REFUND_PENDING, ProviderStatus.REFUND_REJECTED, ProviderStatus.REFUNDED,
})  # fmt: skip
_UNDONE: Final = frozenset({ReversalOutcome.VOIDED, ReversalOutcome.ALREADY_REVERSED})
_BACK: Final = frozenset({ProviderStatus.VOIDED, ProviderStatus.REFUNDED})
_FOLLOWED: Final = OPEN | CLOSED


def is_held(order: Order, status: ProviderStatus | None) -> bool:
    """Whether the order must wait for its payment's reversal: it would move by money that may be given back."""
    if not order.transaction.reversing or order.status not in _FOLLOWED:
        return False
    return status in HELD or (status is ProviderStatus.CANCELED and not _may_be_our_cancel(order))


def is_taken_back(order: Order, record: Record, status: ProviderStatus) -> bool:
    """Whether the record shows what a reversal has undone, or found undone."""
    transaction = order.transaction
    if transaction.reversal not in _UNDONE or order.status not in _FOLLOWED or transaction.state is ParentState.PAID:
        return False
    if status is ProviderStatus.CANCELED:
        return not _may_be_our_cancel(order)
    whole = record.amount_refunded is None or record.amount_refunded == record.amount_received
    return status in _BACK and (status is not ProviderStatus.REFUNDED or whole)


def _may_be_our_cancel(order: Order) -> bool:
    """Whether `canceled` is, or may be, the end that the order was closed with: then it is followed as ever."""
    return order.transaction.intent is not None or order.status in CLOSED


def unreversed(order: Order) -> Reason | None:
    """Return why money on the order needs a person, after its merchant was told to treat the payment as failed."""
    transaction = order.transaction
    return Reason.DELAYED if transaction.reversing or transaction.reversal is not None else None
