"""Polling, three ways, on the same servers: Trueup, plain Celery, and the bare client that neither can beat.

    python -m benchmarks.contest [--rounds 3]

*CPU a poll* is workers, beat, PostgreSQL and broker together, without the provider. Each contender's orders wait until
a moment and are then all due; what is measured begins there and ends with the last of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.fleet import cpu_of, running, server, until
from benchmarks.poll import register
from benchmarks.stage import Stage, provider, stage

LATENCY = 0.05
OURS = 20_000
PLAIN = 3_000
PLAIN_TRIAL = 1_000
BARE = 20_000
CONCURRENCIES = (4, 8, 16, 32)

Figures = dict[str, float]


@dataclass
class Ground:
    """What the contenders stand on."""

    on: Stage
    port: int
    broker_url: str
    database_url: str

    def servers(self) -> list[psutil.Process]:
        return [self.on.postgres, server("valkey-server", f":{urlsplit(self.broker_url).port}")]


def measured(ground: Ground, processes: Iterable[psutil.Process], rows: int, work: Any) -> Figures:
    """Do the work; return rows a second and CPU microseconds a row, of processes and servers apart."""
    mine, servers = list(processes), ground.servers()
    before = [cpu_of(process) for process in (*mine, *servers)]
    seconds = work()
    used = [cpu_of(process) - was for process, was in zip((*mine, *servers), before, strict=True)]
    workers, postgres, broker = sum(used[: len(mine)]), *used[len(mine) :]
    each = 1e6 / rows
    return {
        "a_second": rows / seconds,
        "cpu_us": sum(used) * each,
        "workers_us": workers * each,
        "postgres_us": postgres * each,
        "broker_us": broker * each,
    }


def ours(ground: Ground, lane: str) -> Figures:
    """Real workers and a beat, as `trueup up` starts them, over orders that all become due at one moment."""
    on = ground.on
    log = on.home / "ours.log"
    worker = [
        *("celery", "-A", "workers.app", "worker", "-Q", "polling", "-c", "2", "-n", "polling@%h"),
        *("--without-gossip", "--without-mingle", "-O", "fair"),
    ]
    on.run("UPDATE due_work SET due_at = now() + interval '1 day', kind = 'poll', lease = NULL, claims = 0")
    with running(worker, {}, log) as polling, running(["celery", "-A", "workers.app", "beat"], {}, log) as beat:
        until(lambda: "ready." in log.read_text(), seconds=60)
        on.run(
            "UPDATE due_work SET due_at = now() WHERE lane = (SELECT id FROM lanes WHERE name = %(lane)s)", lane=lane
        )
        on.run("ANALYZE due_work")
        left = "SELECT count(*) FROM due_work WHERE due_at <= now() OR lease IS NOT NULL"
        return measured(
            ground, [polling, beat], OURS, lambda: until(lambda: on.run(left) == [(0,)], seconds=300, every=0.25)
        )


def plain(ground: Ground, *, concurrency: int, orders: int) -> Figures:
    """The same of plain Celery: its messages are with the worker, and wait for their time, when measuring begins."""
    on = ground.on
    env = {
        "PLAIN_PROVIDER": f"http://127.0.0.1:{ground.port}",
        "PLAIN_DATABASE": ground.database_url,
        "PLAIN_BROKER": ground.broker_url,
    }
    log = on.home / f"plain-{concurrency}.log"
    on.run("DROP TABLE IF EXISTS plain_orders")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_orders", str(orders), "0"], env={**os.environ, **env}, check=True
    )
    worker = [
        *("celery", "-A", "benchmarks.plain_celery", "worker", "--pool", "prefork", "-c", str(concurrency)),
        *("-O", "fair", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
    ]
    with running(worker, env, log) as process:
        time.sleep(5)  # it says nothing at this level; what it has not read by then it reads while it waits
        wait = 3 + orders / 250
        due = datetime.now(UTC) + timedelta(seconds=wait)
        send = [sys.executable, "-m", "benchmarks.plain_orders", str(orders), str(due.timestamp())]
        subprocess.run(send, env={**os.environ, **env}, check=True)
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        left = "SELECT count(*) FROM plain_orders WHERE polls = 0"
        return measured(
            ground, [process], orders, lambda: until(lambda: on.run(left) == [(0,)], seconds=300, every=0.25)
        )


def bare(client: str, port: int) -> Figures:
    argv = [sys.executable, "-m", "benchmarks.bare", client, f"http://127.0.0.1:{port}", str(BARE), "256"]
    figures: Figures = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return figures


@contextmanager
def ground() -> Iterator[Ground]:
    with provider(LATENCY) as port, stage(port=port, concurrency=256) as on:
        register(on, OURS)
        register(on, OURS, provider="bulk")
        yield Ground(on, port, os.environ["TRUEUP_BROKER_URL"], os.environ["TRUEUP_DATABASE_URL"])


def median(figures: list[Figures]) -> Figures:
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}


def contest(rounds: int) -> dict[str, Figures]:
    found: dict[str, list[Figures]] = {}
    with ground() as on:
        trial = {c: plain(on, concurrency=c, orders=PLAIN_TRIAL) for c in CONCURRENCIES}
        best = max(trial, key=lambda c: trial[c]["a_second"])
        tuning = "  ".join(f"-c {c}: {one['a_second']:,.0f}/s" for c, one in trial.items())
        print(f"plain Celery's tuning: {tuning}; -c {best} is taken")
        contenders: dict[str, Callable[[], Figures]] = {
            "trueup, one payment a call": partial(ours, on, "bench"),
            "trueup, bulk call": partial(ours, on, "bulk"),
            "plain Celery": partial(plain, on, concurrency=best, orders=PLAIN),
            "bare aiohttp": partial(bare, "aiohttp", on.port),
            "bare libcurl": partial(bare, "libcurl", on.port),
        }
        # The first answer moves every order to PENDING; the polls after it learn nothing new.
        ours(on, "bench")
        ours(on, "bulk")
        for _ in range(rounds):
            for name, contender in contenders.items():
                found.setdefault(name, []).append(contender())
    return {name: median(figures) for name, figures in found.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    found = contest(arguments.parse_args().rounds)
    usual = found["plain Celery"]
    for name, figures in found.items():
        shown = "  ".join(f"{key} {value:,.0f}" for key, value in figures.items())
        less, more = usual["cpu_us"] / figures["cpu_us"], figures["a_second"] / usual["a_second"]
        print(f"{name:28}{shown}  [{less:.1f} times less CPU than plain Celery, {more:.1f} times as many a second]")


if __name__ == "__main__":
    main()
