"""Workers and beat as processes, and a broker as a producer sees it."""

# mypy: allow-untyped-calls

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import pools
from kombu.connection import Connection

from adapters.queue import Depths
from config.messaging import INTAKE, QUEUES

ROOT = Path(__file__).parents[2]
ORDER = {"merchant": "shop", "order": "1", "amount": "10.00"}
SOON = 30.0
STUB = "tests.integration.stub_workers"
WORKER = ("worker", "--without-gossip", "--without-mingle", "-O", "fair", "-c", "1", "-Q", ",".join(QUEUES))


@dataclass
class Broker:
    """A broker with nothing in it, and what a producer would use to write to it."""

    url: str
    producer: Celery = field(init=False)

    def __post_init__(self) -> None:
        # As a producer has it: Celery's defaults, and nothing of ours.
        self.producer = Celery("a-producer", broker=self.url, set_as_current=False)

    def send(self, name: str, /, *args: object, **kwargs: object) -> None:
        self.producer.send_task(name, args=args, kwargs=kwargs, queue=INTAKE)

    def send_raw(self, body: bytes, *, content_type: str = "application/json", **headers: object) -> None:
        """Publish bytes with Celery's headers about them, as a broken producer would."""
        with Connection(self.url) as connection, connection.Producer() as producer:
            producer.publish(
                body,
                routing_key=INTAKE,
                exchange="",
                content_type=content_type,
                content_encoding="utf-8",
                headers={"task": "intake.register_order", "id": str(uuid.uuid4()), **headers},
            )

    def depth(self, queue: str) -> int:
        with Connection(self.url) as connection:
            return Depths(connection)(queue) or 0

    def empty(self) -> None:
        with Connection(self.url) as connection:
            for queue in QUEUES:
                with connection.channel() as channel:
                    channel.queue_delete(queue)

    def close(self) -> None:
        self.producer.close()
        self.empty()
        pools.reset()  # a connection that is used again would believe in the queues that it has declared


@dataclass
class Running:
    """A process of Celery's on the stub application, and its notes."""

    broker: Broker
    home: Path
    process: "subprocess.Popen[bytes]"

    @property
    def notes(self) -> list[dict[str, Any]]:
        file = self.home / "notes"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def noted(self, what: str) -> list[dict[str, Any]]:
        return [note for note in self.notes if note["what"] == what]

    def wait(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        until(lambda: len(self.noted(what)) >= count, self)
        return self.noted(what)

    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def end(self, sent: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sent)
        try:
            return self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(SOON)
            pytest.fail(f"it did not end; notes: {self.notes[-20:]}; log: {self.log()[-6000:]}")


def until(holds: Callable[[], bool], running: Running) -> None:
    end = time.monotonic() + SOON
    while not holds():
        if time.monotonic() > end or running.process.poll() is not None:
            pytest.fail(f"it did not come to this; notes: {running.notes[-20:]}; log: {running.log()[-6000:]}")
        time.sleep(0.05)


def start(broker: Broker, home: Path, *command: str, app: str = STUB, **settings: str) -> Running:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TRUEUP_", "PYTHON", "CELERY"))
    }
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", app, *command],
            cwd=ROOT,
            env=environment
            | {"TRUEUP_BROKER_URL": broker.url, "TRUEUP_LOG_FORMAT": "json"}
            | settings
            | {"TEST_NOTES": str(home / "notes")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Running(broker, home, process)


def a_worker(broker: Broker, home: Path, *, app: str = STUB, **settings: str) -> Generator[Running, None, None]:
    running = start(broker, home, *WORKER, app=app, **settings)
    try:
        until(lambda: "ready." in running.log(), running)
        if app == STUB:
            running.wait("opened")
        yield running
    finally:
        if running.process.poll() is None:
            running.end()
