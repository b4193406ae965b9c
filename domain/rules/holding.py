"""An order whose own payment was reported as timed out: what its reversal keeps from it, and what it leaves behind."""

from typing import Final

from domain.model.answer import ProviderStatus, Record
from domain.model.decision import EntryKind
from domain.model.order import CanceledBy, Order, Reason
from domain.model.transaction import ParentState, ReversalOutcome
from domain.rules import order_lifecycle
from domain.rules.draft import Draft
from domain.rules.lifecycle import advance
from domain.rules.order_lifecycle import CLOSED, OPEN
from domain.rules.transaction_lifecycle import TRANSITIONS, Signal

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


def ends_with_its_reversal(order: Order, outcome: ReversalOutcome, provider_status: str | None) -> bool:
    """Whether the end of its payment's reversal is the end of the order, by itself."""
    if outcome not in _UNDONE or order.status not in OPEN or order.transaction.state is ParentState.PAID:
        return False
    return provider_status != ProviderStatus.CANCELED or not _may_be_our_cancel(order)


def take_back(draft: Draft, provider_status: str | None) -> None:
    """A reversal has undone the payment, or found it undone: an open order ends, a closed one stays closed."""
    before = draft.transaction.state
    state = advance(TRANSITIONS, before, Signal.VOIDED)
    draft.learn(state=state, provider_status=provider_status)
    if state is not before:
        draft.note(EntryKind.TRANSACTION, before=before, after=state, provider_status=provider_status)
    if draft.order.status in OPEN:
        draft.move(order_lifecycle.Signal.CANCELED, reason=Reason.REVERSED, canceled_by=CanceledBy.SYSTEM)


def _may_be_our_cancel(order: Order) -> bool:
    """Whether `canceled` is, or may be, the end that the order was closed with: then it is followed as ever."""
    return order.transaction.intent is not None or order.status in CLOSED


def unreversed(order: Order) -> Reason | None:
    """Return why money on the order needs a person, after its merchant was told to treat the payment as failed."""
    transaction = order.transaction
    return Reason.DELAYED if transaction.reversing or transaction.reversal is not None else None
