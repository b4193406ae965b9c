"""What the demo shows: progress while it runs, and a report at its end."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from adapters.cli.demo.faults import DEAD_PROVIDER, DEAD_SECONDS
from adapters.cli.demo.judge import Off
from adapters.cli.demo.looking import Progress
from adapters.cli.output import say, show_table

_STATUSES: Final = (
    "NEW", "PENDING", "PAID", "UNRESOLVED", "RESOLVED", "EXPIRED", "CANCELED", "FAILED", "REFUND_PENDING", "REFUNDED",
)  # fmt: skip
_MOST_SHOWN: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    seconds: float
    planned: int
    begun: int
    progress: Progress
    callbacks: int
    calls: Mapping[str, int]


class Display(Protocol):
    def __call__(self, moment: Moment) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result, in plain values."""

    orders: int
    seconds: float
    ends: Mapping[str, int]
    reversals: Mapping[str, int]
    rejections: Mapping[str, int]
    calls: Mapping[str, int]
    effects: Mapping[str, int]
    callbacks: Mapping[str, int]
    latency: Mapping[str, Mapping[str, float]]
    messages: Mapping[str, int]
    refused_messages: int
    breaches: Sequence[str]
    off: Sequence[Off] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        return not self.off and not self.breaches


@contextmanager
def display(*, quiet: bool) -> Iterator[Display]:
    """Yield what shows a moment of the run: a live table on a terminal, else a line every few seconds."""
    if quiet:
        yield lambda _: None
    elif not sys.stdout.isatty():
        yield _lines()
    else:
        with Live(console=Console(), refresh_per_second=4, transient=True) as live:
            yield lambda moment: live.update(_table(moment))


def _lines() -> Display:
    shown = -5.0

    def show(moment: Moment) -> None:
        nonlocal shown
        if moment.seconds - shown >= 5.0:  # noqa: PLR2004 - seconds
            shown = moment.seconds
            statuses = ", ".join(f"{status} {count}" for status, count in sorted(moment.progress.statuses.items()))
            say(f"{moment.seconds:5.0f} s: {moment.progress.orders}/{moment.planned} orders, {statuses or 'none yet'}; "
                f"{moment.progress.undone} timeouts undone, {moment.progress.rejected} rejected; "
                f"{moment.progress.due} due, {moment.callbacks} callbacks")  # fmt: skip

    return show


def _table(moment: Moment) -> Table:
    table = Table(title=f"trueup demo, {moment.seconds:.0f} s", box=None, title_justify="left", title_style="bold")
    for name in ("", "now"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("orders begun", f"{moment.begun} of {moment.planned}")
    for status in _STATUSES:
        table.add_row(f"  {status}", str(moment.progress.statuses.get(status, 0)))
    table.add_row("timeouts undone", str(moment.progress.undone))
    table.add_row("rejected", str(moment.progress.rejected))
    table.add_row("due work", str(moment.progress.due))
    table.add_row("open cases", str(moment.progress.cases))
    table.add_row("calls to providers", str(sum(moment.calls.values())))
    table.add_row("callbacks received", str(moment.callbacks))
    return table


def show(report: Report) -> None:
    """Print the report for people."""
    show_table("orders", ("ended as", "how many"), report.ends.items())
    show_table("reversals", ("of timeouts, ended as", "how many"), report.reversals.items())
    show_table("rejections", ("of bills, ended as", "how many"), report.rejections.items())
    show_table("calls", ("to providers", "how many"), report.calls.items())
    show_table("effects", ("cancels and voids came to", "how many"), report.effects.items())
    show_table("callbacks", ("to merchants", "how many"), report.callbacks.items())
    show_table("messages", ("from producers", "how many"), report.messages.items())
    show_table(
        "latency",
        ("provider", "changes told", "p50, s", "p99, s", "longest, s"),
        [
            (name, int(row["changes"]), *(f"{row[key]:.2f}" for key in ("p50", "p99", "most")))
            for name, row in report.latency.items()
        ],
    )
    say("latency is from the provider's change to the merchant's callback")
    say(f"{DEAD_PROVIDER} was dead for {DEAD_SECONDS:.0f} s")
    say(f"refused and kept: {report.refused_messages} messages")
    for breach in report.breaches:
        say(f"verify: {breach}")
    for off in report.off[:_MOST_SHOWN]:
        say(f"off: {off.subject}: {off.message}")
    if len(report.off) > _MOST_SHOWN:
        say(f"and {len(report.off) - _MOST_SHOWN} more")
    verdict = "nothing is off" if report.is_right else f"{len(report.off) + len(report.breaches)} things are off"
    besides = f"{sum(report.reversals.values())} timeouts and {sum(report.rejections.values())} rejections"
    say(f"{report.orders} orders, {besides} in {report.seconds:.0f} s: {verdict}")


def as_json(report: Report) -> dict[str, Any]:
    names = [name for name in Report.__dataclass_fields__ if name != "off"]
    off = [{"subject": one.subject, "message": one.message} for one in report.off]
    return {**{name: getattr(report, name) for name in names}, "off": off, "right": report.is_right}
