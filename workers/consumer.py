"""The worker's end of the broker (Celery's `worker_consumer`): nothing that arrives is dropped, and nothing kills it.

As it comes, Celery acknowledges and forgets what it cannot decode, and rejects tasks that it does not know.
"""

# mypy: allow-subclassing-any

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.message import Message

from workers.admission import admit, wrapped

log = structlog.get_logger(__name__)


class Consumer(CeleryConsumer):
    _receive: Callable[[Message], None]

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:
        self._receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Message) -> None:
            self._receive(admit(message, self.app.tasks))

        return on_task_received

    def on_decode_error(self, message: Message, exc: BaseException) -> None:
        self._keep(message, f"it cannot be decoded: {exc}")

    # What admission lets through has the form that Celery wants. Should a version of it want more, that is kept too.
    def on_unknown_message(self, body: Any, message: Message) -> None:  # noqa: ARG002
        self._keep(message, "its form is unknown")

    def on_unknown_task(self, body: Any, message: Message, exc: BaseException) -> None:  # noqa: ARG002
        self._keep(message, f"no task is called {exc}")

    def on_invalid_task(self, body: Any, message: Message, exc: BaseException) -> None:  # noqa: ARG002
        self._keep(message, f"no task can be made of it: {exc}")

    def _keep(self, message: Message, why: str) -> None:
        log.warning("message.unreadable", why=why[:500])
        self._receive(wrapped(message, why))
