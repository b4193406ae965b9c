"""Callbacks against one Celery task with one request for each, and whether a dead endpoint delays another merchant's.

python -m benchmarks callbacks
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Final

import redis

from adapters.bootstrap import open_application
from adapters.persistence import endpoints, outbox
from adapters.persistence.columns import run
from benchmarks import fleet
from benchmarks.fleet import until
from benchmarks.measure import Contenders, Figures, Goal, Result, in_turn, median, used
from benchmarks.stage import Stage, stage
from config.messaging import NOTIFICATIONS
from config.settings import load
from domain.model.event import Event, EventType

WAITING: Final = 10_000
ROUNDS: Final = 5
TOLD: Final = 600  # in each round, so many ...
A_SECOND: Final = 40  # ... at this pace
PROCESSES: Final = 2  # as a worker has by default
CALL_SECONDS: Final = 5  # a round sees calls at the dead endpoint begin, end, and rest
MERCHANTS: Final = 20  # that share the measured rate, for an endpoint alone is not asked more than 500 times a second
DELIVERED: Final = 10_000
PLAIN: Final = 2_000
PLAIN_CONCURRENCY: Final = 4
OURS: Final = "Trueup"
USUAL: Final = "plain Celery, a task for each"
_names = count()


def tell(on: Stage, merchant: str, times: int = 1) -> None:
    """Store events of no order, each a stream of its own."""
    with on.application.engine.begin() as connection:
        now = run(connection, "SELECT clock_timestamp()").scalar_one()
        events = [
            Event(type=EventType.MESSAGE_REFUSED, merchant=merchant, order_id=None, data={"merchant": merchant})
            for _ in range(times)
        ]
        outbox.store(connection, [outbox.Named(f"evt_bench_{next(_names)}", event) for event in events], now=now)


def add_endpoint(on: Stage, merchant: str, port: int) -> None:
    on.run("INSERT INTO merchants (id, name) VALUES (%(id)s, 'M') ON CONFLICT DO NOTHING", id=merchant)
    with on.application.engine.begin() as connection:
        endpoints.add(connection, merchant, f"http://127.0.0.1:{port}/")


def ours(on: Stage, port: int) -> Figures:
    """Workers and beat over callbacks that become due at one moment, to endpoints that answer at once."""
    for number in range(MERCHANTS):
        tell(on, f"m-{number}", DELIVERED // MERCHANTS)
    on.run("UPDATE due_work SET due_at = now() + interval '1 day' WHERE kind = 'deliver'")
    on.run("ANALYZE")
    with fleet.ours(on.home, ["notifications"]) as workers:
        return used(DELIVERED, lambda: _delivered(on, port), workers=workers, servers=on.servers)


def _delivered(on: Stage, port: int) -> float:
    on.run("UPDATE due_work SET due_at = now() WHERE kind = 'deliver'")
    return arrival_of(DELIVERED, port)


def arrival_of(count: int, port: int) -> float:
    """Return the seconds until so many callbacks have come."""
    have = 0

    def all_came() -> bool:
        nonlocal have
        have += len(came(port))
        return have >= count

    return until(all_came, seconds=300)


def plain(on: Stage, port: int) -> Figures:
    """One Celery task with one `requests.post` for each; all messages wait when it begins."""
    env = dict(on.plain_env)
    prepare = [sys.executable, "-m", "benchmarks.plain_orders", str(PLAIN), "deliver", f"http://127.0.0.1:{port}/"]
    subprocess.run(prepare, env={**os.environ, **env}, check=True)
    broker = redis.Redis.from_url(on.broker_url)

    def work() -> float:
        broker.rename("later", "plain")
        return arrival_of(PLAIN, port)

    with fleet.plain(env, on.home / "plain.log", concurrency=PLAIN_CONCURRENCY) as worker:
        return used(PLAIN, work, workers=[worker], servers=on.servers)


def beside_a_dead_endpoint() -> dict[str, float]:
    """Return the p95 of delivery times with and without a dead endpoint at which thousands wait; each a median."""
    found: dict[bool, list[float]] = {False: [], True: []}
    with receiver() as port, silence() as dead, stage() as on:
        add_endpoint(on, "shop", port)
        add_endpoint(on, "dead", dead)
        tell(on, "dead", WAITING)
        _let_wait(on, due=False)
        with draining():
            for _ in range(ROUNDS):
                for waits in (False, True):
                    _let_wait(on, due=waits)
                    found[waits].append(_p95_of_a_round(on, port))
    without, beside = (statistics.median(found[waits]) for waits in (False, True))
    return {"without_p95_ms": without, "beside_p95_ms": beside}


def _let_wait(on: Stage, *, due: bool) -> None:
    """Make the dead endpoint's events due at once, as if it were well so far; or all of them tomorrow."""
    held = (
        "SELECT count(*) FROM due_work WHERE lease IS NOT NULL"
        " AND lane = (SELECT lane FROM endpoints WHERE merchant = 'dead')"
    )
    while on.run(held) != [(0,)]:
        time.sleep(0.1)
    on.run(
        "UPDATE due_work SET due_at = now() + %(later)s * interval '1 day'"
        " WHERE lane = (SELECT lane FROM endpoints WHERE merchant = 'dead')",
        later=0 if due else 1,
    )
    on.run("UPDATE lanes SET failures = 0, paused_until = NULL WHERE family = 'endpoint'")


