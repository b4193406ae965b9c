"""Prepare plain Celery's orders: `python -m benchmarks.plain_orders COUNT WHEN`.

With WHEN 0 the table is made and filled; else one message for each order is sent, due at that moment.
"""

import sys
from datetime import UTC, datetime

from sqlalchemy import insert

from benchmarks.plain_celery import Base, Order, app, engine, poll_order


def main(count: int, when: float) -> None:
    if not when:
        Base.metadata.create_all(engine())
        with engine().begin() as connection:
            rows = [{"reference": f"r{n}", "status": "NEW", "polls": 0} for n in range(count)]
            connection.execute(insert(Order), rows)
        return
    eta = datetime.fromtimestamp(when, UTC)
    with app.producer_pool.acquire(block=True) as producer:
        for n in range(1, count + 1):
            poll_order.apply_async((n,), eta=eta, producer=producer)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
