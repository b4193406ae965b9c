"""What every case has in common: contenders take turns in one run, and what each used is counted in the same way."""

import platform
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import psutil

from benchmarks.fleet import cpu_of

# {what was measured: how much}; names end in their unit (`_ms`, `_us`, `_mb`, `_a_second`).
Figures = dict[str, float]
Contenders = Mapping[str, Callable[[], Figures]]

ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Goal:
    """Something that a case must reach, and did or did not."""

    what: str
    reached: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        return f"{'reached' if self.met else 'MISSED '}  {self.what}: {self.reached:,.2f} ({bound} {self.wanted:,.2f})"


@dataclass(frozen=True, slots=True)
class Result:
    """What a case found: every turn of every contender, and how they compare."""

    turns: Mapping[str, list[Figures]]
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        for name, turns in self.turns.items():
            yield f"  {name}"
            for figure, middle in median(turns).items():
                of = [one[figure] for one in turns]
                spread = f"  ({min(of):,.1f} to {max(of):,.1f} in {len(of)})" if len(of) > 1 else ""
                yield f"    {figure:28}{middle:>14,.1f}{spread}"
        yield from (f"  note     {note}" for note in self.notes)
        yield from (f"  {goal}" for goal in self.goals)

    def as_json(self) -> dict[str, object]:
        return {
            "turns": dict(self.turns),
            "medians": {name: median(turns) for name, turns in self.turns.items()},
            "goals": [
                {"what": g.what, "reached": g.reached, "wanted": g.wanted, "at_most": g.at_most, "met": g.met}
                for g in self.goals
            ],
            "notes": self.notes,
        }


def in_turn(contenders: Contenders, rounds: int) -> dict[str, list[Figures]]:
    """Run all contenders one after another, as many times as there are rounds: a machine's moods meet all of them."""
    found: dict[str, list[Figures]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            found[name].append(contender())
    return found


def median(turns: list[Figures]) -> Figures:
    return {name: statistics.median(one[name] for one in turns) for name in turns[0]}


def used(
    rows: int,
    work: Callable[[], float],
    *,
    workers: Iterable[psutil.Process],
    servers: Mapping[str, psutil.Process],
    apart: Mapping[str, psutil.Process] = MappingProxyType({}),
) -> Figures:
    """Do work that tells its seconds; return rows a second, and CPU microseconds a row.

    `cpu_us` is that of workers and servers together; who only plays the other side is counted `apart`.
    """
    mine = {f"worker {number}": process for number, process in enumerate(workers)}
    everybody = {**mine, **servers, **apart}
    before = {name: cpu_of(process) for name, process in everybody.items()}
    seconds = work()
    took = {name: (cpu_of(process) - before[name]) / rows * 1e6 for name, process in everybody.items()}
    workers_us = sum(took[name] for name in mine)
    return {
        "a_second": rows / seconds,
        "cpu_us": workers_us + sum(took[name] for name in servers),
        "workers_us": workers_us,
        **{f"{name}_us": took[name] for name in (*servers, *apart)},
    }


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {"python": platform.python_version(), "cores": psutil.cpu_count(), "system": platform.platform()}
