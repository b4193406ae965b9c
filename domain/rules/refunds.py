"""Refunds: operations under a paid transaction, and what they make of the order."""

from dataclasses import replace
from decimal import Decimal

from domain.model.answer import ProviderStatus, Record
from domain.model.case import CaseOpening
from domain.model.money import ZERO, difference, total_of
from domain.model.order import Order, OrderStatus, Reason
from domain.model.transaction import Operation, OperationKind, OperationState
from domain.rules.draft import Draft, kind_of_case
from domain.rules.order_lifecycle import Signal

# Refunds that the provider reports and no producer announced are numbered: `provider:1`, ...
FROM_PROVIDER = "provider:"
# Refunds move only these; those of UNRESOLVED and RESOLVED orders are kept on the transaction.
MOVED_BY_REFUNDS = frozenset({OrderStatus.PAID, OrderStatus.REFUND_PENDING})


def total(operations: tuple[Operation, ...], kind: OperationKind, *states: OperationState) -> Decimal:
    return total_of(o.amount for o in operations if o.kind is kind and o.state in states)


def put(draft: Draft, operation: Operation) -> None:
    """Insert or replace one operation."""
    known = {kept.id: kept for kept in draft.transaction.operations} | {operation.id: operation}
    draft.learn(operations=tuple(known.values()))
    draft.operations = [*(kept for kept in draft.operations if kept.id != operation.id), operation]


def learn_refunds(draft: Draft, record: Record) -> None:
    """Bring the refund operations up to what the provider reports.

    The provider gives totals, producers give single refunds: what the known refunds do not explain becomes
    an operation of its own, so that both readings add up to the same sum. What is done stays done.
    """
    status = record.status
    told = record.amount_refunded
    if told is None and status == ProviderStatus.REFUNDED:
        told = draft.transaction.amount_received
    if told:
        _raise_done_to(draft, told)
    if status == ProviderStatus.REFUNDED:
        _reject_queued(draft)  # the provider is through, and these were not among what it gave back
    elif status == ProviderStatus.REFUND_PENDING:
        _expect_the_rest(draft, OperationState.QUEUED)
    elif status == ProviderStatus.REFUND_REJECTED and not _reject_queued(draft):
        _expect_the_rest(draft, OperationState.REJECTED)
    _keep_within_received(draft)


def follow_refunds(draft: Draft) -> None:
    """Move the order to what its refunds say; an order that is not PAID or REFUND_PENDING stays."""
    order = draft.order
    operations = order.transaction.operations
    refund = OperationKind.REFUND
    done = total(operations, refund, OperationState.DONE)
    if order.status is OrderStatus.UNRESOLVED and draft.operations and done >= received_of(order):
        draft.openings.append(_given_back(order))
    if order.status not in MOVED_BY_REFUNDS:
        return
    if any(o.kind is refund and o.state is OperationState.QUEUED for o in operations):
        draft.move(Signal.REFUND_ASKED)
    elif done and done >= received_of(order):
        draft.move(Signal.REFUNDED)
    elif order.status is OrderStatus.REFUND_PENDING:
        draft.move(Signal.REFUND_ENDED, reason=Reason.REFUNDED_IN_PART if done else Reason.REFUND_REJECTED)


def _given_back(order: Order) -> CaseOpening:
    """Tell the case of an UNRESOLVED order that nothing is at risk any more; that it is settled its merchant says."""
    return CaseOpening(
        kind=kind_of_case(order),
        known="all that was received has been given back: it can be resolved",
        provider_says=order.transaction.provider_status,
        amount_at_risk=ZERO,
    )


def received_of(order: Order) -> Decimal:
    """What there is to give back; a payment whose amount was not told is of what was asked for."""
    received = order.transaction.amount_received
    return order.amount if received is None else received


def _refunds(draft: Draft, state: OperationState) -> list[Operation]:
    return [o for o in draft.transaction.operations if o.kind is OperationKind.REFUND and o.state is state]


def _end(draft: Draft, operation: Operation, state: OperationState) -> None:
    put(draft, replace(operation, state=state, at=draft.now))


def _reject_queued(draft: Draft) -> bool:
    queued = _refunds(draft, OperationState.QUEUED)
    for operation in queued:
        _end(draft, operation, OperationState.REJECTED)
    return bool(queued)


def _raise_done_to(draft: Draft, told: Decimal) -> None:
    """Let queued refunds explain what was given back, oldest first; the rest is the provider's own."""
    unexplained = difference(told, total_of(o.amount for o in _refunds(draft, OperationState.DONE)))
    for operation in _refunds(draft, OperationState.QUEUED):
        if operation.amount <= unexplained:
            _end(draft, operation, OperationState.DONE)
            unexplained = difference(unexplained, operation.amount)
    if unexplained > 0:
        _add(draft, OperationState.DONE, unexplained)


def _expect_the_rest(draft: Draft, state: OperationState) -> None:
    """A refund that nobody announced is of all that is not yet given back."""
    if _refunds(draft, OperationState.QUEUED) or _refunds(draft, state):
        return
    rest = difference(received_of(draft.order), total_of(o.amount for o in _refunds(draft, OperationState.DONE)))
    if rest > 0:
        _add(draft, state, rest)


def _keep_within_received(draft: Draft) -> None:
    """No more can be queued than is left (I6): the newest announcements are the ones that did not come true."""
    for operation in reversed(_refunds(draft, OperationState.QUEUED)):
        states = (OperationState.DONE, OperationState.QUEUED)
        if total(draft.transaction.operations, OperationKind.REFUND, *states) > received_of(draft.order):
            _end(draft, operation, OperationState.REJECTED)


def _add(draft: Draft, state: OperationState, amount: Decimal) -> None:
    number = 1 + sum(o.id.startswith(FROM_PROVIDER) for o in draft.transaction.operations)
    operation = Operation(
        id=f"{FROM_PROVIDER}{number}", kind=OperationKind.REFUND, state=state, amount=amount, at=draft.now
    )
    put(draft, operation)
