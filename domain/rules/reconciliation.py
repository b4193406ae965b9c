"""What an inquiry's answer makes of an order. This is where a late payment meets a timeout."""

from datetime import datetime, timedelta
from typing import Final

from domain.model.answer import Answer, NoRecord, ProviderStatus, Record, Unintelligible, Unreachable
from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import Decision, EntryKind
from domain.model.due_work import Claimed, Due, Work
from domain.model.money import difference
from domain.model.order import CanceledBy, Order, OrderStatus, Reason
from domain.model.policy import ProviderPolicy
from domain.model.transaction import ParentState
from domain.rules import order_lifecycle
from domain.rules.closing import ask_in_its_place, close, give_cancel_up, no_record_while_closing
from domain.rules.deadlines import deadline_of
from domain.rules.draft import Draft
from domain.rules.holding import is_held, is_taken_back, take_back, unreversed
from domain.rules.lifecycle import IllegalTransition, advance
from domain.rules.order_lifecycle import CLOSED, FROM_PARENT
from domain.rules.payment import oddity_of
from domain.rules.planning import could_not_ask, is_closing, plan
from domain.rules.reading import (
    attribute_to_attempt,
    ending_of,
    learn_attempts,
    learn_figures,
    misfit_of,
    signal_of,
    status_of,
)
from domain.rules.refunds import follow_refunds, learn_refunds, received_of
from domain.rules.transaction_lifecycle import HOLDS_MONEY, TRANSITIONS, Signal

ACTOR: Final = "system:reconcile"
_ENDINGS: Final = frozenset({Signal.DECLINED, Signal.CANCELED, Signal.VOIDED, Signal.EXPIRED, Signal.INVALID})
_WITHDRAWN: Final = frozenset({Signal.CANCELED, Signal.VOIDED})
# More money on these is nobody's business but a person's: they were settled by what had come before.
_SETTLED: Final = frozenset({
    OrderStatus.PAID, OrderStatus.REFUND_PENDING, OrderStatus.REFUNDED, OrderStatus.RESOLVED,
})  # fmt: skip


def reconcile(order: Order, answer: Answer, *, row: Claimed, now: datetime, policy: ProviderPolicy) -> Decision:
    """Return what follows from the answer to an inquiry about `order`.

    Only a record and "no record" move anything; everything else is asked again (I4).
    """
    draft = Draft.of(order, actor=ACTOR, now=now, row=row)
    row = ask_in_its_place(draft, row)
    match answer:
        case Record():
            misfit = misfit_of(order, answer)
            if misfit is None:
                _follow_record(draft, answer, row, policy)
            else:
                _ask_again(draft, Unintelligible(why=misfit), row, policy)
        case NoRecord():
            _follow_no_record(draft, row, policy)
        case _:
            _ask_again(draft, answer, row, policy)
    return draft.decide()


def _ask_again(draft: Draft, answer: Answer, row: Claimed, policy: ProviderPolicy) -> None:
    retry_after = answer.retry_after if isinstance(answer, Unreachable) else timedelta()
    could_not_ask(draft, policy, work=row.work, step=row.step, retry_after=retry_after)


def _follow_no_record(draft: Draft, row: Claimed, policy: ProviderPolicy) -> None:
    if is_closing(draft.order, draft):
        no_record_while_closing(draft, row, policy)
    else:
        plan(draft, policy, step=_next_step(draft, row))


def _follow_record(draft: Draft, record: Record, row: Claimed, policy: ProviderPolicy) -> None:
    repeated = record.status == draft.transaction.provider_status
    if draft.transaction.no_records:
        draft.learn(no_records=0, no_record_since=None)
    status = status_of(draft.order, record, policy)
    if is_held(draft.order, status):
        _hold(draft, record, row, policy, repeated=repeated)
        return
    if status is None:
        if not repeated:
            draft.note(EntryKind.UNKNOWN_STATUS, status=record.status)
            draft.learn(provider_status=record.status)
    else:
        _learn(draft, record, status, repeated=repeated)
        if draft.transaction.state is ParentState.AUTHORIZED:
            give_cancel_up(draft, record)
    if is_closing(draft.order, draft):
        close(draft, record, row, policy, understood=status is not None)
    else:
        plan(draft, policy, step=_next_step(draft, row))


def _hold(draft: Draft, record: Record, row: Claimed, policy: ProviderPolicy, *, repeated: bool) -> None:
    """Leave a payment alone that a reversal is undoing; its end brings the order forward, so this only waits."""
    if not repeated:
        draft.note(EntryKind.HELD, status=record.status)
        draft.learn(provider_status=record.status)
    draft.due = Due(work=row.work, at=draft.now + policy.could_not_ask, step=row.step)


def _next_step(draft: Draft, row: Claimed) -> int:
    """A poll or a watch goes on where it was; whatever moved the order starts its cadence anew."""
    phase = Work.WATCH if draft.order.watching else Work.POLL
    return row.step + 1 if row.work is phase and not draft.moves else 0


def _learn(draft: Draft, record: Record, status: ProviderStatus, *, repeated: bool) -> None:
    order = draft.order
    if is_taken_back(order, record, status):
        take_back(draft, record.status)
        return
    signal = signal_of(order, record, status)
    if signal in _WITHDRAWN:
        signal = _as_we_meant_it(draft, signal)
    state = _state_after(order, record, status, signal)
    if state is None or signal is None:
        if signal is None:
            learn_attempts(draft, record)  # the record knows of a later attempt than the one that its word is about
        if not repeated:
            _keep_aside(draft, record, status, signal)
        return
    if not repeated and order.status not in order_lifecycle.OPEN:
        draft.settle(CaseKind.CONTRADICTION, f"the provider says {record.status}, which agrees with what is known")
    learn_attempts(draft, record)
    learn_figures(draft, record, status)
    _note_more_money(draft, before=order)
    if state is not order.transaction.state:
        draft.learn(state=state)
        draft.note(EntryKind.TRANSACTION, before=order.transaction.state, after=state, provider_status=record.status)
    _move_order(draft, record)
    if state is not order.transaction.state:
        attribute_to_attempt(draft, record, ending_of(draft.order))
    learn_refunds(draft, record)
    follow_refunds(draft)


