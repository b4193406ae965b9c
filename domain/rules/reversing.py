"""What an answer about a timed-out transaction makes of its reversal, and of the order whose payment it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from domain.model.answer import Answer, NoRecord, Record, Refused, Unreachable
from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import Decision, EntryKind
from domain.model.due_work import Claimed, Due, Work
from domain.model.order import Order, OrderStatus
from domain.model.policy import ProviderPolicy
from domain.model.reversal import Ask, LastAnswer, Reversal, ReversalAttempt, ReversalDecision
from domain.model.transaction import Effect, Intent, ReversalOutcome
from domain.rules.closing import CONFIRMS, NO_RECORD
from domain.rules.commands import bring_forward
from domain.rules.draft import Draft
from domain.rules.events import reversal_ended
from domain.rules.holding import ends_with_its_reversal, take_back
from domain.rules.keys import key_of
from domain.rules.originals import read, redacted
from domain.rules.planning import POLLED, plan
from domain.rules.reversal import (
    COUNTED,
    AgainAt,
    Next,
    Said,
    Stop,
    VoidNow,
    after_inquiry,
    after_refusal,
    had_no_record_in_time,
    needs_a_person,
    next_attempt,
)

ACTOR: Final = "system:reverse"
# An order in one of these was settled for good: undoing its payment is no rule's business any more.
SETTLED: Final = frozenset({
    OrderStatus.PAID, OrderStatus.REFUND_PENDING, OrderStatus.UNRESOLVED, OrderStatus.RESOLVED,
})  # fmt: skip
CASE_OF: Final[Mapping[ReversalOutcome, CaseKind]] = MappingProxyType({
    ReversalOutcome.SETTLEMENT_PASSED: CaseKind.SETTLED_UNREVERSED,
    ReversalOutcome.EXHAUSTED: CaseKind.REVERSAL_EXHAUSTED,
})  # fmt: skip
_LAST: Final[Mapping[Said, LastAnswer]] = MappingProxyType({
    Said.NO_RECORD: LastAnswer.NO_RECORD,
    Said.NOT_BELIEVED: LastAnswer.NOT_BELIEVED,
    Said.COULD_NOT_ASK: LastAnswer.COULD_NOT_ASK,
})  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One attempt while its decision is being made."""

    before: Reversal
    reversal: Reversal
    asked: Ask
    row: Claimed
    now: datetime
    policy: ProviderPolicy
    order: Order | None
    effects: bool
    withheld: str | None = None  # why a void that would be right is not sent
    intents: list[Intent] = field(default_factory=list)

    @property
    def step(self) -> int:
        """How often it has waited so far, which says how long it waits now."""
        return self.row.step

    def record_intent(self, intent: Intent) -> None:
        self.reversal = replace(self.reversal, intent=intent)
        self.intents = [*(kept for kept in self.intents if kept.number != intent.number), intent]


def reverse(
    reversal: Reversal,
    answer: Answer | None,
    *,
    asked: Ask,
    row: Claimed,
    order: Order | None,
    effects: bool = True,
    policy: ProviderPolicy,
    now: datetime,
) -> ReversalDecision:
    """Return what follows from an attempt: its answer, None where nothing was asked.

    `order` is the one whose own payment it is, if it is known here, locked. One that has ended meanwhile, and was
    planned again from outside, only loses its plan. Without `effects` nothing is voided, as long as its lane says so.
    """
    if reversal.outcome is not None or answer is None:
        return ReversalDecision(before=reversal, reversal=reversal, row=row, due=None)
    attempt = _Attempt(
        before=reversal, reversal=reversal, asked=asked, row=row, now=now, policy=policy, order=order, effects=effects
    )
    following: Next = _learn_of_void(attempt, answer) if asked is Ask.VOID else _learn_of_original(attempt, answer)
    if isinstance(following, VoidNow):
        following = _may_touch(attempt, following)
    return _decide(attempt, following, answer)


