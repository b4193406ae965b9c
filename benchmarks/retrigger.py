"""A hundred thousand rejected transactions: taken in, listed page by page, and tried again."""

import time
from statistics import median

from adapters.persistence import sanity_queue
from benchmarks.measure import Figures, Goal, Result
from benchmarks.stage import Stage, stage

MANY = 100_000
LIST = 1000
PAGE = 100
TRIES = 50


def retrigger(rounds: int) -> Result:  # noqa: ARG001 - a hundred thousand are turns enough
    figures = tried_again(MANY)
    return Result(
        {"100,000 rejected transactions": [figures]},
        [Goal("seconds for 100,000", figures["retriggered_seconds"], 60, at_most=True)],
    )


def tried_again(many: int) -> Figures:
    with stage() as on:
        on.run("UPDATE merchants SET checks = '{line_items, stores}', sanity_queue = true")
        _tell(on, "intake.put_master_data", kind="stores", entries=[{"key": "north"}])
        began = time.perf_counter()
        for start in range(0, many, LIST):
            _tell(on, "intake.register_orders", orders=[_order(number) for number in range(start, start + LIST)])
        taken_in = time.perf_counter() - began
        on.run("ANALYZE")
        pages = _pages(on)
        _tell(on, "intake.put_master_data", kind="line_items", entries=[{"key": "tea"}, {"key": "milk"}])
        here, there, began = on.cpu_here(), on.cpu_of_postgres(), time.perf_counter()
        _tell(on, "sanity.retrigger", retrigger="all")
        opened = time.perf_counter() - began
        while on.run("SELECT 1 FROM retriggers WHERE finished_at IS NULL"):
            on.application.drain("retriggers", budget=15)
        seconds = time.perf_counter() - began
        assert on.run("SELECT added FROM retriggers") == [(many,)]
        assert on.run("SELECT count(*) FROM orders") == [(many,)]
        return {
            "rejected_a_second": many / taken_in,
            **pages,
            "opened_seconds": opened,
            "retriggered_seconds": seconds,
            "retriggered_a_second": many / seconds,
            "worker_us": (on.cpu_here() - here) / many * 1e6,
            "postgres_us": (on.cpu_of_postgres() - there) / many * 1e6,
        }


def _tell(on: Stage, name: str, **fields: object) -> None:
    trace = f"bench-{time.perf_counter_ns()}"
    on.application.intake(name, [], {"merchant": "shop", **fields}, trace=trace)


def _order(number: int) -> dict[str, object]:
    bill = {"number": f"B-{number}", "date": "2026-01-30", "store": "north", "line_items": ["tea", "milk"]}
    payment = {"provider": "bench", "reference": f"r{number}", "amount": "12.30", "currency": "EUR"}
    return {"order": f"r{number}", "customer": f"c{number % 1000}", **payment, "bill": bill}


def _pages(on: Stage) -> dict[str, float]:
    """Return how long the first and the last page of all that is pending take, in milliseconds."""
    [(last,)] = on.run("SELECT id FROM rejections ORDER BY id OFFSET %(page)s LIMIT 1", page=PAGE)
    assert isinstance(last, int)
    found = {}
    for name, before in (("first_page_ms", None), ("last_page_ms", last)):
        took = []
        for _ in range(TRIES):
            with on.application.engine.connect() as connection:
                began = time.perf_counter()
                rows = sanity_queue.page(connection, merchant="shop", status="PENDING", before=before, limit=PAGE)
                took.append(time.perf_counter() - began)
            assert len(rows) == PAGE
        found[name] = median(took) * 1000
    return found
