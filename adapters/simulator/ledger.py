from collections import Counter
from typing import Any, Literal

import msgspec

from adapters.simulator.scripts import Operation, Status


class Entry(msgspec.Struct, frozen=True):
    """An effect, or a true change of state (`operation` is "state"), at the time at which it became true."""

    id: int
    time: str
    provider: str
    reference: str
    operation: Literal["cancel", "void", "state"]
    key: str | None
    result: str
    status: Status | None
    amount_received: str | None
    settled: bool
    fault: str | None


class Ledger:
    """What really happened, in order: a run is judged by it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._calls: Counter[tuple[str, Operation]] = Counter()

    def note(self, entry: Entry) -> None:
        self.entries.append(entry)

    def count(self, provider: str, operation: Operation) -> None:
        self._calls[provider, operation] += 1

    def page(self, *, after: int, provider: str | None, limit: int | None) -> dict[str, Any]:
        newer = [entry for entry in self.entries[after:] if provider in {None, entry.provider}][:limit]
        calls: Counter[str] = Counter()
        for (whose, operation), count in self._calls.items():
            if provider in {None, whose}:
                calls[operation] += count
        return {
            "entries": newer,
            "next": newer[-1].id if newer else max(after, 0),
            "calls": calls,
        }
