"""Everything that a fault test needs, as real processes: workers, beats, a provider, a database and a broker."""

# mypy: allow-untyped-calls

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu.connection import Connection
from sqlalchemy import Engine, text

from adapters.persistence.verify import verify
from adapters.queue import Depths, drain_task, publisher
from config.messaging import QUEUES, WORKER_OPTIONS, is_amqp
from tests.faults.plans import MERCHANT, OTHER, QUICK, Plan
from tests.faults.processes import Running, until
from tests.faults.provider import Simulator

PROVIDER = """
[providers.{name}]
adapter = "rest"
base_url = "{url}/{name}"
timeout_seconds = {timeout}
requests_per_second = 1000
bulk = {bulk}
payment_window = {{ fiat = 3600 }}
breaker = {{ failures = 5, open_seconds = 1 }}
cadence = {{ stages = [[0.3, 100000]], jitter = 0.0 }}
reversals = {{ stages = [[0.3, 100000]] }}
"""
# Short, so that what a killed worker held is soon another's; yet long enough for a machine that is busy.
SETTINGS = {
    "TRUEUP_LEASE_SECONDS": "3",
    "TRUEUP_DRAIN_SECONDS": "2",
    "TRUEUP_WAVE_SECONDS": "0.1",
    "TRUEUP_SWEEP_SECONDS": "0.3",
    "TRUEUP_CALLBACK_SECONDS": "2",
    "TRUEUP_MAIL_SECONDS": "2",
    "TRUEUP_LOG_FORMAT": "json",
}


