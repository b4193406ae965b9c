"""Undoing a transaction that timed out: ask, void, ask again, until it is undone or its settlement has passed.

The machine alone: what was last learnt, the time, the attempts and the settlement time go in; to stop with an
outcome, to void now, or to ask again at a certain time comes out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from domain.model.answer import ProviderStatus
from domain.model.due_work import Claimed, Work
from domain.model.policy import ProviderPolicy
from domain.model.reversal import Ask, LastAnswer, Reversal
from domain.model.transaction import ReversalOutcome
from domain.rules.cadence import delay_at
from domain.rules.planning import patience


class Said(StrEnum):
    """What a query's answer says of the original, as far as undoing it goes."""

    DECLINED = "declined"  # nothing to undo, now or later
    REVERSED = "reversed"
    APPROVED = "approved"  # money is held or taken, and can be given back
    SETTLED = "settled"  # money is taken for good
    OPEN = "open"  # may still become any of these
    NO_RECORD = "no_record"
    NOT_BELIEVED = "not_believed"  # a record that does not fit what was reported
    COULD_NOT_ASK = "could_not_ask"


# The provider's words. A refund under way may still be rejected, and then the money is there to be voided.
READING: Final[Mapping[ProviderStatus, Said]] = MappingProxyType({
    ProviderStatus.DECLINED: Said.DECLINED,
    ProviderStatus.EXPIRED: Said.DECLINED,
    ProviderStatus.INVALID: Said.DECLINED,
    ProviderStatus.VOIDED: Said.REVERSED,
    ProviderStatus.CANCELED: Said.REVERSED,
    ProviderStatus.REFUNDED: Said.REVERSED,
    ProviderStatus.AUTHORIZED: Said.APPROVED,
    ProviderStatus.PAID: Said.APPROVED,
    ProviderStatus.REFUND_REJECTED: Said.APPROVED,
    ProviderStatus.CREATED: Said.OPEN,
    ProviderStatus.PENDING: Said.OPEN,
    ProviderStatus.ATTEMPTED: Said.OPEN,
    ProviderStatus.COD: Said.OPEN,
    ProviderStatus.REFUND_PENDING: Said.OPEN,
})  # fmt: skip

ENDS: Final[Mapping[Said, ReversalOutcome]] = MappingProxyType({
    Said.DECLINED: ReversalOutcome.DECLINED,
    Said.REVERSED: ReversalOutcome.ALREADY_REVERSED,
    Said.SETTLED: ReversalOutcome.SETTLEMENT_PASSED,
})  # fmt: skip

# Answers that say where the original stands. The others are no attempts: they do not use any up.
COUNTED: Final = frozenset(Said) - {Said.NO_RECORD, Said.NOT_BELIEVED, Said.COULD_NOT_ASK}


@dataclass(frozen=True, slots=True)
class Stop:
    outcome: ReversalOutcome


@dataclass(frozen=True, slots=True)
class VoidNow:
    """Under the key of the open intent, or of a new one where there is none."""


@dataclass(frozen=True, slots=True)
class AgainAt:
    at: datetime


Next: TypeAlias = Stop | VoidNow | AgainAt


def ask_of(reversal: Reversal, row: Claimed, now: datetime) -> Ask:
    """Return what this claim asks.

    A void goes out before settlement only, and only from a claim that was not made before: one that was may have
    sent it and died, and what may have been sent is asked about before it is sent again.
    """
    intent = reversal.intent
    if reversal.outcome is not None:
        return Ask.NOTHING
    due_void = row.work is Work.VOID and intent is not None and intent.open and row.claims == 1
    return Ask.VOID if due_void and now < reversal.settles_at else Ask.INQUIRY


