"""Prepare plain Celery's orders.

python -m benchmarks.plain_orders COUNT fill       make the table and fill it
python -m benchmarks.plain_orders COUNT poll WHEN  send a message for each order, due at that moment
python -m benchmarks.plain_orders COUNT register   send messages that register orders to the list `later`
"""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from kombu.entity import Exchange, Queue
from sqlalchemy import insert

from benchmarks.plain_celery import Base, Order, app, engine, poll_order, register_order
from benchmarks.plain_celery import deliver as deliver_one

# Renamed to the queue's name when measuring begins.
LATER: Final = Queue("later", Exchange(""), routing_key="later")


def fill(count: int) -> None:
    Base.metadata.create_all(engine())
    rows = [{"reference": f"r{n}", "status": "NEW", "polls": 0} for n in range(count)]
    if rows:
        with engine().begin() as connection:
            connection.execute(insert(Order), rows)


def poll(count: int, when: str) -> None:
    eta = datetime.fromtimestamp(float(when), UTC)
    with app.producer_pool.acquire(block=True) as producer:
        for n in range(1, count + 1):
            poll_order.apply_async((n,), eta=eta, producer=producer)


def register(count: int) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for n in range(count):
            register_order.apply_async((f"s{n}",), queue=LATER, producer=producer)


def deliver(count: int, url: str) -> None:
    now = datetime.now(UTC).isoformat()
    body = json.dumps({"type": "order.status_changed", "timestamp": now, "data": {"order": "s", "status": "PAID"}})
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            deliver_one.apply_async((url, body), queue=LATER, producer=producer)


WHAT: Final[Mapping[str, Callable[..., None]]] = {
    "fill": fill,
    "poll": poll,
    "register": register,
    "deliver": deliver,
}


def main(count: str, what: str, *more: str) -> None:
    WHAT[what](int(count), *more)


if __name__ == "__main__":
    main(*sys.argv[1:])
