"""How long a command waits for its order."""

from datetime import datetime, timedelta
from typing import Final

from domain.model.due_work import Due, Work
from domain.model.policy import Cadence, Stage
from domain.rules.cadence import delay_at

LONGEST_WAIT: Final = timedelta(hours=24)
# The order's registration wakes the command; these tries only catch the one that came at the same moment.
TRIES: Final = Cadence(
    stages=[Stage(timedelta(seconds=5), 6), Stage(timedelta(minutes=1), 10), Stage(timedelta(minutes=15), 1)],
    repeats=True,
)


def next_try(received_at: datetime, now: datetime, *, step: int, without_end: bool = False) -> Due | None:
    """Return when to look for the order again; None when the command has waited long enough."""
    end = received_at + LONGEST_WAIT
    delay = delay_at(TRIES, step, seed=0) or LONGEST_WAIT
    if without_end:
        return Due(work=Work.COMMAND, at=now + delay, step=step)
    if now >= end:
        return None
    return Due(work=Work.COMMAND, at=min(now + delay, end), step=step)
