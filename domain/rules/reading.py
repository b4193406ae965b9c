"""Reading a provider's record: is it about this order, and what does it say of the transaction?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from domain.model.answer import ProviderStatus, Record
from domain.model.money import decimals_of
from domain.model.order import Order, OrderStatus, PaymentKind, Reason
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Attempt, AttemptState, ParentState
from domain.rules.draft import Draft
from domain.rules.order_lifecycle import CLOSED
from domain.rules.transaction_lifecycle import ATTEMPT_OF, ATTEMPTS, READING, Signal

# The states in which an attempt speaks against a record that says "declined": a late "failed" of another attempt.
_NOT_DECLINED: Final = frozenset({AttemptState.PENDING, AttemptState.SUCCESS, AttemptState.COD})
_RECEIVED: Final = frozenset({
    ProviderStatus.PAID, ProviderStatus.REFUND_PENDING, ProviderStatus.REFUND_REJECTED, ProviderStatus.REFUNDED,
})  # fmt: skip
_SEEN: Final = frozenset({ProviderStatus.AUTHORIZED, ProviderStatus.COD})
# With these a record without the amount that arrived says nothing that could be relied on.
_NEEDS_AMOUNT: Final = frozenset({ProviderStatus.PAID, ProviderStatus.REFUND_PENDING, ProviderStatus.REFUNDED})
_ENDED_UNPAID: Final = frozenset({AttemptState.FAILED, AttemptState.CANCELED})
_OPEN_PARENTS: Final = frozenset({ParentState.CREATED, ParentState.PENDING, ParentState.ATTEMPTED})


def misfit_of(order: Order, record: Record) -> str | None:
    """Return why the record cannot be about this order, or None. A misfit is unintelligible, not an answer."""
    if record.reference != order.transaction.reference:
        return "the record is of another reference"
    if record.currency != order.currency.code:
        return f"the record is in {record.currency}, the order in {order.currency.code}"
    if record.status in _NEEDS_AMOUNT and record.amount_received is None:
        return f"the record says {record.status} and not how much was received"
    for name, amount in (("amount_received", record.amount_received), ("amount_refunded", record.amount_refunded)):
        if amount is not None and decimals_of(amount) > order.currency.digits:
            return f"{name} has more decimals than {order.currency.code} has"
    received = record.amount_received if record.amount_received is not None else record.amount
    if record.amount_refunded is not None and record.amount_refunded > received:
        return "more was refunded than received"
    return None


def status_of(order: Order, record: Record, policy: ProviderPolicy) -> ProviderStatus | None:
    """Return what the record's word means for us; None for a word that we do not know.

    A crypto payment with fewer confirmations than the policy wants is still pending.
    """
    try:
        status = ProviderStatus(record.status)
    except ValueError:
        return None
    if order.status in CLOSED:
        return status  # late money is a person's at once, however well it is confirmed (I5)
    wanted = _confirmations_wanted(order, record, policy)
    if status is ProviderStatus.PAID and record.confirmations is not None and record.confirmations < wanted:
        return ProviderStatus.PENDING
    return status


def signal_of(order: Order, record: Record, status: ProviderStatus) -> Signal | None:
    """Return what the record says of the parent; None where a late word of an earlier attempt says nothing."""
    signal = READING[status]
    several = order.attempts_allowed != 1
    if signal is Signal.DECLINED:
        return _declined(order, record, several=several)
    ended = several and order.transaction.state in _OPEN_PARENTS
    if signal is Signal.ATTEMPTED and not ended:
        return Signal.PENDING  # the provider still takes payment: for us nothing has ended
    current = record.attempts[-1].state if record.attempts else None
    if ended and signal in (Signal.CREATED, Signal.PENDING) and current in _ENDED_UNPAID:
        return Signal.ATTEMPTED
    return signal


def _declined(order: Order, record: Record, *, several: bool) -> Signal | None:
    """Only the current attempt may close an order, and only where no other is allowed."""
    state = order.transaction.state
    current = record.attempts[-1].state if record.attempts else None
    if several and state in _OPEN_PARENTS:
        return None if current in (AttemptState.SUCCESS, AttemptState.COD) else Signal.ATTEMPTED
    earlier = {attempt.id for attempt in order.transaction.attempts[:-1]}
    if current in _NOT_DECLINED or (record.attempts and record.attempts[-1].id in earlier):
        return None
    if several and state in (ParentState.AUTHORIZED, ParentState.COD):
        return Signal.ATTEMPTED if record.attempts else None
    return Signal.DECLINED


def learn_figures(draft: Draft, record: Record, status: ProviderStatus) -> None:
    """Keep the amounts and times that the record gives; only what differs counts as a change.

    Totals only grow and what was seen stays seen: an older answer takes nothing back. A time that lies ahead
    of ours comes from a clock that is fast, for what we have seen has happened.
    """
    transaction = draft.transaction
    changes: dict[str, object] = {}
    if status in _RECEIVED and record.amount_received is not None:
        changes["amount_received"] = max(record.amount_received, transaction.amount_received or record.amount_received)
    if record.amount_refunded is not None:
        changes["amount_refunded"] = max(record.amount_refunded, transaction.amount_refunded)
    seen_on_its_network = draft.order.kind is PaymentKind.CRYPTO and record.confirmations is not None
    if seen_on_its_network:
        changes["confirmations"] = record.confirmations
    if record.settled:
        changes["settled"] = True
    if transaction.secured_at is None and (status in _SEEN or status in _RECEIVED or seen_on_its_network):
        changes["secured_at"] = min(record.paid_at or record.updated_at, draft.now)
    changes["provider_status"] = record.status
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


def attribute_to_attempt(draft: Draft, record: Record, state: AttemptState | None) -> None:
    """Every change that the customer caused belongs to an attempt, told or implied: end the current one in `state`."""
    if state is None:
        return
    attempts = draft.transaction.attempts
    told = record.attempts[-1].id if record.attempts else None
    current = next((attempt for attempt in reversed(attempts) if told in (None, attempt.id)), None)
    if current is None:
        put_attempt(draft, "1", state)
    elif state in ATTEMPTS[current.state]:
        put_attempt(draft, current.id, state)
    elif current.state in _ENDED_UNPAID and state not in _ENDED_UNPAID:
        put_attempt(draft, _fresh_key(attempts), state)


def ending_of(order: Order) -> AttemptState | None:
    """How the customer's current attempt ended, if the order's present state is their doing."""
    if order.status is OrderStatus.CANCELED and order.reason == Reason.PROVIDER_CANCELED:
        return AttemptState.CANCELED
    return ATTEMPT_OF.get(order.transaction.state)


def _fresh_key(attempts: tuple[Attempt, ...]) -> str:
    taken = {attempt.id for attempt in attempts}
    return next(key for key in map(str, range(len(attempts) + 1, 2 * len(attempts) + 2)) if key not in taken)


def _confirmations_wanted(order: Order, record: Record, policy: ProviderPolicy) -> int:
    wanted: Mapping[str, int] = policy.confirmations
    return wanted.get(record.network or order.network or "", 0)
