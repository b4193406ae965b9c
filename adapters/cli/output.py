"""What the command line prints: tables for people, JSON for programs, and one line for what is wrong."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Nothing is cut off where no terminal says how wide it is.
_WIDE: Final = 200


class Refused(Exception):
    """The input cannot be used; its message is one line that names the option."""


def say(text: str) -> None:
    _console().print(escape(text), highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """Say on one line what is wrong, whatever a library put into it."""
    print(f"trueup: {' '.join(text.split())}", file=sys.stderr)


def show_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows, or that there are none."""
    rows = list(rows)
    if not rows:
        say(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(text(value)) for value in row))
    _console().print(table)


def text(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case dict():
            return ", ".join(f"{key} {text(part)}" for key, part in value.items() if part is not None)
        case _:
            return str(value)


def json_of(record: Any) -> dict[str, Any]:
    """Return a row as an object of JSON."""
    return dict(record)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDE)
