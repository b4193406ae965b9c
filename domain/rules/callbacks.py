"""When a callback is tried again, and when it is given up."""

from collections.abc import Sequence
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
SCHEDULE: Final = Cadence(stages=[Stage(wait, 1) for wait in _WAITS], jitter=0.1)
LONGEST_RETRY_AFTER: Final = timedelta(hours=24)


def after_try(
    row: Claimed, head: Head, answer: DeliveryAnswer, *, now: datetime, schedule: Cadence
) -> DeliveryDecision:
    """Return what follows from one try to deliver the head of a stream."""
    next_one = Due(work=Work.DELIVER, at=now) if head.more else None
    due, given_up, opening = next_one, False, None
    if answer.gone:
        due = Due(work=Work.DELIVER, at=now, step=row.step)  # its lane rests until the endpoint is enabled again
        opening = _opening(head, "the endpoint answered 410 and is disabled")
    elif not answer.delivered:
        wait = delay_at(schedule, head.tries, seed=head.stream)
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
        disable=answer.gone,
        opening=opening,
    )


def _opening(head: Head, known: str) -> CaseOpening:
    return CaseOpening(kind=CaseKind.UNDELIVERABLE, known=known, details={"url": head.url, "event": head.event})
