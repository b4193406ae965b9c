"""Lanes: how much may be asked now, of what, and when a sick one is left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from domain.model.decision import Survey
from domain.model.due_work import Claimed, Lane, LaneLimits, Work

# What is dear first: money that must be undone, then what a customer could still pay, then the rest.
# Deliveries have lanes of their own, so have mails, and waiting commands with retriggers; they meet none of the others.
PRIORITY: Final = (
    Work.VOID, Work.CANCEL, Work.CONFIRM, Work.REVERSE, Work.CLOSE, Work.DELIVER, Work.MAIL, Work.COMMAND,
    Work.RETRIGGER, Work.POLL, Work.WATCH,
)  # fmt: skip
# One call in five is kept from all that goes before these, so that no flood starves them altogether.
NEVER_STARVED: Final = (Work.POLL, Work.WATCH)
KEPT_ONE_IN: Final = 5
# What acts at providers, and sees what came of it, has a queue of its own: no flood of polls stands in its way.
REVERSING: Final = (Work.VOID, Work.CANCEL, Work.CONFIRM, Work.REVERSE)
POLLING: Final = (Work.CLOSE, Work.POLL, Work.WATCH)
EFFECTS: Final = frozenset({Work.VOID, Work.CANCEL})
# Several payments can be asked about in one call; an effect is always a call of its own.
INQUIRIES: Final = frozenset({Work.CONFIRM, Work.REVERSE, Work.CLOSE, Work.POLL, Work.WATCH})


def refill(lane: Lane, limits: LaneLimits, now: datetime) -> Lane:
    """Return the lane with the tokens that have grown since it was last read; it holds a second's worth at most."""
    rate = limits.requests_per_second
    most = max(rate, 1.0)
    if lane.refilled_at is None:
        return replace(lane, tokens=most, refilled_at=now)
    seconds = max((now - lane.refilled_at).total_seconds(), 0.0)
    return replace(lane, tokens=min(most, lane.tokens + seconds * rate), refilled_at=max(now, lane.refilled_at))


def is_ready(lane: Lane, now: datetime) -> bool:
    """Whether anything may be asked in this lane now."""
    return not lane.paused and (lane.paused_until is None or lane.paused_until <= now)


def is_probing(lane: Lane, limits: LaneLimits) -> bool:
    """Whether the breaker lets a single call through to see if the lane is well again."""
    return lane.failures >= limits.breaker_failures


def spend(
    lane: Lane,
    limits: LaneLimits,
    candidates: Mapping[Work, Sequence[Claimed]],
    *,
    room: int,
    beside: Sequence[Work] = (),
) -> tuple[Lane, list[Claimed]]:
    """Choose among the due rows of one lane by priority; return the lane with its tokens spent, and the choice.

    `room` is in calls that this worker can still have under way. What is `beside` is another queue's to do:
    tokens are kept for it, most of them where it comes first and some where it comes last.
    """
    tokens = int(lane.tokens) - _reserved(lane, limits, candidates, beside)
    calls = min(tokens, room, 1 if is_probing(lane, limits) else room)
    if calls < 1:
        return lane, []
    turn = _turn(lane)
    mine = {work: rows for work, rows in candidates.items() if work not in beside}
    kept = _kept(calls, limits, mine, NEVER_STARVED, turn)
    chosen: list[Claimed] = []
    left = calls
    for work in PRIORITY:
        if work in NEVER_STARVED:
            behind = NEVER_STARVED[NEVER_STARVED.index(work) + 1 :]
            kept = _kept(left, limits, mine, behind, turn // KEPT_ONE_IN)
        if not is_allowed(lane, work):
            continue
        size = limits.bulk if work in INQUIRIES else 1
        take = mine.get(work, ())[: max(left - kept, 0) * size]
        chosen.extend(take)
        left -= -(-len(take) // size)
    return replace(lane, tokens=lane.tokens - (calls - left)), chosen


def is_allowed(lane: Lane, work: Work) -> bool:
    """Whether the lane's switches let this kind of work happen."""
    return work not in EFFECTS or not (lane.no_effects or lane.shadow)


def _reserved(
    lane: Lane, limits: LaneLimits, candidates: Mapping[Work, Sequence[Claimed]], beside: Sequence[Work]
) -> int:
    """Tokens that are left for another queue's due work: four in five for what comes first, else one in five.

    Of a single token, as many turns. Two queues side by side so have all of them, and neither is starved.
    """
    due = sum(
        -(-len(candidates.get(work, ())) // (limits.bulk if work in INQUIRIES else 1))
        for work in beside
        if is_allowed(lane, work)
    )
    tokens = int(lane.tokens)
    share = max(tokens // KEPT_ONE_IN, 1) if tokens > 1 else int(tokens == 1 and _turn(lane) % KEPT_ONE_IN == 0)
    comes_first = any(work in REVERSING for work in beside)
    return min(due, tokens - share if comes_first else share)


def after(lane: Lane, limits: LaneLimits, survey: Survey, now: datetime) -> Lane:
    """Return the lane after a wave: the breaker counts failures in a row, and a pause only ever grows."""
    failures = 0 if survey.intelligible else lane.failures + survey.failed
    pauses = [] if lane.paused_until is None else [lane.paused_until]
    if survey.pause_until is not None:
        pauses.append(min(survey.pause_until, now + limits.longest_pause))
    if survey.failed and failures >= limits.breaker_failures:
        pauses.append(now + limits.breaker_open)
    return replace(lane, failures=failures, paused_until=max(pauses, default=None))


def _kept(
    calls: int, limits: LaneLimits, candidates: Mapping[Work, Sequence[Claimed]], works: Sequence[Work], turn: int
) -> int:
    """Calls that are kept for these works, if they have anything to ask; of a single call, one turn in five."""
    waiting = sum(-(-len(candidates.get(work, ())) // limits.bulk) for work in works)
    share = max(calls // KEPT_ONE_IN, 1) if calls > 1 else int(turn % KEPT_ONE_IN == 0)
    return min(waiting, share)


def _turn(lane: Lane) -> int:
    """A number that goes round with time, seconds as well as milliseconds, and is the same for the same claim."""
    if lane.refilled_at is None:
        return 1
    seconds = int(lane.refilled_at.timestamp())
    return seconds + lane.refilled_at.microsecond // 1000
