"""What producers send. The messages are checked inside, so every task takes whatever came."""

# mypy: allow-subclassing-any, allow-untyped-decorators

import base64
import json
from typing import Any, Final

import structlog
from celery import Task
from celery.exceptions import SoftTimeLimitExceeded

from workers.admission import KEEP
from workers.app import app
from workers.application import Application, StoreUnavailable
from workers.store import keep

NAMES: Final = (
    "intake.register_order",
    "intake.register_orders",
    "intake.checkout_completed",
    "intake.cancel_order",
    "intake.record_attempt",
    "intake.record_operation",
    "intake.resolve_order",
    "intake.report_timeout",
    "intake.put_master_data",
    "sanity.retrigger",
    "sanity.mark_failed",
)

log = structlog.get_logger(__name__)


class IntakeTask(Task):
    """A message that stands nowhere else: it leaves the broker when it is stored, and not when its worker dies."""

    abstract = True
    typing = False  # what came is for us to check and to keep, not for Celery to refuse
    acks_on_timeout = False
    reject_on_worker_lost = True
    # Of a child that dies, Celery sends the message again and counts; after three it is kept unread (`signals`).
    retry_on_worker_lost = True
    max_retries = 3
    default_retry_delay = 0

    def __call__(self, /, *args: object, **fields: object) -> None:
        """Run, as Celery's own does; but a message may have a field called `self`."""
        self.run(*args, **fields)


def take_in(self: Task, /, *args: object, **fields: object) -> None:
    """Keep what a producer says, in the inbox or among the refused."""

    def write(application: Application) -> None:
        try:
            application.intake(self.name, args, fields, trace=self.request.id)
        except (StoreUnavailable, SoftTimeLimitExceeded):
            raise
        except Exception as bug:
            # Ours, not the sender's. It would fail again at every delivery, so it is kept where a person finds it.
            log.exception("intake.failed", task=self.name)
            application.refuse_raw(self.name, _raw(args, fields), f"it could not be taken in: {type(bug).__name__}")

    keep(self, write)


for _name in NAMES:
    app.task(take_in, name=_name, base=IntakeTask, bind=True)


@app.task(name=KEEP, base=IntakeTask, bind=True)
def keep_unreadable(self: Task, /, *args: object, **fields: object) -> None:
    """Keep a message that could not be read; `body` is in base64."""
    try:
        name, why = str(fields["name"]), str(fields["why"])
        body = base64.b64decode(str(fields["body"]), validate=True)
    except (KeyError, ValueError):
        name, body, why = KEEP, _raw(args, fields), "only workers send it"
    keep(self, lambda application: application.refuse_raw(name, body, why))


def _raw(args: tuple[Any, ...], fields: dict[str, Any]) -> bytes:
    return json.dumps([args, fields], default=str).encode(errors="backslashreplace")
