"""How long a merchant waits for the news while 100,000 orders are open, in a whole fleet on one machine.

    python -m benchmarks latency

Every order is polled every five minutes (333 a second), and 200 events a second come from the provider. All that is
polled or hinted at while measuring was paid just before: from the moment at which it was due, or its event was sent,
to the arrival of the callback that says so.
"""

import json
import subprocess
import sys
import time
import urllib.request
from typing import Final

from benchmarks import fleet
from benchmarks.callbacks import add_endpoint, came, receiver
from benchmarks.fleet import cpu_of, until
from benchmarks.measure import Figures, Goal, Result
from benchmarks.orders import LIST, make_due, one
from benchmarks.stage import Provider, Stage, provider, stage

OPEN: Final = 100_000
EVERY_SECONDS: Final = 300
EVENTS_A_SECOND: Final = 200
SECONDS: Final = 60
MERCHANTS: Final = 10
LATENCY: Final = 0.05
WORKERS: Final = ("intake", "polling", "reversals", "notifications")
WAIT_SECONDS: Final = 120

_DUE: Final = """
SELECT o.reference, extract(epoch FROM d.due_at)::float8 FROM due_work d JOIN orders o ON o.id = d.subject
"""
HINTED: Final = EVENTS_A_SECOND * SECONDS


def latency(rounds: int) -> Result:  # noqa: ARG001 - a minute of a whole fleet is one turn
    with provider(LATENCY) as asked, receiver() as port, stage(port=asked.port, concurrency=256) as on:
        _open_orders(on)
        for number in range(MERCHANTS):
            add_endpoint(on, f"m-{number}", port)
        figures = _a_minute(on, asked, port)
    goals = [Goal(f"p99 in seconds, {name}", figures[f"{name}_p99_ms"] / 1000, 2, at_most=True) for name in _KINDS]
    return Result({f"{OPEN:,} open orders": [figures]}, goals)


_KINDS: Final = ("due", "event")


def _open_orders(on: Stage) -> None:
    """Register the orders and poll each once, so that all of them are PENDING; nobody is told of that."""
    on.run(
        "INSERT INTO merchants (id, name) SELECT 'm-' || n, 'M' FROM generate_series(0, %(last)s) n", last=MERCHANTS - 1
    )
    for start in range(0, OPEN, LIST):
        orders = [one(_name(n), _reference(n)) for n in range(start, start + LIST)]
        merchant = f"m-{start // LIST % MERCHANTS}"
        fields = {"merchant": merchant, "orders": orders}
        on.application.intake("intake.register_orders", [], fields, trace=f"bench-{start}")
    make_due(on)
    on.application.drain("polling", budget=600)
    assert on.run("SELECT count(*) FROM orders WHERE status <> 'PENDING'") == [(0,)]


def _name(number: int) -> str:
    return f"o{number}"


def _reference(number: int) -> str:
    """The first are paid one after another, when their events are sent; the others before measuring begins."""
    return f"paid-after-{number * 1000 // EVENTS_A_SECOND if number < HINTED else 0}-{number}"


def _a_minute(on: Stage, asked: Provider, port: int) -> Figures:
    with fleet.ours(on.home, WORKERS) as workers, fleet.api(on.home) as (api, address):
        came(port)
        # Those of the events are due in between too; what a poll finds paid before its event is not measured.
        on.run(
            "UPDATE due_work SET due_at = now() + interval '3 seconds' + %(step)s * mod(subject, %(open)s)"
            " * interval '1 second'",
            step=EVERY_SECONDS / OPEN,
            open=OPEN,
        )
        due = {str(order): float(str(at)) for order, at in on.run(_DUE)}
        processes = {"workers": workers, "api": [api], "postgres": [on.postgres], "broker": [on.broker]}
        before = {name: sum(map(cpu_of, some)) for name, some in processes.items()}
        began = time.time()
        urllib.request.urlopen(f"http://127.0.0.1:{asked.port}/begin", data=b"").close()
        told = _send_events(f"{address}/v1/providers/bench/events")
        used = {f"{name}_cpu_seconds": sum(map(cpu_of, some)) - before[name] for name, some in processes.items()}
        ended = time.time()
        arrived = _wait_for(port, due, until_due=ended)
    assert told == {"202": HINTED}, told
    sent = {_name(n): began + n / EVENTS_A_SECOND for n in range(HINTED)}
    waits = {
        "due": [arrived[order] - at for order, at in due.items() if order not in sent and began < at < ended],
        "event": [arrived[order] - at for order, at in sent.items() if arrived[order] > at and due[order] > at],
    }
    return {"seconds": ended - began, **used} | {
        f"{kind}_{name}": value for kind, some in waits.items() for name, value in _quantiles(some).items()
    }


def _send_events(url: str) -> dict[str, int]:
    lines = "\n".join(
        json.dumps({"at": n / EVENTS_A_SECOND, "url": url, "body": {"reference": _reference(n)}}) for n in range(HINTED)
    )
    load = [sys.executable, "-m", "benchmarks.load"]
    told: dict[str, int] = json.loads(
        subprocess.run(load, input=lines, capture_output=True, text=True, check=True).stdout
    )
    return told


def _wait_for(port: int, due: dict[str, float], *, until_due: float) -> dict[str, float]:
    """Return {order: when its merchant was told that it is paid} of all that are to be heard of."""
    wanted = {order for order, at in due.items() if at < until_due} | {_name(n) for n in range(HINTED)}
    arrived: dict[str, float] = {}

    def all_came() -> bool:
        for order, status, at, _ in came(port):
            if order is not None and status == "PAID":
                arrived.setdefault(order, at)
        return wanted <= arrived.keys()

    try:
        until(all_came, seconds=WAIT_SECONDS, every=0.2)
    except TimeoutError:
        raise AssertionError(f"{len(wanted - arrived.keys())} of {len(wanted)} orders were never told of") from None
    return arrived


def _quantiles(seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    return {"count": len(ordered)} | {
        f"p{quantile}_ms": ordered[min(len(ordered) - 1, len(ordered) * quantile // 100)] * 1000
        for quantile in (50, 99)
    }
