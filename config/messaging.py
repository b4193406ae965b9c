"""Queues, routes and transport as values, so that publishers and workers cannot drift.

Whoever sends and whoever receives reads this module: `workers/app.py` and `adapters/queue.py`.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from kombu.entity import Exchange, Queue

from config.errors import UnusableSettings

INTAKE: Final = "intake"
SANITY: Final = "sanity"
POLLING: Final = "polling"
REVERSALS: Final = "reversals"
NOTIFICATIONS: Final = "notifications"
SWEEPS: Final = "sweeps"
RETRIGGERS: Final = "retriggers"
DEAD: Final = "dead"

# Producers write to these two, and what they write stands nowhere else until it is kept.
PRODUCER_QUEUES: Final = (INTAKE, SANITY)
# These hold hints, any of which may be lost.
HINT_QUEUES: Final = (POLLING, REVERSALS, NOTIFICATIONS, SWEEPS, RETRIGGERS)
QUEUES: Final = PRODUCER_QUEUES + HINT_QUEUES

# What producers write is carried out by these: who reads the one reads the other too, or nothing would come of it.
BESIDE: Final[Mapping[str, str]] = MappingProxyType({INTAKE: SWEEPS, SANITY: RETRIGGERS})

# A task is named for its queue. A name that matches nothing here is refused when it is sent.
ROUTES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({f"{name}.*": {"queue": name} for name in QUEUES})

IntakeQueueType = Literal["default", "quorum"]

# All hints of a kind say the same, so when there are more than enough the oldest goes.
_HINTS_KEPT: Final = 100
_INTAKE_KEPT: Final = 1_000_000
_DELIVERIES: Final = 5

_HINT_ARGUMENTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "x-queue-type": "quorum",
        "x-delivery-limit": _DELIVERIES,
        "x-max-length": _HINTS_KEPT,
        "x-overflow": "drop-head",
    }
)
_INTAKE_ARGUMENTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "x-queue-type": "quorum",
        "x-delivery-limit": _DELIVERIES,
        "x-max-length": _INTAKE_KEPT,
        "x-overflow": "reject-publish",  # a full queue says so to the producer; it also is what at-least-once needs
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DEAD,
        "x-dead-letter-strategy": "at-least-once",
    }
)

# Named once for both ends of a command line: what no setting of Celery can say.
WORKER_OPTIONS: Final = ("--without-gossip", "--without-mingle", "-O", "fair")

PREFETCH: Final = 1
# Messages of producers are many and short: some of each process wait in the worker, so that none waits for the broker.
# Even with the store away, when each is held for a quarter of a minute, they wait for less than Redis' patience.
INTAKE_PREFETCH: Final = 4
_SAVING_SECONDS: Final = 5.0
_BETWEEN_LIMITS: Final = 10.0
_LONGEST_TASK: Final = 900.0  # well under RabbitMQ's consumer_timeout of 30 minutes, which would close the channel


def read_together(queues: Sequence[str]) -> Sequence[str]:
    """Return the queues that a worker reads who is to read these."""
    return tuple(dict.fromkeys([*queues, *(BESIDE[queue] for queue in queues if queue in BESIDE)]))


class TimeLimits(NamedTuple):
    """When Celery interrupts a task (`soft`) and when it kills its process (`hard`), in seconds."""

    soft: float
    hard: float

    @property
    def visibility_timeout(self) -> int:
        """After how long Redis delivers again what was not acknowledged: never while it may still run."""
        return max(300, math.ceil(3 * self.hard * PREFETCH))


def time_limits(*, lease_seconds: float, longest_call_seconds: float) -> TimeLimits:
    """Return limits that lie above every lease, and so above the drain, which ends before its lease.

    Raises:
        UnusableSettings: a task could run for so long that RabbitMQ would take it for dead.
    """
    soft = lease_seconds + longest_call_seconds + _SAVING_SECONDS
    limits = TimeLimits(soft, soft + _BETWEEN_LIMITS)
    if limits.hard > _LONGEST_TASK:
        raise UnusableSettings(
            f"TRUEUP_LEASE_SECONDS: {lease_seconds:g} and the longest timeout_seconds of a provider, "
            f"{longest_call_seconds:g}, allow a task {limits.hard:g} seconds; {_LONGEST_TASK:g} is the most"
        )
    return limits


def hint_expires(sweep_seconds: float) -> float:
    """Return after how many seconds a hint or a tick is worth nothing, because younger ones were sent.

    Workers compare it with their own clock, so it is never so short that clocks a little apart kill every hint.
    """
    return max(30.0, 3 * sweep_seconds)


def is_amqp(broker_url: str) -> bool:
    """Whether the broker is RabbitMQ."""
    return urlsplit(broker_url).scheme in {"amqp", "amqps"}


def task_queues(broker_url: str, intake_queue_type: IntakeQueueType = "default") -> list[Queue]:
    """Return every queue that workers read.

    With `default`, the producers' two are declared exactly as a stock Celery producer declares them: durable, with no
    arguments. RabbitMQ refuses a declaration that differs from the queue that is there (406), and a producer needs
    nothing of us; a virtual host whose default queue type is quorum makes them quorum queues all the same. With
    `quorum` we set the arguments, and every producer must set the same ones or declare nothing.
    """
    if not is_amqp(broker_url):
        return [_queue(name) for name in QUEUES]
    intake = _INTAKE_ARGUMENTS if intake_queue_type == "quorum" else None
    return [_queue(name, intake) for name in PRODUCER_QUEUES] + [_queue(name, _HINT_ARGUMENTS) for name in HINT_QUEUES]


def dead_queue(broker_url: str, intake_queue_type: IntakeQueueType = "default") -> Queue | None:
    """Return the queue for what was delivered too often, to be declared and read by an operator only."""
    if is_amqp(broker_url) and intake_queue_type == "quorum":
        return _queue(DEAD, {"x-queue-type": "quorum"})
    return None


def _queue(name: str, arguments: Mapping[str, object] | None = None) -> Queue:
    # The anonymous exchange needs no binding, so a Redis that was emptied still takes messages.
    return Queue(
        name,
        Exchange(""),
        routing_key=name,
        queue_arguments=dict(arguments) if arguments else None,
    )


def transport_options(broker_url: str, *, limits: TimeLimits, role: str = "trueup") -> dict[str, object]:
    """Return kombu's options for this broker; `role` is the name that the broker shows for the connection."""
    if is_amqp(broker_url):
        return {"confirm_publish": True, "client_properties": {"connection_name": role}}
    # No global_keyprefix: producers in any language send to the plain name of a queue, and a prefix would hide it from
    # them. Redis' `unacked` keys are shared by a whole database, so ours must be a database of its own.
    return {
        "visibility_timeout": limits.visibility_timeout,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_connections": 10,
        "queue_order_strategy": "round_robin",
        "client_name": role,
    }


