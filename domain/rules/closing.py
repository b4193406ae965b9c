"""Closing an unpaid order: ask, cancel there, ask again. No step both asks and acts."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from domain.model.answer import Answer, NoRecord, ProviderStatus, Record, Refused, Unreachable
from domain.model.case import CaseKind
from domain.model.decision import CommandState, Decision, EntryKind
from domain.model.due_work import Claimed, Due, Work
from domain.model.order import CanceledBy, Order, OrderStatus
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Effect, Intent, ParentState, ReversalOutcome
from domain.rules import order_lifecycle
from domain.rules.cadence import delay_at
from domain.rules.deadlines import ENDS_IN, deadline_of
from domain.rules.draft import Draft
from domain.rules.keys import key_of
from domain.rules.lifecycle import advance
from domain.rules.planning import give_up, patience, plan
from domain.rules.transaction_lifecycle import TRANSITIONS, Signal

ACTOR = "system:close"
NO_RECORD = "no_record"

# What a provider says of a payment on which the effect has been done.
CONFIRMS = {
    Effect.CANCEL: frozenset({ProviderStatus.CANCELED}),
    Effect.VOID: frozenset({ProviderStatus.VOIDED, ProviderStatus.CANCELED}),
}
WORK_OF = {Effect.CANCEL: Work.CANCEL, Effect.VOID: Work.VOID}
EFFECTS: Final = frozenset(WORK_OF.values())
# The steps of a closing, whose tries are counted together.
CLOSING: Final = frozenset({Work.CLOSE, Work.CANCEL, Work.VOID, Work.CONFIRM})
# How a reversal ends that leaves money to a person.
NOT_UNDONE: Final = frozenset({ReversalOutcome.SETTLEMENT_PASSED, ReversalOutcome.EXHAUSTED})
# What a provider may call a payment that is over and that it therefore will not cancel.
OVER = frozenset({ProviderStatus.DECLINED})


def may_send(intent: Intent, row: Claimed) -> bool:
    """Whether this claim sends the effect.

    One that was claimed before and did not come back may have been sent, and is asked about first.
    """
    return intent.open and row.work is WORK_OF[intent.effect] and row.claims == 1


def ask_in_its_place(draft: Draft, row: Claimed) -> Claimed:
    """Return the row as the question that stands in an effect's place; what may have been sent is in doubt."""
    intent = draft.transaction.intent
    if row.work not in EFFECTS:
        return row
    if intent is not None and intent.open and not intent.asked:
        draft.record_intent(replace(intent, asked=True))
        draft.note(EntryKind.EFFECT_IN_DOUBT, key=intent.key)
    return replace(row, work=Work.CONFIRM)


def close(draft: Draft, record: Record, row: Claimed, policy: ProviderPolicy, *, understood: bool) -> None:
    """Decide the next step of an order that is to be closed and whose provider just answered with a record.

    A new intent for the same effect needs a status other than the one that refused the last (I3); one in doubt
    is sent again as it was. Nothing is done to a payment whose status we cannot read: it may be final.
    """
    order = draft.order
    intent = order.transaction.intent
    effect = Effect.VOID if order.transaction.state is ParentState.AUTHORIZED else Effect.CANCEL
    if not understood:
        _ask_later(draft, row, policy)
    elif intent is None or intent.effect is not effect:
        _intend(draft, effect, number=1 if intent is None else intent.number + 1, row=row)
    elif intent.open:
        draft.due = Due(work=WORK_OF[effect], at=draft.now, step=_tries(row))
    elif intent.refused_in is not None and intent.refused_in != record.status:
        _intend(draft, effect, number=intent.number + 1, row=row)
    elif intent.refused_in in OVER:
        _close_as_asked(draft)
        plan(draft, policy, step=0)
    else:  # refused in this very state, or confirmed and not yet to be seen
        _ask_later(draft, row, policy)


def give_cancel_up(draft: Draft, record: Record) -> None:
    """Give a cancel up that would void what it must not.

    Where a reversal of the payment has ended without undoing it, a void may be in doubt or too late: its case decides.
    And a cancel in doubt never undoes what was authorized meanwhile: its intent counts as refused in that status, so
    that a command which comes later, and knows, may void. Should it be done after all, it still shows as ours.
    """
    intent, outcome = draft.transaction.intent, draft.transaction.reversal
    if outcome in NOT_UNDONE:
        draft.answer_cancel(CommandState.REFUSED, f"the reversal of its payment has ended as {outcome}: see its case")
    if intent is None or intent.effect is not Effect.CANCEL or not intent.open or not intent.asked:
        return
    draft.record_intent(replace(intent, refused_in=record.status))
    draft.note(EntryKind.EFFECT_OVERTAKEN, key=intent.key, status=record.status)
    draft.answer_cancel(
        CommandState.REFUSED, f"the payment is {record.status}, and the cancel has no answer; cancel again to void it"
    )