def _p95_of_a_round(on: Stage, port: int) -> float:
    _ages(port)
    ages: list[float] = []
    begun = time.perf_counter()
    for number in range(TOLD):
        time.sleep(max(0.0, begun + number / A_SECOND - time.perf_counter()))
        tell(on, "shop")
    while len(ages) < TOLD:
        time.sleep(0.1)
        ages += _ages(port)
    return sorted(ages)[int(len(ages) * 0.95) - 1]


def _ages(port: int) -> list[float]:
    return [age for *_, age in came(port)]


def came(port: int) -> list[tuple[str | None, str | None, float, float]]:
    """Return what has come to the receiver since the last time: (order, status, seconds since the epoch, age in ms)."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        return list(json.load(answer))


@contextmanager
def receiver() -> Iterator[int]:
    """Run the merchants' side; yield its port."""
    os.environ |= {"TRUEUP_CALLBACK_ALLOW_HOSTS": "127.0.0.1", "TRUEUP_CALLBACK_SECONDS": str(CALL_SECONDS)}
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.receiver"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def silence() -> Iterator[int]:
    """Yield a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield server.getsockname()[1]


@contextmanager
def draining() -> Iterator[None]:
    """Run processes that drain callbacks as soon as they are due."""
    processes = [subprocess.Popen([sys.executable, "-m", "benchmarks.callbacks"]) for _ in range(PROCESSES)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def drain() -> None:
    application = open_application(load())
    while True:
        application.drain(NOTIFICATIONS)
        time.sleep(0.01)


def callbacks(rounds: int) -> Result:
    with receiver() as port, stage() as on:
        for number in range(MERCHANTS):
            add_endpoint(on, f"m-{number}", port)
        contenders: Contenders = {OURS: partial(ours, on, port), USUAL: partial(plain, on, port)}
        turns = in_turn(contenders, rounds)
    mine, usual = (median(turns[name]) for name in (OURS, USUAL))
    beside = beside_a_dead_endpoint()
    most = max(1.3 * beside["without_p95_ms"], beside["without_p95_ms"] + 100)
    return Result(
        {**turns, f"{WAITING:,} waiting at a dead endpoint": [beside]},
        [
            Goal("callbacks a second in those of a task for each", mine["a_second"] / usual["a_second"], 5),
            Goal("their CPU in that of a task for each", mine["cpu_us"] / usual["cpu_us"], 0.25, at_most=True),
            Goal("p95 of delivery beside a dead endpoint, in ms", beside["beside_p95_ms"], most, at_most=True),
        ],
    )


if __name__ == "__main__":
    drain()
