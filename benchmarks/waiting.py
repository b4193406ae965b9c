"""The memory of what waits: a million orders of ours, against plain Celery's messages with a countdown.

python -m benchmarks waiting
"""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import psutil
import redis

from benchmarks import fleet
from benchmarks.fleet import until
from benchmarks.measure import Figures, Goal, Result
from benchmarks.orders import register
from benchmarks.stage import Stage, stage

OURS: Final = 1_000_000
PLAIN: Final = 100_000
WORKERS: Final = ("intake", "polling", "reversals", "notifications")
SETTLING_SECONDS: Final = 20

_WAITING: Final = "SELECT count(*) FROM due_work WHERE due_at > now()"


def waiting(rounds: int) -> Result:  # noqa: ARG001 - memory has no moods
    with stage() as on:
        mine = _ours(on)
        usual = _plain(on)
    scaled = {name: value * OURS / PLAIN for name, value in usual.items()}
    return Result(
        {
            f"Trueup, {OURS:,} waiting": [mine],
            f"plain Celery, {PLAIN:,} waiting": [usual],
            f"plain Celery, scaled to {OURS:,}": [scaled],
        },
        [Goal("growth of workers and broker in MB", mine["workers_mb"] + mine["broker_mb"], 50, at_most=True)],
    )


def _ours(on: Stage) -> Figures:
    """Workers of all kinds and beat, before and after a million orders were registered beside them."""
    with fleet.ours(on.home, WORKERS) as workers:
        time.sleep(SETTLING_SECONDS)
        before = _megabytes(workers, on.broker)
        register(on, OURS)
        time.sleep(SETTLING_SECONDS)
        assert on.run(_WAITING) == [(OURS,)]
        return _growth(before, _megabytes(workers, on.broker))


def _plain(on: Stage) -> Figures:
    """A worker that holds a message with a countdown for each order, as plain Celery does."""
    env = {"PLAIN_PROVIDER": "http://127.0.0.1:1", **on.plain_env}
    prepare = [sys.executable, "-m", "benchmarks.plain_orders", str(PLAIN)]
    with fleet.plain(env, on.home / "plain.log", concurrency=2) as worker:
        before = _megabytes([worker], on.broker)
        due = datetime.now(UTC) + timedelta(hours=1)
        subprocess.run([*prepare, "poll", str(due.timestamp())], env={**os.environ, **env}, check=True)
        broker = redis.Redis.from_url(on.broker_url)
        until(lambda: broker.llen("plain") == 0, seconds=300)
        return _growth(before, _megabytes([worker], on.broker))


def _megabytes(workers: list[psutil.Process], broker: psutil.Process) -> Figures:
    """Return what they hold: pages that processes share are divided among them."""
    everybody = [each for one in workers for each in (one, *one.children(recursive=True))]
    return {
        "workers_mb": sum(each.memory_full_info().pss for each in everybody) / 1e6,
        "broker_mb": broker.memory_full_info().pss / 1e6,
    }


def _growth(before: Figures, after: Figures) -> Figures:
    return {name: after[name] - before[name] for name in before}
