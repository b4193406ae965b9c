"""Refunds: operations under a paid transaction, and what they make of the order."""

from decimal import Decimal

from domain.model.answer import ProviderStatus, Record
from domain.model.money import ZERO
from domain.model.order import OrderStatus, Reason
from domain.model.transaction import Operation, OperationKind, OperationState
from domain.rules.draft import Draft
from domain.rules.order_lifecycle import Signal

# A refund that the provider reports and no producer announced.
FROM_PROVIDER = "provider"
# Refunds move only these; those of UNRESOLVED and RESOLVED orders are kept on the transaction.
MOVED_BY_REFUNDS = frozenset({OrderStatus.PAID, OrderStatus.REFUND_PENDING})


def total(operations: tuple[Operation, ...], kind: OperationKind, *states: OperationState) -> Decimal:
    return sum((o.amount for o in operations if o.kind is kind and o.state in states), ZERO)


def put(draft: Draft, operation: Operation) -> None:
    """Insert or replace one operation."""
    others = tuple(known for known in draft.transaction.operations if known.id != operation.id)
    draft.learn(operations=(*others, operation))
    draft.operations = [*(kept for kept in draft.operations if kept.id != operation.id), operation]


def learn_refunds(draft: Draft, record: Record) -> None:
    """Bring the refund operations up to what the provider reports.

    The provider gives totals, producers give single refunds: what the known refunds do not explain becomes
    an operation of its own, so that both readings add up to the same sum.
    """
    status = record.status
    if status == ProviderStatus.REFUND_PENDING:
        _expect_the_rest(draft, OperationState.QUEUED)
    elif status == ProviderStatus.REFUND_REJECTED:
        if not _end_queued(draft, OperationState.REJECTED):
            _expect_the_rest(draft, OperationState.REJECTED)
    elif status == ProviderStatus.REFUNDED:
        _end_queued(draft, OperationState.DONE)
        received = draft.transaction.amount_received or ZERO
        _raise_done_to(draft, received if record.amount_refunded is None else record.amount_refunded)
    elif record.amount_refunded:
        _raise_done_to(draft, record.amount_refunded)


def follow_refunds(draft: Draft) -> None:
    """Move the order to what its refunds say (3.1); an order that is not PAID or REFUND_PENDING stays."""
    order = draft.order
    if order.status not in MOVED_BY_REFUNDS:
        return
    operations = order.transaction.operations
    refund = OperationKind.REFUND
    done = total(operations, refund, OperationState.DONE)
    if any(o.kind is refund and o.state is OperationState.QUEUED for o in operations):
        draft.move(Signal.REFUND_ASKED)
    elif done and done >= (order.transaction.amount_received or order.amount):
        draft.move(Signal.REFUNDED)
    elif order.status is OrderStatus.REFUND_PENDING:
        draft.move(Signal.REFUND_ENDED, reason=Reason.REFUNDED_IN_PART if done else Reason.REFUND_REJECTED)


def _refunds(draft: Draft, state: OperationState) -> list[Operation]:
    return [o for o in draft.transaction.operations if o.kind is OperationKind.REFUND and o.state is state]


def _end_queued(draft: Draft, state: OperationState) -> bool:
    queued = _refunds(draft, OperationState.QUEUED)
    for operation in queued:
        put(draft, _refund(operation.id, state, operation.amount, draft))
    return bool(queued)


def _expect_the_rest(draft: Draft, state: OperationState) -> None:
    """A refund that nobody announced is of all that is not yet given back."""
    if _refunds(draft, OperationState.QUEUED) or any(o.state is state for o in _own(draft)):
        return
    transaction = draft.transaction
    done = total(transaction.operations, OperationKind.REFUND, OperationState.DONE)
    rest = (transaction.amount_received or ZERO) - done
    if rest > 0:
        put(draft, _refund(FROM_PROVIDER, state, rest, draft))


def _raise_done_to(draft: Draft, refunded: Decimal) -> None:
    others = tuple(o for o in draft.transaction.operations if o.id != FROM_PROVIDER)
    unexplained = refunded - total(others, OperationKind.REFUND, OperationState.DONE)
    known = next((o for o in _own(draft) if o.state is OperationState.DONE), None)
    if unexplained > (known.amount if known else ZERO):
        put(draft, _refund(FROM_PROVIDER, OperationState.DONE, unexplained, draft))


def _own(draft: Draft) -> list[Operation]:
    return [o for o in draft.transaction.operations if o.id == FROM_PROVIDER]


def _refund(key: str, state: OperationState, amount: Decimal, draft: Draft) -> Operation:
    return Operation(id=key, kind=OperationKind.REFUND, state=state, amount=amount, at=draft.now)
