"""Reading a provider's record: is it about this order, and what does it say of the transaction?"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.model.answer import ProviderStatus, Record
from domain.model.order import Order, PaymentKind
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Attempt, AttemptState, ParentState
from domain.rules.draft import Draft
from domain.rules.transaction_lifecycle import ATTEMPT_OF, ATTEMPTS, READING, Signal

# The states in which an attempt speaks against a record that says "declined": a late "failed" of another attempt.
_NOT_DECLINED: Final = frozenset({AttemptState.PENDING, AttemptState.SUCCESS, AttemptState.COD})
_RECEIVED: Final = frozenset({
    ProviderStatus.PAID, ProviderStatus.REFUND_PENDING, ProviderStatus.REFUND_REJECTED, ProviderStatus.REFUNDED,
})  # fmt: skip
_SEEN: Final = frozenset({ProviderStatus.AUTHORIZED, ProviderStatus.COD})


def misfit_of(order: Order, record: Record) -> str | None:
    """Return why the record cannot be about this order, or None. A misfit is unintelligible, not an answer."""
    if record.reference != order.transaction.reference:
        return "the record is of another reference"
    if record.currency != order.currency.code:
        return f"the record is in {record.currency}, the order in {order.currency.code}"
    for name, amount in (("amount_received", record.amount_received), ("amount_refunded", record.amount_refunded)):
        if amount is not None and _decimals(amount) > order.currency.digits:
            return f"{name} has more decimals than {order.currency.code} has"
    if record.status == ProviderStatus.REFUNDED and record.amount_refunded and record.amount_received is not None:
        return "more was refunded than received" if record.amount_refunded > record.amount_received else None
    return None


def status_of(order: Order, record: Record, policy: ProviderPolicy) -> ProviderStatus | None:
    """Return what the record's word means for us; None for a word that we do not know.

    A crypto payment with fewer confirmations than the policy wants is still pending.
    """
    try:
        status = ProviderStatus(record.status)
    except ValueError:
        return None
    wanted = _confirmations_wanted(order, record, policy)
    if status is ProviderStatus.PAID and record.confirmations is not None and record.confirmations < wanted:
        return ProviderStatus.PENDING
    return status


def signal_of(order: Order, record: Record, status: ProviderStatus) -> Signal | None:
    """Return what the record says of the parent; None where a late word of an earlier attempt says nothing."""
    signal = READING[status]
    if signal is Signal.DECLINED:
        current = record.attempts[-1].state if record.attempts else None
        if current in _NOT_DECLINED:
            return None
        if order.attempts_allowed != 1 and order.transaction.state in _OPEN_PARENTS:
            return Signal.ATTEMPTED
    return signal


_OPEN_PARENTS: Final = frozenset({ParentState.CREATED, ParentState.PENDING, ParentState.ATTEMPTED})


def learn_figures(draft: Draft, record: Record, status: ProviderStatus) -> None:
    """Keep the amounts and times that the record gives; only what differs counts as a change."""
    transaction = draft.transaction
    changes: dict[str, object] = {}
    if status in _RECEIVED and record.amount_received is not None:
        changes["amount_received"] = record.amount_received
    if record.amount_refunded is not None:
        changes["amount_refunded"] = record.amount_refunded
    if draft.order.kind is PaymentKind.CRYPTO:
        changes["confirmations"] = record.confirmations
    if record.settled:
        changes["settled"] = True
    seen_on_its_network = draft.order.kind is PaymentKind.CRYPTO and record.confirmations is not None
    if transaction.secured_at is None and (status in _SEEN or status in _RECEIVED or seen_on_its_network):
        changes["secured_at"] = record.paid_at or record.updated_at
    changes["provider_status"] = record.status
    if transaction.no_records:
        changes |= {"no_records": 0, "no_record_since": None}
    differing = {name: value for name, value in changes.items() if getattr(transaction, name) != value}
    if differing:
        draft.learn(**differing)


def learn_attempts(draft: Draft, record: Record) -> None:
    """Take over the customer's attempts as the provider lists them; an ended attempt stays as it ended."""
    for told in record.attempts:
        put_attempt(draft, told.id, told.state, reason=told.reason, at=told.at)


def put_attempt(
    draft: Draft, key: str, state: AttemptState, *, reason: str | None = None, at: datetime | None = None
) -> bool:
    """Insert an attempt or move it forward; return whether anything changed."""
    attempts = draft.transaction.attempts
    known = {attempt.id: attempt for attempt in attempts}
    old = known.get(key)
    if old is not None and (state is old.state or state not in ATTEMPTS[old.state]):
        return False
    position = old.position if old is not None else len(attempts) + 1
    new = Attempt(id=key, state=state, position=position, reason=reason, at=at or draft.now)
    known[key] = new
    draft.learn(attempts=tuple(known.values()))
    draft.attempts = [*(kept for kept in draft.attempts if kept.id != key), new]
    return True


def attribute_to_attempt(draft: Draft) -> None:
    """Every change that the customer caused belongs to an attempt, told or implied."""
    state = ATTEMPT_OF.get(draft.transaction.state)
    if state is None:
        return
    attempts = draft.transaction.attempts
    if not attempts:
        put_attempt(draft, "1", state)
    elif attempts[-1].state in (AttemptState.PENDING, AttemptState.ERROR):
        put_attempt(draft, attempts[-1].id, state)


def _decimals(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _confirmations_wanted(order: Order, record: Record, policy: ProviderPolicy) -> int:
    wanted: Mapping[str, int] = policy.confirmations
    return wanted.get(record.network or order.network or "", 0)
