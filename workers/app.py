"""The Celery application of workers and beat: `celery -A workers.app worker`."""

# mypy: allow-subclassing-any

from typing import Any, Final

from celery import Celery

from adapters.bootstrap import providers_of
from config.messaging import celery_config, time_limits
from config.providers import longest_call_seconds
from config.settings import Settings, UnusableSettings, load
from workers import signals, transport
from workers.schedule import entries

__all__ = ["TASKS", "App", "app", "configuration", "signals"]

TASKS: Final = (
    "workers.tasks.intake",
    "workers.tasks.notifications",
    "workers.tasks.polling",
    "workers.tasks.retriggers",
    "workers.tasks.reversals",
    "workers.tasks.sweeps",
)


class App(Celery):
    def send_task(
        self, name: str, *args: Any, countdown: float | None = None, eta: object = None, **options: Any
    ) -> Any:
        """Send a message for now. What is to happen later is a row: no broker keeps it as well as the database does."""
        if countdown or eta:
            raise ValueError(f"{name}: a message has no countdown and no eta; what is due later is a row")
        return super().send_task(name, *args, **options)


def configuration(settings: Settings, *, role: str = "trueup-worker") -> dict[str, object]:
    """Return Celery's settings for this process.

    Raises:
        UnusableSettings: there is no broker to read from, or a task could run for longer than one allows.
    """
    if settings.broker_url is None:
        # Whoever starts the embedded broker knows where it listens, and tells the processes that it starts.
        raise UnusableSettings("TRUEUP_BROKER_URL: is needed by a worker and by beat")
    longest = longest_call_seconds(providers_of(settings.providers), notification_seconds=settings.notification_seconds)
    return {
        **celery_config(
            broker_url=settings.broker_url.get_secret_value(),
            limits=time_limits(lease_seconds=settings.lease_seconds, longest_call_seconds=longest),
            role=role,
            concurrency=settings.worker_concurrency,
            intake_queue_type=settings.intake_queue_type,
        ),
        "worker_consumer": "workers.consumer:Consumer",
        "beat_scheduler": "workers.schedule:Ticks",
        "beat_schedule": entries(settings.sweep_seconds),
    }


transport.install()
app: Final = App("trueup", include=TASKS)
# Read when something is first asked of it, so that importing tasks needs no settings.
app.add_defaults(lambda: configuration(load()))
