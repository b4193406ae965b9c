"""Orders taken in a second: one a message and in lists of 500, without the broker's share."""

import time

from benchmarks.poll import register
from benchmarks.stage import stage

SINGLE = 2_000
IN_LISTS = 20_000


def intake() -> dict[str, float]:
    with stage() as on:
        began = time.perf_counter()
        for n in range(SINGLE):
            order = {"order": f"s{n}", "provider": "bench", "reference": f"s{n}", "amount": "12.30", "currency": "EUR"}
            on.application.intake("intake.register_order", [], {"merchant": "shop", **order}, trace="bench")
        single = time.perf_counter() - began
        lists = register(on, IN_LISTS)
        return {"singly_a_second": SINGLE / single, "in_lists_a_second": IN_LISTS / lists}
