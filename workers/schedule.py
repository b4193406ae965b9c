"""What beat ticks. A tick says only that time has passed, so one too many or too few changes nothing."""

# mypy: allow-subclassing-any

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog
from celery.beat import ScheduleEntry, Scheduler

from adapters.queue import MOST_WAITING, Depths, drain_task
from config.messaging import NOTIFICATIONS, POLLING, RETRIGGERS, REVERSALS, SWEEPS, hint_expires

# The queues whose drain finds what nobody hinted at.
SWEPT: Final = (POLLING, REVERSALS, NOTIFICATIONS, SWEEPS, RETRIGGERS)

log = structlog.get_logger(__name__)


def entries(sweep_seconds: float) -> Mapping[str, Mapping[str, object]]:
    """Return Celery's `beat_schedule`: one entry for each queue that is swept."""
    options = {"expires": hint_expires(sweep_seconds), "ignore_result": True}
    return {
        drain_task(queue): {
            "task": drain_task(queue),
            "schedule": timedelta(seconds=sweep_seconds),
            "options": {"queue": queue, **options},
        }
        for queue in SWEPT
    }


class Ticks(Scheduler):
    """A scheduler without a memory: its file could only be wrong, and any number of copies may run.

    A queue in which enough hints wait gets no more, so that a day without workers leaves no day of messages.
    """

    _depths: Depths | None = None
    _ending = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        if self._ending:
            raise SystemExit
        return float(super().tick(*args, **kwargs))

    def close(self) -> None:
        """End, in two steps.

        Celery's handler of SIGTERM closes the scheduler, wherever that is, and raises SystemExit. If it was reading
        from the broker, its buffers are gone, the library stumbles over them, and SystemExit is lost on the way: beat
        would live on. So the first call only notes that this is the end; the second comes when the loop has been left.
        """
        if self._ending:
            super().close()
        self._ending = True

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if self._depths is None:
            self._depths = Depths(self.connection)
        waiting = self._depths(entry.options["queue"])
        # Where the broker does not say, the tick is sent as ever: Celery logs what comes of it, and goes on.
        if waiting is not None and waiting >= MOST_WAITING:
            log.debug("tick.skipped", queue=entry.options["queue"], waiting=waiting)
            return
        super().apply_entry(entry, producer=producer)