def no_record_while_closing(draft: Draft, row: Claimed, policy: ProviderPolicy) -> None:
    """Count "no record"; several in a row over some time are nothing to cancel. The watch sees what appears later.

    A payment that the provider has authorized is not undone by its forgetting it.
    """
    transaction = draft.transaction
    if transaction.state is ParentState.AUTHORIZED:
        _ask_later(draft, row, policy)
        return
    since = transaction.no_record_since or draft.now
    draft.learn(no_records=transaction.no_records + 1, no_record_since=since)
    rule = policy.no_record
    if draft.transaction.no_records >= rule.answers and draft.now - since >= rule.over:
        _close_as_asked(draft)
        plan(draft, policy, step=0)
    else:
        draft.due = Due(work=Work.CLOSE, at=draft.now + spacing_of(policy), step=_tries(row))


def settle_effect(order: Order, answer: Answer, *, row: Claimed, now: datetime, policy: ProviderPolicy) -> Decision:
    """Return what follows from the answer to a cancel or a void. Whatever it was, the next step asks."""
    draft = Draft.of(order, actor=ACTOR, now=now, row=row)
    draft.due = Due(work=Work.CONFIRM, at=draft.now, step=row.step)
    intent = order.transaction.intent
    if intent is None or not intent.open:
        return draft.decide()
    match answer:
        case Record() if answer.reference == order.transaction.reference and answer.status in CONFIRMS[intent.effect]:
            draft.record_intent(replace(intent, confirmed=True))
            draft.note(EntryKind.EFFECT_CONFIRMED, key=intent.key)
        case Refused() if answer.payment_status is not None:
            _note_refusal(draft, intent, answer.payment_status, row, policy)
        case NoRecord():
            _note_refusal(draft, intent, NO_RECORD, row, policy)
        case _:
            _leave_in_doubt(draft, intent, answer, row, policy)
    return draft.decide()


def _note_refusal(draft: Draft, intent: Intent, status: str, row: Claimed, policy: ProviderPolicy) -> None:
    """Keep which status refused.

    The first refusal is asked about at once; after more of them we take our time,
    or a provider that refuses in one word and reports in another would be called without a pause.
    """
    draft.record_intent(replace(intent, refused_in=status))
    draft.note(EntryKind.EFFECT_REFUSED, key=intent.key, status=status)
    if intent.number > 1:
        _ask_later(draft, row, policy)


def _leave_in_doubt(draft: Draft, intent: Intent, answer: Answer, row: Claimed, policy: ProviderPolicy) -> None:
    if not intent.asked:
        draft.record_intent(replace(intent, asked=True))
        draft.note(EntryKind.EFFECT_IN_DOUBT, key=intent.key)
    _ask_later(draft, row, policy)
    if isinstance(answer, Unreachable) and answer.retry_after is not None and draft.due is not None:
        draft.due = replace(draft.due, at=max(draft.due.at, draft.now + patience(answer.retry_after)))


def _intend(draft: Draft, effect: Effect, *, number: int, row: Claimed) -> None:
    intent = Intent(effect=effect, number=number, key=key_of(effect, draft.transaction, number))
    draft.record_intent(intent)
    draft.note(EntryKind.INTENT, key=intent.key)
    draft.due = Due(work=WORK_OF[effect], at=draft.now, step=_tries(row))


def _ask_later(draft: Draft, row: Claimed, policy: ProviderPolicy) -> None:
    tries = _tries(row)
    delay = delay_at(policy.retries, tries, seed=draft.order.id)
    if delay is None:
        give_up(
            draft,
            CaseKind.CANCEL_IN_DOUBT,
            "the provider neither canceled the payment nor called it final; it is tried no more",
        )
    else:
        sent = draft.transaction.intent is not None
        draft.due = Due(work=Work.CONFIRM if sent else Work.CLOSE, at=draft.now + delay, step=tries + 1)


def _tries(row: Claimed) -> int:
    """How often this closing has waited so far; a row that comes from polling has not."""
    return row.step if row.work in CLOSING else 0


def _close_as_asked(draft: Draft) -> None:
    """Close the order for the reason it is being closed for: nothing is left at the provider that could be canceled."""
    order = draft.order
    request = order.cancel_request
    reason = deadline_of(order).reason
    if request is not None:
        _end(draft, Signal.CANCELED)
        draft.move(order_lifecycle.Signal.CANCELED, reason=request.reason, canceled_by=request.by)
    elif ENDS_IN[reason] is OrderStatus.EXPIRED:
        _end(draft, Signal.EXPIRED)
        draft.move(order_lifecycle.Signal.EXPIRED, reason=reason)
    else:
        _end(draft, Signal.CANCELED)
        draft.move(order_lifecycle.Signal.CANCELED, reason=reason, canceled_by=CanceledBy.SYSTEM)


def _end(draft: Draft, signal: Signal) -> None:
    """Move the parent by its table: our own closing is a signal like the provider's."""
    before = draft.transaction.state
    after = advance(TRANSITIONS, before, signal)
    draft.learn(state=after)
    draft.note(EntryKind.TRANSACTION, before=before, after=after, provider_status=draft.transaction.provider_status)


def spacing_of(policy: ProviderPolicy) -> timedelta:
    """How far apart the "no record" answers at a deadline are asked for."""
    return policy.no_record.over / max(policy.no_record.answers - 1, 1)