def celery_config(
    *,
    broker_url: str,
    limits: TimeLimits,
    role: str = "trueup",
    concurrency: int = 2,
    intake_queue_type: IntakeQueueType = "default",
) -> dict[str, object]:
    """Return all of Celery's settings that differ from its defaults, or on which something of ours stands."""
    return {
        "broker_url": broker_url,
        "broker_transport_options": transport_options(broker_url, limits=limits, role=role),
        "task_queues": task_queues(broker_url, intake_queue_type),
        "task_routes": {pattern: dict(route) for pattern, route in ROUTES.items()},
        "task_soft_time_limit": limits.soft,
        "task_time_limit": limits.hard,
        # Its end is a cold kill at any bytecode, so a task must have had the time to be killed by its own limit.
        # SIGTERM lets a worker finish what it has begun, which the time limits bound. Celery's soft shutdown instead
        # sleeps its whole time in the signal's handler, with the event loop stopped and nothing acknowledged.
        "worker_soft_shutdown_timeout": 0.0,
        "worker_concurrency": concurrency,
        **_TASKS,
        **_CONNECTION,
        **_WORKER,
        **_BEAT,
    }


_TASKS: Final[Mapping[str, object]] = MappingProxyType(
    {
        # What failed is kept in its row: the broker has nothing to decide, and what it rejects is lost or loops.
        "task_acks_late": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_reject_on_worker_lost": False,
        "task_retry_on_worker_lost": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_create_missing_queues": False,
        # Empty, or Celery would bind every queue of the anonymous exchange to one called `celery`.
        "task_default_exchange": "",
        "task_default_exchange_type": "direct",
        "task_default_delivery_mode": 2,
        "task_send_sent_event": False,
        "task_track_started": False,
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
        "enable_utc": True,
        "timezone": "UTC",
    }
)

_CONNECTION: Final[Mapping[str, object]] = MappingProxyType(
    {
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # forever
        "broker_connection_timeout": 4,
        "broker_heartbeat": 30,
        "broker_pool_limit": 10,
        "broker_pool_acquire_timeout": 5,
        # RabbitMQ 4.3 refuses transient queues that are not exclusive.
        "control_queue_exclusive": True,
        "event_queue_exclusive": True,
    }
)

_WORKER: Final[Mapping[str, object]] = MappingProxyType(
    {
        "worker_pool": "prefork",  # the only pool that keeps time limits and stops softly
        "worker_pool_start_method": "fork",
        "worker_prefetch_multiplier": PREFETCH,
        "worker_disable_prefetch": False,
        "worker_enable_prefetch_count_reduction": True,
        "worker_detect_quorum_queues": True,
        "worker_eta_task_limit": 100,
        "worker_deduplicate_successful_tasks": False,
        # A broker that blinks must not end a child in the middle of a commit or a void.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_max_tasks_per_child": 5000,
        "worker_max_memory_per_child": 400_000,  # KiB
        "worker_proc_alive_timeout": 30.0,
        "worker_lost_wait": 10.0,
        "worker_send_task_events": False,
        "worker_enable_remote_control": True,
        "worker_hijack_root_logger": False,
    }
)

_BEAT: Final[Mapping[str, object]] = MappingProxyType(
    {
        "beat_max_loop_interval": 5,
        "beat_cron_starting_deadline": 600,
        # `inspect ping` falls silent when the scheduler stalls.
        "beat_enable_remote_control": True,
        "beat_remote_control_max_tick_age": 30,
    }
)
