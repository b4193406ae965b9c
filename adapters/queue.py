"""The broker, seen from those who send: hints that something is due, and messages as a producer sends them."""

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final

import structlog
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import ChannelError

from config.messaging import (
    NOTIFICATIONS,
    POLLING,
    RETRIGGERS,
    REVERSALS,
    SWEEPS,
    IntakeQueueType,
    TimeLimits,
    celery_config,
    hint_expires,
    is_amqp,
)
from domain.model.due_work import Work
from domain.ports.queue import Hints

__all__ = ["MOST_WAITING", "QUEUE_OF", "BackgroundHints", "CeleryHints", "Depths", "drain_task", "publisher"]

# One row for each kind of work: where its drain is asked for.
QUEUE_OF: Final[Mapping[Work, str]] = MappingProxyType(
    {
        Work.VOID: REVERSALS,
        Work.CANCEL: REVERSALS,
        Work.CONFIRM: REVERSALS,
        Work.REVERSE: REVERSALS,
        Work.CLOSE: POLLING,
        Work.POLL: POLLING,
        Work.WATCH: POLLING,
        Work.DELIVER: NOTIFICATIONS,
        Work.MAIL: NOTIFICATIONS,
        Work.COMMAND: SWEEPS,
        Work.RETRIGGER: RETRIGGERS,
    }
)

# A hint makes one worker drain everything that is due, so more of them waiting would say nothing new.
MOST_WAITING: Final = 3
_DEBOUNCE_SECONDS: Final = 0.2
# Orders that come one by one gather meanwhile: they are registered together, and a hint costs as much as ten of them.
_GATHERING_SECONDS: Final[Mapping[str, float]] = MappingProxyType({SWEEPS: 1.0})
_SILENT_SECONDS: Final = 5.0

# A hint that takes longer than the sweep that replaces it is worth nothing; who sends one has better things to do.
_CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
# No message of ours is interrupted by these: they belong to workers, and here only complete the settings.
_NO_LIMITS: Final = TimeLimits(soft=60.0, hard=70.0)

log = structlog.get_logger(__name__)


def drain_task(queue: str) -> str:
    """Return the name of the task that drains what is due of this queue's kinds of work."""
    return f"{queue}.drain"


def publisher(
    broker_url: str, *, role: str = "trueup-publisher", intake_queue_type: IntakeQueueType = "default"
) -> Celery:
    """Return a Celery app that sends to our queues, as they are declared on this broker; it waits for no result."""
    app = Celery("trueup-publisher", set_as_current=False)
    app.conf.update(
        celery_config(broker_url=broker_url, limits=_NO_LIMITS, role=role, intake_queue_type=intake_queue_type)
    )
    return app


class Depths:
    """How many messages wait in a queue. Those that a worker holds are not counted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Any = None

    def __call__(self, queue: str) -> int | None:
        """Return the number, or None where the broker does not say; it never raises."""
        try:
            # A channel of its own, for a queue that does not exist is an error of the channel. At either broker it can
            # be used again after that, and must be: on Redis every empty queue is such a one.
            if self._channel is None:
                self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
                self._channel = self._connection.channel()
            return int(self._channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:
            # What was declared is gone, as after a reset of the broker: it is to be declared again.
            self._connection.declared_entities.clear()
            return 0
        except Exception as error:  # noqa: BLE001 - every broker library has its own, and no answer is an answer here
            log.debug("broker.depth_unknown", queue=queue, error=str(error))
            self._channel = None
            return None


class CeleryHints:
    """Says to workers that something is due: best effort, few at a time, and cheap while the broker is away."""

    def __init__(self, broker_url: str, *, sweep_seconds: float = 1.0, role: str = "trueup-hints") -> None:
        self._app = publisher(broker_url, role=role)
        # A hint may be lost, so nobody waits for the broker to confirm it.
        self._app.conf.broker_transport_options = {
            **self._app.conf.broker_transport_options,
            **_impatient(broker_url),
        }
        self._app.conf.broker_connection_timeout = _CONNECT_SECONDS
        self._expires = hint_expires(sweep_seconds)
        self._lock = threading.Lock()
        self._sent: dict[str, float] = {}
        self._silent_until = 0.0
        self._connection: Connection | None = None
        self._depths: Depths | None = None

    def hint(self, work: Work) -> None:
        """Ask for a drain of this kind of work, unless enough of them wait already."""
        queue = QUEUE_OF[work]
        with self._lock:
            now = time.monotonic()
            rest = _GATHERING_SECONDS.get(queue, _DEBOUNCE_SECONDS)
            if now < self._silent_until or now < self._sent.get(queue, -math.inf) + rest:
                return
            self._sent[queue] = now
            try:
                self._send(queue)
            except Exception as error:  # noqa: BLE001 - the sweep says the same again; nothing is lost with a hint
                log.warning("hint.lost", queue=queue, error=str(error), silent_seconds=_SILENT_SECONDS)
                self._drop()
                self._silent_until = time.monotonic() + _SILENT_SECONDS

    def depth(self, queue: str) -> int | None:
        """Return how many messages wait in the queue, or None where the broker does not say."""
        with self._lock:
            return self._open()[1](queue)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _send(self, queue: str) -> None:
        reused = self._connection is not None
        connection, depths = self._open()
        waiting = depths(queue)
        if waiting is None and reused:
            # A connection that was idle for long may be dead while the broker is well.
            self._drop()
            connection, depths = self._open()
            waiting = depths(queue)
        if waiting is None:
            raise ConnectionError("the broker does not answer")
        if waiting >= MOST_WAITING:
            return
        with self._app.amqp.Producer(connection, auto_declare=False) as producer:
            self._app.send_task(
                drain_task(queue),
                queue=queue,
                expires=self._expires,
                producer=producer,
                retry=False,
                ignore_result=True,
            )

    def _open(self) -> tuple[Connection, Depths]:
        if self._connection is None or self._depths is None:
            self._connection = self._app.connection_for_write(heartbeat=0)
            self._depths = Depths(self._connection)
        return self._connection, self._depths

    def _drop(self) -> None:
        connection, self._connection, self._depths = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except Exception as error:  # noqa: BLE001 - it is being thrown away
                log.debug("broker.close_failed", error=str(error))


class BackgroundHints:
    """Hints for who has somebody waiting for an answer: a thread of its own gives them, so a broker may take its time.

    What waits is a kind of work, each once at most; a hint that comes while its kind waits says nothing new.
    """

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self._lock = threading.Lock()
        self._waiting: set[Work] = set()
        self._closed = False
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="hints")  # its thread begins with the first hint

    def hint(self, work: Work) -> None:
        """Have the hint given soon."""
        with self._lock:
            if work not in self._waiting and not self._closed:
                self._waiting.add(work)
                self._sender.submit(self._give, work)

    def close(self) -> None:
        """Give no more hints: those that wait are dropped, and the one that is being given comes to its end."""
        with self._lock:
            self._closed = True
        self._sender.shutdown()

    def _give(self, work: Work) -> None:
        with self._lock:
            self._waiting.discard(work)  # before it is given: what is due from now on needs one more
            if self._closed:
                return
        self._hints.hint(work)


def _impatient(broker_url: str) -> dict[str, object]:
    at_once = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    if is_amqp(broker_url):
        return at_once | {"confirm_publish": False, "read_timeout": _ANSWER_SECONDS, "write_timeout": _ANSWER_SECONDS}
    return at_once | {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _CONNECT_SECONDS}