@dataclass
class Stage:
    home: Path
    database_url: str
    broker_url: str
    engine: Engine
    simulator: Simulator
    settings: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = {
            **SETTINGS,
            "TRUEUP_DATABASE_URL": self.database_url,
            "TRUEUP_BROKER_URL": self.broker_url,
            "TRUEUP_PROVIDERS": str(self.home / "providers.toml"),
            "TRUEUP_HOME": str(self.home / "home"),
            **self.settings,
        }
        self.providers()
        with self.engine.begin() as connection:
            connection.execute(text("INSERT INTO merchants (id, name) VALUES (:id, 'Shop')"), {"id": MERCHANT})

    def providers(self, *, timeout: float = 2.0, bulk: bool = True) -> None:
        """Say how long a call may take (seconds), and whether one may ask about many payments."""
        tables = [
            PROVIDER.format(name=name, url=self.simulator.url, timeout=float(timeout), bulk=str(bulk).lower())
            for name in (QUICK, OTHER)
        ]
        (self.home / "providers.toml").write_text("".join(tables))

    def worker(
        self,
        *,
        app: str = "workers.app",
        concurrency: int = 2,
        ready: bool = True,
        queues: Sequence[str] = QUEUES,
    ) -> Running:
        number = len(self.running)
        options = ["-Q", ",".join(queues), "-c", str(concurrency), "-n", f"w{number}@%h", *WORKER_OPTIONS]
        worker = self._celery(app, "worker", *options)
        if ready:
            worker.wait_for("ready.")
        return worker

    def beat(self) -> Running:
        return self._celery("workers.app", "beat")

    def send(self, name: str, /, **fields: object) -> None:
        """Send a message as a producer does: with Celery's defaults, and nothing of ours."""
        with Celery("a-producer", broker=self.broker_url, set_as_current=False) as producer:
            producer.send_task(name, kwargs=fields, queue=name.partition(".")[0])

    def hint(self, queue: str, *, times: int) -> None:
        with publisher(self.broker_url) as sender:
            for _ in range(times):
                sender.send_task(drain_task(queue))

    def depth(self, queue: str) -> int:
        with Connection(self.broker_url) as connection:
            return Depths(connection)(queue) or 0

    def empty_broker(self) -> None:
        """Take every message away; Redis forgets its queues with them, RabbitMQ keeps their declarations."""
        if is_amqp(self.broker_url):
            with Connection(self.broker_url) as connection:
                for queue in QUEUES:
                    with connection.channel() as channel:
                        channel.queue_purge(queue)
        else:
            with redis.Redis.from_url(self.broker_url) as client:
                client.flushall()

    def register(self, plans: Sequence[Plan]) -> None:
        """Let the payments come into being, and tell of their orders."""
        self.simulator.add([plan.payment for plan in plans])
        self.tell(plans)

    def tell(self, plans: Sequence[Plan]) -> None:
        self.send("intake.register_orders", merchant=MERCHANT, orders=[plan.message for plan in plans])

    def rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def statuses(self) -> dict[str, str]:
        """Return {order: status} of all that have been registered."""
        return dict(self.rows("SELECT reference, status FROM orders"))

    def wait_registered(self, plans: Iterable[Plan]) -> None:
        names = {plan.name for plan in plans}
        self.until(lambda: names <= self.statuses().keys())

    def wait_ended(self, plans: Iterable[Plan]) -> None:
        """Wait until each of these is as its plan says, and nothing of them is under way."""
        ends = {plan.name: plan.story[-1] for plan in plans}
        self.until(lambda: ends.items() <= self.statuses().items())
        query = "SELECT 1 FROM due_work d JOIN orders o ON o.id = d.subject WHERE o.reference = ANY(:names)"
        owed = f"{query} AND (d.lease IS NOT NULL OR d.kind <> 'watch')"
        self.until(lambda: not self.rows(owed, names=list(ends)))

    def until(self, holds: Any) -> None:
        until(holds, self.explain)

    def explain(self) -> str:
        due = self.rows("SELECT kind, claims, lease IS NULL, due_at - now(), last_error FROM due_work LIMIT 20")
        logs = [f"{each.log.name} ({each.process.poll()}): {each.said()[-2500:]}" for each in self.running]
        return "\n".join([str(Counter(self.statuses().values())), *map(str, due), *logs])

    def judge(self, plans: Sequence[Plan]) -> None:
        """Assert that all came as it was written, that no effect happened twice, and that every invariant holds."""
        self.wait_ended(plans)

        assert self.statuses() == {plan.name: plan.story[-1] for plan in plans}
        assert self._stories("history") == {plan.name: plan.story for plan in plans}
        assert self._told() == {plan.name: tuple(range(1, len(plan.story) + 1)) for plan in plans}
        effects = self.simulator.effects()
        assert {plan.name: _done(effects.get(plan.name, [])) for plan in plans} == {
            plan.name: plan.effects for plan in plans
        }
        assert [reference for reference, asked in effects.items() if not _keys_are_kept(asked)] == []
        assert verify(self.engine) == []

    def close(self) -> None:
        for running in self.running:
            running.end()

    def _celery(self, app: str, kind: str, *options: str) -> Running:
        log = self.home / f"{kind}-{len(self.running)}.log"
        running = Running.start(["-m", "celery", "-A", app, kind, *options], log=log, settings=self.settings)
        self.running.append(running)
        return running

    def _stories(self, table: str) -> Mapping[str, tuple[str, ...]]:
        query = f"SELECT o.reference, array_agg(h.status ORDER BY h.sequence) FROM {table} h"
        rows = self.rows(f"{query} JOIN orders o ON o.id = h.order_id GROUP BY o.reference")
        return {name: tuple(story) for name, story in rows}

    def _told(self) -> Mapping[str, tuple[int, ...]]:
        """Return {order: the sequence of each event that tells of a change of its status}."""
        query = "SELECT o.reference, array_agg(e.sequence ORDER BY e.id) FROM events e"
        joined = f"{query} JOIN orders o ON o.id = e.order_id WHERE e.sequence IS NOT NULL GROUP BY o.reference"
        return {name: tuple(told) for name, told in self.rows(joined)}


def _done(asked: Sequence[tuple[str, str]]) -> int:
    return sum(result == "done" for _, result in asked)


def _keys_are_kept(asked: Sequence[tuple[str, str]]) -> bool:
    """Whether a new key was used only after the one before it was refused (I3)."""
    pairs = pairwise(asked)
    return all(before == after or result.startswith(("refused", "no_record")) for (before, result), (after, _) in pairs)