def after_inquiry(reversal: Reversal, said: Said, *, step: int, policy: ProviderPolicy, now: datetime) -> Next:
    """Return what follows from a query's answer; `reversal` has learnt it already, its attempt counted.

    After settlement nothing is done any more: an answer that came late can only say how it ended. The last attempt may
    void too; what becomes of that void is asked about, and then it is over.
    """
    if said in ENDS:
        return Stop(ENDS[said])
    if now >= reversal.settles_at:
        return Stop(ReversalOutcome.SETTLEMENT_PASSED)
    if said is Said.APPROVED and may_void(reversal) and reversal.attempts <= policy.most_attempts:
        return VoidNow()
    if said in COUNTED and reversal.attempts >= policy.most_attempts:
        return Stop(ReversalOutcome.EXHAUSTED)
    return AgainAt(next_attempt(reversal, step=step, policy=policy, now=now))


def after_refusal(reversal: Reversal, *, step: int, policy: ProviderPolicy, now: datetime) -> Next:
    """Return what follows from a refused void: the first is asked about at once, further ones take their time.

    A provider that refuses in one word and reports in another would else be called without a pause.
    """
    intent = reversal.intent
    if intent is None or intent.number == 1:
        return AgainAt(now)
    return AgainAt(next_attempt(reversal, step=step, policy=policy, now=now))


def may_void(reversal: Reversal) -> bool:
    """Whether an approved original may be voided now (I3).

    After a refusal nothing was done, so a new intent needs a status other than the one that refused.
    """
    intent = reversal.intent
    return intent is None or intent.open or intent.refused_in not in (None, reversal.provider_status)


def next_attempt(
    reversal: Reversal,
    *,
    step: int,
    policy: ProviderPolicy,
    now: datetime,
    retry_after: timedelta | None = None,
    longest: timedelta | None = None,
) -> datetime:
    """Return when to ask again: by the cadence, with one attempt kept for just before settlement.

    From that one on it is asked at the pace of the first stage, for a record may appear, or an approval come, at any
    moment; and a last time at the settlement itself, when nothing can be done any more but to say how it ended.
    """
    last = last_attempt_at(reversal, policy)
    if now >= last:
        wait = max(policy.retries.stages[0].delay, patience(retry_after))
        return min(now + wait, reversal.settles_at)
    delay = delay_at(policy.retries, step, seed=reversal.id)
    if reversal.attempts >= policy.most_attempts - 1:
        delay = None
    waits = [wait for wait in (delay, longest) if wait is not None]
    return min(now + max(min(waits), patience(retry_after)), last) if waits else last


def last_attempt_at(reversal: Reversal, policy: ProviderPolicy) -> datetime:
    """When the last attempt before settlement is planned; one that was reported late has half of what was left."""
    left = max(reversal.settles_at - reversal.reported_at, timedelta())
    return reversal.settles_at - min(policy.last_attempt, left / 2)


def is_kept_for_the_end(reversal: Reversal, policy: ProviderPolicy, now: datetime) -> bool:
    """Whether only the attempt is left that is kept for just before settlement, and its time has not come."""
    return reversal.attempts >= policy.most_attempts - 1 and now < last_attempt_at(reversal, policy)


def needs_a_person(before: Reversal, reversal: Reversal, outcome: ReversalOutcome, *, policy: ProviderPolicy) -> bool:
    """Whether an end leaves money that may be the customer's.

    What was never on record is closed, and said so, if the attempt just before settlement was answered so: a record can
    appear late, and what was seen too early, or only after settlement, is too little to go by.
    """
    if outcome not in (ReversalOutcome.SETTLEMENT_PASSED, ReversalOutcome.EXHAUSTED):
        return False
    in_time = had_no_record_in_time(before, policy)
    return reversal.on_record or reversal.last_answer is not LastAnswer.NO_RECORD or not in_time


def had_no_record_in_time(reversal: Reversal, policy: ProviderPolicy) -> bool:
    """Whether "no record" was learnt last, and no earlier than by the attempt just before settlement."""
    asked_at = reversal.last_asked_at
    in_time = asked_at is not None and asked_at >= last_attempt_at(reversal, policy)
    return in_time and reversal.last_answer is LastAnswer.NO_RECORD
