"""Orders taken in: one a message and in lists through the broker, and by HTTP; against one insert by plain Celery.

    python -m benchmarks intake

All messages wait at the broker when measuring begins: they were sent to a list of another name, which then gets the
queue's. It ends when every order is registered, due to be asked about, and told to its merchant's callbacks.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from itertools import count
from typing import Final

import redis
from kombu.entity import Exchange, Queue

from adapters.persistence import keys
from adapters.queue import publisher
from benchmarks import fleet
from benchmarks.fleet import until
from benchmarks.measure import Contenders, Figures, Goal, Result, in_turn, median, used
from benchmarks.orders import LIST, one
from benchmarks.stage import Stage, stage
from config.messaging import INTAKE

SINGLY: Final = 10_000
IN_LISTS: Final = 40_000
BY_HTTP: Final = 2_000
WORKERS: Final = ("intake",)
PLAIN_TRIAL: Final = 1_500
CONCURRENCIES: Final = (1, 2, 4)

ONE: Final = "Trueup, one a message"
LISTS: Final = f"Trueup, lists of {LIST}"
USUAL: Final = "plain Celery, one a message"
HTTP: Final = "Trueup, one a request by HTTP"
HTTP_LISTS: Final = f"Trueup, lists of {LIST} by HTTP"

# Only this turn's, by the index: to look costs no more than it does in a table that holds nothing else.
_REGISTERED: Final = "SELECT count(*) FROM orders WHERE merchant = 'shop' AND reference BETWEEN '{mark}' AND '{mark}a'"
_turns = count()


def ours(on: Stage, orders: int, *, in_lists: bool) -> Figures:
    mark = f"t{next(_turns)}-"
    broker, waiting = redis.Redis.from_url(on.broker_url), f"later-{mark}"
    send, later = publisher(on.broker_url), Queue(waiting, Exchange(""), routing_key=waiting)
    many = _orders(mark, orders)
    messages = (
        [("intake.register_orders", {"merchant": "shop", "orders": many[n : n + LIST]}) for n in range(0, orders, LIST)]
        if in_lists
        else [("intake.register_order", {"merchant": "shop", **order}) for order in many]
    )
    with send.producer_pool.acquire(block=True) as producer:
        for name, fields in messages:
            send.send_task(name, kwargs=fields, queue=later, producer=producer)
    with fleet.ours(on.home, WORKERS) as workers:
        return used(
            orders,
            lambda: _taken(on, broker, waiting, INTAKE, _REGISTERED.format(mark=mark), orders),
            workers=workers,
            servers=on.servers,
        )


def plain(on: Stage, orders: int, *, concurrency: int) -> Figures:
    on.run("DROP TABLE IF EXISTS plain_orders")
    env = dict(on.plain_env)
    prepare = [sys.executable, "-m", "benchmarks.plain_orders"]
    for more in (["0", "fill"], [str(orders), "register"]):
        subprocess.run([*prepare, *more], env={**os.environ, **env}, check=True)
    broker = redis.Redis.from_url(on.broker_url)
    with fleet.plain(env, on.home / "plain.log", concurrency=concurrency) as worker:
        return used(
            orders,
            lambda: _taken(on, broker, "later", "plain", "SELECT count(*) FROM plain_orders", orders),
            workers=[worker],
            servers=on.servers,
        )


def _taken(on: Stage, broker: "redis.Redis", waiting: str, queue: str, taken: str, wanted: int) -> float:
    """Let the messages come; return the seconds until all of them are taken in."""
    broker.rename(waiting, queue)
    return until(lambda: on.run(taken) == [(wanted,)], seconds=300, every=0.25)


def by_http(on: Stage, orders: int, *, in_lists: bool) -> Figures:
    """The same over HTTP; who makes the requests is not counted."""
    many = _orders(f"t{next(_turns)}-", orders)
    bodies = [{"orders": many[n : n + LIST]} for n in range(0, orders, LIST)] if in_lists else many
    with on.application.engine.begin() as connection:
        key = keys.add(connection, keys.Owner(merchant="shop")).token
    with fleet.ours(on.home, WORKERS) as workers, fleet.api(on.home) as (api, address):
        lines = "\n".join(json.dumps({"at": 0, "url": f"{address}/v1/orders", "key": key, "body": b}) for b in bodies)

        def work() -> float:
            began = time.perf_counter()
            load = [sys.executable, "-m", "benchmarks.load"]
            told = subprocess.run(load, input=lines, capture_output=True, text=True, check=True)
            assert json.loads(told.stdout) == {"202": len(bodies)}, told.stdout
            return time.perf_counter() - began

        return used(orders, work, workers=[*workers, api], servers=on.servers)


def _orders(mark: str, count: int) -> list[dict[str, str]]:
    return [one(f"{mark}{n}", f"{mark}{n}") for n in range(count)]


def intake(rounds: int) -> Result:
    with stage() as on:
        trial = {c: plain(on, PLAIN_TRIAL, concurrency=c)["a_second"] for c in CONCURRENCIES}
        best = max(trial, key=lambda c: trial[c])
        tuning = ", ".join(f"-c {c}: {a_second:,.0f}/s" for c, a_second in trial.items())
        contenders: Contenders = {
            ONE: partial(ours, on, SINGLY, in_lists=False),
            USUAL: partial(plain, on, SINGLY, concurrency=best),
            LISTS: partial(ours, on, IN_LISTS, in_lists=True),
            HTTP: partial(by_http, on, BY_HTTP, in_lists=False),
            HTTP_LISTS: partial(by_http, on, IN_LISTS, in_lists=True),
        }
        turns = in_turn(contenders, rounds)
    of = {name: median(some)["a_second"] for name, some in turns.items()}
    return Result(
        turns,
        [
            Goal("orders a second in lists, in those of one a message", of[LISTS] / of[ONE], 10),
            Goal("orders a second of one a message, in plain Celery's", of[ONE] / of[USUAL], 0.9),
        ],
        [f"plain Celery's tuning: {tuning}; -c {best} was taken"],
    )
