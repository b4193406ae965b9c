"""Lanes: how much may be asked now, of what, and when a sick one is left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from domain.model.decision import Survey
from domain.model.due_work import Claimed, Lane, LaneLimits, Work

# What is dear first: money that must be undone, then what a customer could still pay, then the rest.
PRIORITY: Final = (Work.VOID, Work.CANCEL, Work.CLOSE, Work.POLL, Work.WATCH)
# One call in five is kept for these, so that a flood of deadlines never starves them altogether.
NEVER_STARVED: Final = frozenset({Work.POLL, Work.WATCH})
KEPT_SHARE: Final = 0.2
# Several payments can be asked about in one call; an effect is always a call of its own.
INQUIRIES: Final = frozenset({Work.CLOSE, Work.POLL, Work.WATCH})


def refill(lane: Lane, limits: LaneLimits, now: datetime) -> Lane:
    """Return the lane with the tokens that have grown since it was last read; it holds a second's worth at most."""
    rate = limits.requests_per_second
    most = max(rate, 1.0)
    if lane.refilled_at is None:
        return replace(lane, tokens=most, refilled_at=now)
    seconds = max((now - lane.refilled_at).total_seconds(), 0.0)
    return replace(lane, tokens=min(most, lane.tokens + seconds * rate), refilled_at=now)


def is_ready(lane: Lane, now: datetime) -> bool:
    """Whether anything may be asked in this lane now."""
    return not lane.paused and (lane.paused_until is None or lane.paused_until <= now)


def is_probing(lane: Lane, limits: LaneLimits) -> bool:
    """Whether the breaker lets a single call through to see if the lane is well again."""
    return lane.failures >= limits.breaker_failures


def spend(
    lane: Lane, limits: LaneLimits, candidates: Mapping[Work, Sequence[Claimed]], *, room: int
) -> tuple[Lane, list[Claimed]]:
    """Choose among the due rows of one lane by priority; return the lane with its tokens spent, and the choice.

    `room` is in calls that this worker can still have under way.
    """
    calls = min(int(lane.tokens), room, 1 if is_probing(lane, limits) else room)
    if calls < 1:
        return lane, []
    kept = _kept_for_the_last(calls, limits, candidates)
    chosen: list[Claimed] = []
    spent = 0
    for work in PRIORITY:
        rows = candidates.get(work, ())
        size = limits.bulk if work in INQUIRIES else 1
        left = calls - spent - (0 if work in NEVER_STARVED else kept)
        take = rows[: max(left, 0) * size]
        chosen.extend(take)
        spent += -(-len(take) // size)
    return replace(lane, tokens=lane.tokens - spent), chosen


def after(lane: Lane, limits: LaneLimits, survey: Survey, now: datetime) -> Lane:
    """Return the lane after a wave: the breaker counts failures in a row, and a pause only ever grows."""
    failures = survey.failed if survey.intelligible else lane.failures + survey.failed
    if survey.intelligible and survey.failed < limits.breaker_failures:
        failures = 0
    pause = lane.paused_until
    if survey.pause_until is not None:
        pause = min(survey.pause_until, now + limits.longest_pause)
    if failures >= limits.breaker_failures and not survey.intelligible:
        opened = now + limits.breaker_open
        pause = opened if pause is None else max(pause, opened)
    return replace(lane, failures=failures, paused_until=pause)


def _kept_for_the_last(calls: int, limits: LaneLimits, candidates: Mapping[Work, Sequence[Claimed]]) -> int:
    """Calls that the first three leave to the last two, if those have anything to ask."""
    waiting = sum(len(candidates.get(work, ())) for work in NEVER_STARVED)
    if not waiting or calls < 2:  # noqa: PLR2004 - of one call nothing can be kept
        return 0
    return min(-(-waiting // limits.bulk), max(int(calls * KEPT_SHARE), 1))
