"""Orders to be measured: registered in lists, as a producer would, and made due by hand."""

import time

from benchmarks.stage import Stage

LIST = 500


def register(on: Stage, count: int, *, provider: str = "bench") -> float:
    """Register so many orders; return the seconds it took."""
    began = time.perf_counter()
    for start in range(0, count, LIST):
        orders = [one(f"{provider}{n}", f"r{n}", provider) for n in range(start, min(start + LIST, count))]
        on.application.intake("intake.register_orders", [], {"merchant": "shop", "orders": orders}, trace="bench")
    return time.perf_counter() - began


def one(order: str, reference: str, provider: str = "bench") -> dict[str, str]:
    return {"order": order, "provider": provider, "reference": reference, "amount": "12.30", "currency": "EUR"}


def make_due(on: Stage) -> None:
    on.run("UPDATE due_work SET due_at = now() - interval '1 second', kind = 'poll'")
    on.run("ANALYZE")