def _state_after(order: Order, record: Record, status: ProviderStatus, signal: Signal | None) -> ParentState | None:
    """Return the parent's next state, or None where the answer is stale or contradicts what was final."""
    if signal is None:
        return None
    if order.status in CLOSED and _is_given_back(record, status):
        return None  # paid and given back behind a closed order: no money is left to resolve, but somebody must know
    try:
        return advance(TRANSITIONS, order.transaction.state, signal)
    except IllegalTransition:
        return None


def _as_we_meant_it(draft: Draft, signal: Signal) -> Signal:
    """A cancel of ours at the end of a payment window shows as `canceled` there, and means EXPIRED here."""
    return Signal.EXPIRED if _our_deadline(draft) is Reason.PAYMENT_WINDOW else signal


def _move_order(draft: Draft, record: Record) -> None:
    """Let the parent drive the order."""
    order = draft.order
    state = order.transaction.state
    if order.status in CLOSED:
        if state in HOLDS_MONEY:
            draft.move(order_lifecycle.Signal.PAID_ODDLY, reason=Reason.DELAYED)
        return
    if state is ParentState.PAID:
        if order.status in order_lifecycle.OPEN:
            _move_paid(draft, record)
        return
    if order.status not in order_lifecycle.OPEN:
        return
    target = FROM_PARENT[state]
    if target is None:
        return
    reason, canceled_by = _explain(draft, state)
    draft.move(target, reason=reason, canceled_by=canceled_by)


def _note_more_money(draft: Draft, *, before: Order) -> None:
    """A payment that grows after it settled its order moves nothing, and must not go unnoticed."""
    received = draft.transaction.amount_received
    known = before.transaction.amount_received
    if before.status not in _SETTLED or received is None or known is None or received <= known:
        return
    money = before.currency.render
    if difference(received, before.amount) > before.tolerance:
        draft.openings.append(
            CaseOpening(
                kind=CaseKind.AMOUNT_MISMATCH,
                known=f"the order is {before.status}, and more was received since: "
                f"{money(received)} {before.currency.code} in place of {money(known)}",
                provider_says=draft.transaction.provider_status,
                amount_at_risk=difference(received, known),
            )
        )


def _move_paid(draft: Draft, record: Record) -> None:
    reason = unreversed(draft.order) or oddity_of(
        draft.order, received_of(draft.order), record.paid_at or record.updated_at, closed=False
    )
    if reason is None:
        draft.move(order_lifecycle.Signal.PAID)
    else:
        draft.move(order_lifecycle.Signal.PAID_ODDLY, reason=reason)


def _explain(draft: Draft, state: ParentState) -> tuple[str | None, CanceledBy | None]:
    """Return (reason, canceled_by) of a change that is no payment."""
    if state is ParentState.FAILED:
        return Reason.DECLINED, None
    if state is ParentState.INVALID:
        return Reason.INVALID, CanceledBy.SYSTEM
    if state is ParentState.CANCELED:
        return _explain_cancel(draft)
    if state is ParentState.EXPIRED and _our_deadline(draft) is Reason.PAYMENT_WINDOW:
        return Reason.PAYMENT_WINDOW, None
    return None, None


def _explain_cancel(draft: Draft) -> tuple[str | None, CanceledBy]:
    request, passed = draft.order.cancel_request, _our_deadline(draft)
    if request is not None:
        return request.reason, request.by
    if passed is not None:
        return passed, CanceledBy.SYSTEM
    return Reason.PROVIDER_CANCELED, CanceledBy.USER


def _our_deadline(draft: Draft) -> Reason | None:
    """Return the deadline for which we may have ended the payment at its provider, if one has passed."""
    order, deadline = draft.order, deadline_of(draft.order)
    by_itself = order.cancel_request is None and _was_ours(order) and deadline.at <= draft.now
    return deadline.reason if by_itself else None


def _was_ours(order: Order) -> bool:
    """Whether an end at the provider can be our own doing: what was refused and never in doubt was not done."""
    intent = order.transaction.intent
    return intent is not None and (intent.refused_in is None or intent.asked)


def _is_given_back(record: Record, status: ProviderStatus) -> bool:
    whole = record.amount_refunded is None or record.amount_refunded == record.amount_received
    return status is ProviderStatus.REFUNDED and whole


def _keep_aside(draft: Draft, record: Record, status: ProviderStatus, signal: Signal | None) -> None:
    """Record an answer that the table does not allow; one that contradicts what was final is a person's."""
    order = draft.order
    draft.learn(provider_status=record.status)
    contradicts = signal in _ENDINGS or (order.status in CLOSED and _is_given_back(record, status))
    if not contradicts or order.status in order_lifecycle.OPEN:
        draft.note(EntryKind.STALE, status=record.status)
        return
    draft.note(EntryKind.CONTRADICTION, status=record.status)
    draft.openings.append(
        CaseOpening(
            kind=CaseKind.CONTRADICTION,
            known=f"the order is {order.status}, and its provider says {record.status} now",
            provider_says=record.status,
            amount_at_risk=order.transaction.amount_received or order.amount,
        )
    )
