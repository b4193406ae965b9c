"""Polling, on the same servers: Trueup, plain Celery, and the bare client that neither can beat.

    python -m benchmarks poll

*CPU a poll* is workers, beat, PostgreSQL and broker together, without the provider, whose cost is shown apart. Each
contender's orders wait until a moment and are then all due; what is measured begins there and ends with the last.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from benchmarks import fleet
from benchmarks.fleet import until
from benchmarks.measure import Contenders, Figures, Goal, Result, in_turn, median, used
from benchmarks.orders import register
from benchmarks.stage import Provider, Stage, provider, stage

LATENCY = 0.05
OURS = 20_000
PLAIN = 3_000
PLAIN_TRIAL = 1_000
BARE = 20_000
CONCURRENCIES = (4, 8, 16, 32)

ONE_A_CALL = "Trueup, one payment a call"
BULK = "Trueup, bulk call"
USUAL = "plain Celery"
BARE_AIOHTTP = "bare aiohttp"
BARE_LIBCURL = "bare libcurl"


@dataclass(frozen=True, slots=True)
class Ground:
    """What the contenders stand on."""

    on: Stage
    provider: Provider


def ours(ground: Ground, lane: str) -> Figures:
    """Real workers and a beat, as `trueup up` starts them, over orders that all become due at one moment."""
    on = ground.on
    on.run("UPDATE due_work SET due_at = now() + interval '1 day', kind = 'poll', lease = NULL, claims = 0")
    with fleet.ours(on.home, ["polling"]) as workers:
        on.run("UPDATE due_work SET due_at = now() WHERE lane = (SELECT id FROM lanes WHERE name = %(it)s)", it=lane)
        on.run("ANALYZE due_work")
        return used(
            OURS,
            lambda: until(lambda: on.run(_LEFT) == [(0,)], seconds=300, every=0.25),
            workers=workers,
            servers=on.servers,
            apart={"provider": ground.provider.process},
        )


_LEFT = "SELECT count(*) FROM due_work WHERE due_at <= now() OR lease IS NOT NULL"


def plain(ground: Ground, *, concurrency: int, orders: int) -> Figures:
    """The same of plain Celery: its messages are with the worker, and wait for their time, when measuring begins."""
    on = ground.on
    env = {"PLAIN_PROVIDER": f"http://127.0.0.1:{ground.provider.port}", **on.plain_env}
    on.run("DROP TABLE IF EXISTS plain_orders")
    prepare = [sys.executable, "-m", "benchmarks.plain_orders", str(orders)]
    subprocess.run([*prepare, "fill"], env={**os.environ, **env}, check=True)
    with fleet.plain(env, on.home / "plain.log", concurrency=concurrency) as process:
        due = datetime.now(UTC) + timedelta(seconds=3 + orders / 250)
        subprocess.run([*prepare, "poll", str(due.timestamp())], env={**os.environ, **env}, check=True)
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        left = "SELECT count(*) FROM plain_orders WHERE polls = 0"
        return used(
            orders,
            lambda: until(lambda: on.run(left) == [(0,)], seconds=300, every=0.25),
            workers=[process],
            servers=on.servers,
            apart={"provider": ground.provider.process},
        )


def bare(client: str, port: int) -> Figures:
    argv = [sys.executable, "-m", "benchmarks.bare", client, f"http://127.0.0.1:{port}", str(BARE), "256"]
    figures: Figures = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return figures


@contextmanager
def ground() -> Iterator[Ground]:
    with provider(LATENCY) as asked, stage(port=asked.port, concurrency=256) as on:
        register(on, OURS)
        register(on, OURS, provider="bulk")
        yield Ground(on, asked)


def poll(rounds: int) -> Result:
    with ground() as on:
        trial = {c: plain(on, concurrency=c, orders=PLAIN_TRIAL) for c in CONCURRENCIES}
        best = max(trial, key=lambda c: trial[c]["a_second"])
        tuning = ", ".join(f"-c {c}: {one['a_second']:,.0f}/s" for c, one in trial.items())
        contenders: Contenders = {
            ONE_A_CALL: partial(ours, on, "bench"),
            BULK: partial(ours, on, "bulk"),
            USUAL: partial(plain, on, concurrency=best, orders=PLAIN),
            BARE_AIOHTTP: partial(bare, "aiohttp", on.provider.port),
            BARE_LIBCURL: partial(bare, "libcurl", on.provider.port),
        }
        # The first answer moves every order to PENDING; the polls after it learn nothing new.
        ours(on, "bench")
        ours(on, "bulk")
        turns = in_turn(contenders, rounds)
    return Result(turns, _goals(turns), [f"plain Celery's tuning: {tuning}; -c {best} was taken"])


def _goals(turns: dict[str, list[Figures]]) -> list[Goal]:
    of = {name: median(some) for name, some in turns.items()}
    ours, bulk, usual, limit = of[ONE_A_CALL], of[BULK], of[USUAL], of[BARE_AIOHTTP]
    return [
        Goal("plain Celery's CPU a poll in ours, one payment a call", usual["cpu_us"] / ours["cpu_us"], 15),
        Goal("our CPU a poll in that of a bare aiohttp loop", ours["cpu_us"] / limit["cpu_us"], 3, at_most=True),
        Goal("our polls a second in plain Celery's", ours["a_second"] / usual["a_second"], 12),
        Goal("plain Celery's CPU a poll in ours, bulk call", usual["cpu_us"] / bulk["cpu_us"], 60),
    ]
