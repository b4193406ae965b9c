"""Run every case and print its figures; `make bench`."""

import json
import platform
from pathlib import Path

from benchmarks.callbacks import callbacks
from benchmarks.claim import claims
from benchmarks.intake import intake
from benchmarks.poll import poll
from benchmarks.retrigger import retrigger
from benchmarks.reversals import reversals

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    found: dict[str, dict[str, float]] = {
        "poll, one payment a call, 50 ms": poll(latency=0.05, bulk=False, concurrency=256),
        "poll, bulk call, 50 ms": poll(latency=0.05, bulk=True, concurrency=16),
        **reversals(),
        **callbacks(),
        "intake, without the broker": intake(),
        "sanity queue, 100,000 rejected": retrigger(),
        **{f"claim of 500 from {size}": times for size, times in claims().items()},
    }
    for case, figures in found.items():
        print(f"{case:40}" + "  ".join(f"{name} {value:,.1f}" for name, value in figures.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"python": platform.python_version(), "cases": found}, indent=2))


if __name__ == "__main__":
    main()
