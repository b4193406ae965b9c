"""Run every case, or those that are named, and say what was reached; `make bench`.

    python -m benchmarks [case ...] [--rounds 3]

It ends with status 1 if something that was wanted was not reached.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.callbacks import callbacks
from benchmarks.claim import claim_case
from benchmarks.growth import growth
from benchmarks.intake import intake
from benchmarks.latency import latency
from benchmarks.measure import ROUNDS, Result, machine
from benchmarks.poll import poll
from benchmarks.retrigger import retrigger
from benchmarks.reversals import reversals
from benchmarks.waiting import waiting

CASES: Final[Mapping[str, Callable[[int], Result]]] = MappingProxyType({
    "poll": poll,
    "reversals": reversals,
    "latency": latency,
    "intake": intake,
    "claim": claim_case,
    "callbacks": callbacks,
    "waiting": waiting,
    "retrigger": retrigger,
    "growth": growth,
})  # fmt: skip
RESULTS: Final = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("cases", nargs="*", metavar="case", help=f"one of {', '.join(CASES)}; all if none is named")
    arguments.add_argument("--rounds", type=_rounds, default=ROUNDS, help="turns of each contender")
    given = arguments.parse_args()
    for unknown in set(given.cases) - set(CASES):
        arguments.error(f"case: {unknown!r} is none of {', '.join(CASES)}")
    found: dict[str, Result] = {}
    for name in given.cases or CASES:
        found[name] = CASES[name](given.rounds)
        print(name, *found[name].lines(), sep="\n", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    cases = {name: result.as_json() for name, result in found.items()}
    RESULTS.write_text(json.dumps({"machine": machine(), "cases": cases}, indent=2))
    return int(not all(goal.met for result in found.values() for goal in result.goals))


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of at least 1")
    return int(text)


if __name__ == "__main__":
    # Whoever ends it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
