"""When a callback is tried again, and when it is given up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from domain.model.case import CaseKind, CaseOpening
from domain.model.delivery import DeliveryAnswer, DeliveryDecision, Head
from domain.model.due_work import Claimed, Due, Work
from domain.model.policy import Cadence, Stage
from domain.rules.cadence import delay_at

_WAITS: Final[Sequence[timedelta]] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# The schedule that the Standard Webhooks specification suggests: three days, thinning out.
_JITTER: Final = 0.1
SCHEDULE: Final = Cadence(stages=[Stage(wait, 1) for wait in _WAITS], jitter=_JITTER)
LONGEST_RETRY_AFTER: Final = timedelta(hours=24)
# Nothing but failures for so long is a person's to know, and after so long nobody is listening.
ANNOUNCED_AFTER: Final = timedelta(hours=1)
DISABLED_AFTER: Final = timedelta(days=5)
# An endpoint that answers so is there, and says something of this one event; with some of these it says: not now.
_OF_THE_EVENT: Final = range(400, 500)
_NOT_NOW: Final = frozenset({408, 425, 429})


def after_try(
    row: Claimed, head: Head, answer: DeliveryAnswer, *, now: datetime, schedule: Cadence
) -> DeliveryDecision:
    """Return what follows from one try to deliver the head of a stream."""
    next_one = Due(work=Work.DELIVER, at=now) if head.more else None
    due, given_up, opening = next_one, False, None
    trouble = None if answer.delivered else _trouble_of(head, answer, now)
    why_disabled = None if answer.delivered else _why_disabled(head, answer, now)
    if why_disabled is not None:
        due = Due(work=Work.DELIVER, at=now, step=row.step)  # its lane rests until the endpoint is enabled again
    elif not answer.delivered:
        wait = delay_at(_schedule_of(head, schedule), head.tries, seed=head.stream)
        if wait is None:
            given_up, opening = True, _opening(head, f"{head.event} was tried {head.tries + 1} times: {answer.why}")
        else:
            asked_for = min(answer.retry_after or timedelta(), LONGEST_RETRY_AFTER)
            due = Due(work=Work.DELIVER, at=now + max(wait, asked_for), step=head.tries + 1)
    return DeliveryDecision(
        row=row,
        head=head,
        delivered=answer.delivered,
        status=answer.status,
        error=None if answer.delivered else answer.why,
        due=due,
        given_up=given_up,
        why_disabled=why_disabled,
        opening=opening,
        endpoint_opening=trouble,
        settles=answer.delivered and head.troubled,
    )


def is_well(answer: DeliveryAnswer) -> bool:
    """Whether a try shows an endpoint that is there; any other is a failure, several of which let it rest."""
    of_the_event = answer.whole and answer.status in _OF_THE_EVENT and answer.status not in _NOT_NOW
    return answer.delivered or of_the_event


def in_a_wave(heads: Iterable[tuple[Head, DeliveryAnswer]]) -> Sequence[Head]:
    """Return the heads as their wave has changed them: an endpoint that took anything fails no more."""
    tried = list(heads)
    alive = {head.endpoint for head, answer in tried if answer.delivered}
    return [replace(head, failing_since=None) if head.endpoint in alive else head for head, _ in tried]


def findings(decisions: Sequence[DeliveryDecision]) -> Mapping[int, CaseOpening]:
    """Return {endpoint: what a wave has found of it}: one cause, however many events it keeps from their receiver."""
    found: dict[int, list[DeliveryDecision]] = {}
    for decision in decisions:
        if decision.opening is not None or decision.endpoint_opening is not None:
            found.setdefault(decision.head.endpoint, []).append(decision)
    return {endpoint: _together(of_one) for endpoint, of_one in found.items()}


def _together(decisions: Sequence[DeliveryDecision]) -> CaseOpening:
    """Return what these say of their one endpoint; its own trouble comes first, for that has the deadline."""
    given_up = [d.opening for d in decisions if d.opening is not None]
    trouble = [d.endpoint_opening for d in decisions if d.endpoint_opening is not None][:1]
    known = [opening.known for opening in (*trouble, *given_up[:1])]
    if given_up[1:]:
        known.append(f"{len(given_up) - 1} more events were given up with it")
    first = (*trouble, *given_up)[0]
    names = [str(opening.details["event"]) for opening in given_up]
    details = {**first.details, "given_up": ", ".join(names)} if names else first.details
    return replace(first, known="; ".join(known), details=details)


def _schedule_of(head: Head, usual: Cadence) -> Cadence:
    if head.waits is None:
        return usual
    return Cadence(stages=[Stage(wait, 1) for wait in head.waits], jitter=_JITTER)


def _is_dead(head: Head, now: datetime) -> bool:
    return head.failing_since is not None and now - head.failing_since >= DISABLED_AFTER


_GONE: Final = "the endpoint answered 410"


def _failures_of(head: Head) -> str:
    return f"nothing but failures since {head.failing_since:%Y-%m-%d %H:%M}Z"


def _why_disabled(head: Head, answer: DeliveryAnswer, now: datetime) -> str | None:
    if answer.gone:
        return _GONE
    return _failures_of(head) if _is_dead(head, now) else None


def _trouble_of(head: Head, answer: DeliveryAnswer, now: datetime) -> CaseOpening | None:
    """Return the case of an endpoint that wants no more, or has done nothing but fail for too long."""
    if answer.gone:
        return _opening(head, f"{_GONE} and is disabled")
    if head.failing_since is None or now - head.failing_since < ANNOUNCED_AFTER:
        return None
    since = _failures_of(head)
    if _is_dead(head, now):
        return _opening(head, f"{since}: the endpoint is disabled, and what waits is kept")
    opening = _opening(head, f"{since}: the endpoint will be disabled at the deadline")
    details = {**opening.details, "last_error": answer.why or ""}
    return replace(opening, details=details, deadline=head.failing_since + DISABLED_AFTER)


def _opening(head: Head, known: str) -> CaseOpening:
    return CaseOpening(kind=CaseKind.UNDELIVERABLE, known=known, details={"url": head.url, "event": head.event})