def _learn_of_original(attempt: _Attempt, answer: Answer) -> Next:
    said = read(attempt.reversal, answer)
    known = attempt.reversal
    stands = said is Said.COULD_NOT_ASK and had_no_record_in_time(known, attempt.policy)
    attempt.reversal = replace(
        known,
        attempts=known.attempts + (said in COUNTED),
        on_record=known.on_record or said in COUNTED,
        # That there was no record just before settlement decides how it ends: a call that fails does not take it back.
        last_answer=known.last_answer if stands else _LAST.get(said, LastAnswer.RECORD),
        last_asked_at=known.last_asked_at if stands else attempt.now,
        provider_status=answer.status if isinstance(answer, Record) and said in COUNTED else known.provider_status,
    )
    intent = known.intent
    if intent is not None and intent.open and attempt.row.work is Work.VOID and attempt.row.claims > 1:
        intent = replace(intent, asked=True)  # a claim that did not come back may have sent it
        attempt.record_intent(intent)
    if said is Said.REVERSED and intent is not None and intent.open and _is_undone(answer):
        attempt.record_intent(replace(intent, confirmed=True))
        return Stop(ReversalOutcome.VOIDED)
    if said is Said.COULD_NOT_ASK:
        return _again_soon(attempt, answer)
    return after_inquiry(attempt.reversal, said, step=attempt.step, policy=attempt.policy, now=attempt.now)


def _is_undone(answer: Answer) -> bool:
    return isinstance(answer, Record) and answer.status in CONFIRMS[Effect.VOID]


def _learn_of_void(attempt: _Attempt, answer: Answer) -> Next:
    intent = attempt.reversal.intent
    assert intent is not None
    match answer:
        case Record() if answer.reference == attempt.reversal.reference and _is_undone(answer):
            attempt.record_intent(replace(intent, confirmed=True))
            attempt.reversal = replace(attempt.reversal, provider_status=answer.status)
            return Stop(ReversalOutcome.VOIDED)
        case Refused() if answer.payment_status is not None:
            return _note_refusal(attempt, intent, answer.payment_status)
        case NoRecord():
            return _note_refusal(attempt, intent, NO_RECORD)
        case _:
            attempt.record_intent(replace(intent, asked=True))
            return _again_soon(attempt, answer)


def _note_refusal(attempt: _Attempt, intent: Intent, status: str) -> Next:
    attempt.record_intent(replace(intent, refused_in=status))
    return after_refusal(attempt.reversal, step=attempt.step, policy=attempt.policy, now=attempt.now)


def _again_soon(attempt: _Attempt, answer: Answer) -> Next:
    """Plan to ask again after a call that told us nothing; it uses no attempt up (I4).

    A void that lost its answer in the moment of settlement may have been done, so it is asked about once more.
    """
    if attempt.now >= attempt.reversal.settles_at:
        return AgainAt(attempt.now) if attempt.asked is Ask.VOID else Stop(ReversalOutcome.SETTLEMENT_PASSED)
    return AgainAt(
        next_attempt(
            attempt.reversal,
            step=attempt.step,
            policy=attempt.policy,
            now=attempt.now,
            retry_after=answer.retry_after if isinstance(answer, Unreachable) else None,
            longest=attempt.policy.could_not_ask,
        )
    )


def _may_touch(attempt: _Attempt, following: VoidNow) -> Next:
    """Record the intent of a void; an order that was settled meanwhile is a person's, and its payment left alone."""
    order = attempt.order
    if not attempt.effects:
        attempt.withheld = "effects are switched off in its lane"
    elif order is not None and order.status in SETTLED:
        attempt.withheld = f"its order is {order.status}"
    if attempt.withheld is not None:
        return AgainAt(next_attempt(attempt.reversal, step=attempt.step, policy=attempt.policy, now=attempt.now))
    intent = attempt.reversal.intent
    if intent is None or not intent.open:
        number = 1 if intent is None else intent.number + 1
        attempt.record_intent(
            Intent(effect=Effect.VOID, number=number, key=key_of("reverse", attempt.reversal, number))
        )
    return following


def _decide(attempt: _Attempt, following: Next, answer: Answer | None) -> ReversalDecision:
    due, openings = None, []
    match following:
        case Stop():
            attempt.reversal = replace(attempt.reversal, outcome=following.outcome, ended_at=attempt.now)
            openings = _case_of(attempt, following.outcome)
        case VoidNow():
            due = Due(work=Work.VOID, at=attempt.now, step=attempt.step)
        case AgainAt():
            counts = attempt.asked is Ask.VOID or attempt.reversal.last_answer is not LastAnswer.COULD_NOT_ASK
            due = Due(work=Work.REVERSE, at=following.at, step=attempt.step + counts)
            openings = _contradiction(attempt)
    ended = isinstance(following, Stop)
    return ReversalDecision(
        before=attempt.before,
        reversal=attempt.reversal,
        row=attempt.row,
        due=due,
        attempt=_kept(attempt, following, answer, due),
        intents=tuple(attempt.intents),
        openings=tuple(openings),
        event=reversal_ended(attempt.reversal, order=attempt.order) if ended else None,
        order_id=None if attempt.order is None else attempt.order.id,
        order=_order_after(attempt),
    )


