"""What happens around tasks: logging, the application of each child, and the ids on every log line."""

# mypy: allow-untyped-decorators

import json
import logging
import warnings
from importlib import import_module
from typing import Any, Final

import structlog
from billiard.exceptions import WorkerLostError
from celery import Task
from celery.exceptions import CPendingDeprecationWarning
from celery.signals import (
    setup_logging,
    task_failure,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)

from config.logging import configure
from config.messaging import INTAKE
from config.settings import load
from workers.admission import KEEP, keeping
from workers.application import PROCESS

# Celery says of every tick that it was sent, received and done; what came of it says the application.
_TALKATIVE: Final = ("celery.beat", "celery.worker.strategy", "celery.app.trace")

log = structlog.get_logger(__name__)


@setup_logging.connect
def log_as_everywhere(**_: object) -> None:
    """Take Celery's place: whoever connects here configures logging, and Celery leaves it alone."""
    settings = load()
    # What it warns of is settled: a broker that blinks ends no child (config.messaging).
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning, module="celery.worker.consumer")
    configure(settings.log_level, settings.log_format)
    if settings.log_level != "DEBUG":
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[settings.log_level]))


@worker_init.connect
def import_once(**_: object) -> None:
    """Read the modules before the fork, so that children share them and begin at once; nothing is opened."""
    import_module("adapters.bootstrap")


@worker_process_init.connect
def open_application(**_: object) -> None:
    PROCESS.open()


@worker_process_shutdown.connect
def close_application(**_: object) -> None:
    PROCESS.close()


@task_prerun.connect
def bind_ids(task_id: str, task: Task, **_: object) -> None:
    request = task.request
    structlog.contextvars.bind_contextvars(
        trace=request.root_id or task_id, task=task.name, queue=(request.delivery_info or {}).get("routing_key")
    )


@task_postrun.connect
def unbind_ids(**_: object) -> None:
    structlog.contextvars.clear_contextvars()


@task_failure.connect
def keep_what_kills(sender: Task, exception: BaseException, args: Any, kwargs: Any, **_: object) -> None:
    """Have a message kept unread that has cost too many children their lives. This runs in their parent."""
    if not (isinstance(exception, WorkerLostError) and sender.name.startswith(f"{INTAKE}.") and sender.name != KEEP):
        return
    log.error("message.kills", task=sender.name)
    body = json.dumps([args, kwargs], default=str).encode(errors="backslashreplace")
    sender.app.send_task(KEEP, kwargs=keeping(sender.name, body, f"{sender.max_retries + 1} workers died of it"))
