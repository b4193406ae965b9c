"""What an order costs in its life, what it leaves behind, and what of that retention gives back.

    python -m benchmarks growth

Orders that are registered in lists, found pending, found paid, and told of to an endpoint at each of the three.
Sizes are those of packed tables with their indexes (`VACUUM FULL`); live ones have some room besides.
"""

import time
import urllib.request
from datetime import timedelta
from typing import Final

from adapters.persistence.retention import Retention
from adapters.persistence.verify import verify
from benchmarks.callbacks import MERCHANTS, add_endpoint, receiver
from benchmarks.measure import Figures, Result
from benchmarks.orders import LIST, one
from benchmarks.stage import Stage, provider, stage

ORDERS: Final = 20_000
# Each of these has at least so many bytes an order, or is not shown.
_SHOWN: Final = 1.0
_SIZES: Final = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
"""


def growth(rounds: int) -> Result:  # noqa: ARG001 - bytes have no moods
    with provider(0.0) as asked, receiver() as port, stage(port=asked.port, concurrency=256) as on:
        for number in range(MERCHANTS):
            add_endpoint(on, f"m-{number}", port)
        empty = _sizes(on)
        [(wal,)] = on.run("SELECT pg_current_wal_lsn()")
        here, there = on.cpu_here(), on.cpu_of_postgres()
        _live(on, asked.port)
        cpu = {"worker_us": on.cpu_here() - here, "postgres_us": on.cpu_of_postgres() - there}
        [(written,)] = on.run("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %(wal)s)", wal=wal)
        whole = _bytes(_sizes(on), empty)
        began = time.perf_counter()
        assert verify(on.application.engine) == []
        verified = time.perf_counter() - began
        trimmed = _trim(on)
        left = _bytes(_sizes(on), empty)
    orders: Figures = {"bytes": sum(whole.values()), "wal_bytes": float(str(written)) / ORDERS}
    orders |= {name: seconds / ORDERS * 1e6 for name, seconds in cpu.items()}
    orders |= {f"{table}_bytes": size for table, size in whole.items()}
    after: Figures = {"bytes": sum(left.values()), **{f"{table}_bytes": size for table, size in left.items()}}
    return Result(
        {
            "an order": [orders],
            "an order that was trimmed": [after],
            "retention": [trimmed],
            "verify": [{"orders_a_second": ORDERS / verified}],
        }
    )


def _live(on: Stage, port: int) -> None:
    """Let the orders come, wait, be paid, and be told of."""
    for start in range(0, ORDERS, LIST):
        orders = [one(f"o-{n:08}", f"paid-after-0-{n:08}") for n in range(start, start + LIST)]
        fields = {"merchant": f"m-{start // LIST % MERCHANTS}", "orders": orders}
        on.application.intake("intake.register_orders", [], fields, trace="bench")
    for paid in (False, True):
        if paid:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/begin", data=b"")).close()
        on.run("UPDATE due_work SET due_at = now() WHERE kind = 'poll'")
        while on.application.drain("polling"):
            pass
        while on.application.drain("notifications"):
            pass
    assert on.run("SELECT status, count(*) FROM orders GROUP BY 1") == [("PAID", ORDERS)]
    assert on.run("SELECT count(*) FROM due_work") == [(0,)]


def _trim(on: Stage) -> Figures:
    """Take away what may go of all of them, a batch at a time as the sweeps do."""
    retention = Retention(engine=on.application.engine, keep=timedelta(0), seconds=0.0)
    there, began, longest = on.cpu_of_postgres(), time.perf_counter(), 0.0
    while True:
        batch = time.perf_counter()
        if not retention():
            break
        longest = max(longest, time.perf_counter() - batch)
    seconds = time.perf_counter() - began
    assert on.run("SELECT count(*) FROM orders WHERE trimmed_to IS NOT NULL") == [(ORDERS,)]
    return {
        "orders_a_second": ORDERS / seconds,
        "longest_batch_ms": longest * 1000,
        "postgres_us": (on.cpu_of_postgres() - there) / ORDERS * 1e6,
    }


def _sizes(on: Stage) -> dict[str, int]:
    with on.application.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM FULL")
    return {str(table): int(str(size)) for table, size in on.run(_SIZES)}


def _bytes(sizes: dict[str, int], empty: dict[str, int]) -> dict[str, float]:
    """Return {table: bytes an order}, the largest first."""
    grown = {table: (size - empty[table]) / ORDERS for table, size in sizes.items()}
    return {table: size for table, size in sorted(grown.items(), key=lambda one: -one[1]) if size >= _SHOWN}
