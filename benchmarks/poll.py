"""Polls a second, and CPU a poll: 20,000 open orders that are all due at once, one drain in one process."""

import time

from benchmarks.stage import Stage, provider, stage

ORDERS = 20_000


def register(on: Stage, count: int, *, provider: str = "bench") -> float:
    """Register orders in lists of 500, as a producer would; return the seconds it took."""
    began = time.perf_counter()
    for start in range(0, count, 500):
        orders = [
            {
                "order": f"{provider}{n}",
                "provider": provider,
                "reference": f"r{n}",
                "amount": "12.30",
                "currency": "EUR",
            }
            for n in range(start, min(start + 500, count))
        ]
        on.application.intake("intake.register_orders", [], {"merchant": "shop", "orders": orders}, trace="bench")
    return time.perf_counter() - began


def poll(*, latency: float, bulk: bool, concurrency: int) -> dict[str, float]:
    with provider(latency) as port, stage(port=port, bulk=bulk, concurrency=concurrency) as on:
        register(on, ORDERS)
        # The first answer moves every order to PENDING; what is measured is the poll that learns nothing new.
        for _ in range(2):
            make_due(on)
            figures = on.measure("polling", ORDERS)
        return figures


def make_due(on: Stage) -> None:
    on.run("UPDATE due_work SET due_at = now() - interval '1 second', kind = 'poll'")
    on.run("ANALYZE")