def _order_after(attempt: _Attempt) -> Decision | None:
    """Tell the order that its payment's reversal is open, or how it ended.

    What is undone ends an open order here and now; any other end brings its next look forward.
    """
    order = attempt.order
    if order is None:
        return None
    outcome = attempt.reversal.outcome
    if outcome is None:
        return None if order.transaction.reversing else hold(order, now=attempt.now)
    draft = Draft.of(order, actor=ACTOR, now=attempt.now)
    draft.learn(reversing=False, reversal=outcome)
    draft.note(EntryKind.REVERSAL_ENDED, outcome=outcome)
    if ends_with_its_reversal(order, outcome, attempt.reversal.provider_status):
        take_back(draft, attempt.reversal.provider_status)
        plan(draft, attempt.policy, step=0)
    elif order.status in POLLED or order.watching:
        bring_forward(draft)
    else:
        draft.keep_due = True
    return draft.decide()


def hold(order: Order, *, now: datetime, actor: str = ACTOR) -> Decision:
    """Return what a reversal that opens makes of its order: no money that is seen moves it before the end."""
    draft = Draft.of(order, actor=actor, now=now)
    draft.learn(reversing=True)
    draft.note(EntryKind.REVERSAL_OPENED)
    draft.keep_due = True
    return draft.decide()


def _case_of(attempt: _Attempt, outcome: ReversalOutcome) -> list[CaseOpening]:
    reversal = attempt.reversal
    if not needs_a_person(attempt.before, reversal, outcome, policy=attempt.policy):
        return []
    return [
        CaseOpening(
            kind=CASE_OF[outcome],
            known=f"{_name_of(reversal)}, which timed out, was not undone: {_state_of(reversal)}",
            provider_says=reversal.provider_status,
            amount_at_risk=reversal.amount,
            # Until then it can be voided, at the provider; after it, it is given back, and nothing is urgent.
            deadline=reversal.settles_at if attempt.now < reversal.settles_at else None,
            details=_details(reversal),
        )
    ]


def _contradiction(attempt: _Attempt) -> list[CaseOpening]:
    order = attempt.order
    if order is None or order.status not in SETTLED:
        return []
    return [
        CaseOpening(
            kind=CaseKind.CONTRADICTION,
            known=f"{_name_of(attempt.reversal)} was reported as timed out, and pays an order that is {order.status}: "
            "it is not undone",
            provider_says=attempt.reversal.provider_status,
            amount_at_risk=attempt.reversal.amount,
            details=_details(attempt.reversal),
        )
    ]


def _name_of(reversal: Reversal) -> str:
    return f"{reversal.reference} at {reversal.provider}"


def _state_of(reversal: Reversal) -> str:
    if reversal.last_answer is None or reversal.last_answer is LastAnswer.COULD_NOT_ASK:
        return "the provider could not be asked when it was last tried"
    if reversal.last_answer is LastAnswer.NOT_BELIEVED:
        return "the provider's record is of another amount or currency than the report; look which of them is wrong"
    if reversal.last_answer is LastAnswer.NO_RECORD:
        return f"the provider has no record of it{' any more' if reversal.on_record else ''}"
    intent = reversal.intent
    if intent is not None and intent.open:
        return f"it was {reversal.provider_status}, and a void has no answer yet"
    if intent is not None and intent.refused_in is not None:
        return f"it is {reversal.provider_status}, and its void was refused as {intent.refused_in}"
    return f"it is {reversal.provider_status}"


def _details(reversal: Reversal) -> Mapping[str, str]:
    return {
        "provider": reversal.provider,
        "reference": reversal.reference,
        "settles_at": reversal.settles_at.isoformat(),
        "attempts": str(reversal.attempts),
    }


def _kept(attempt: _Attempt, following: Next, answer: Answer | None, due: Due | None) -> ReversalAttempt:
    before = attempt.before.intent
    match following:
        case Stop():
            decided = f"stop: {following.outcome}"
        case VoidNow():
            decided = "void"
        case AgainAt():
            decided = "ask again" if attempt.withheld is None else f"no void: {attempt.withheld}"
    return ReversalAttempt(
        asked=attempt.asked,
        key=before.key if attempt.asked is Ask.VOID and before is not None else None,
        answer=redacted(attempt.before, answer),
        decided=decided,
        next_at=None if due is None else due.at,
    )
