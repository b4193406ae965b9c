"""Looking whether the design's invariants hold in a live database, without standing in anybody's way."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import DataError

from adapters.persistence.columns import run
from adapters.persistence.invariants import CHECKS, OVERDUE, Check

# So many keys are read in one transaction: a snapshot that lives long keeps dead rows alive under the claims.
CHUNK: Final = 20_000
LATE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that must not be. `invariant` is its name in the design."""

    invariant: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Late:
    """Something that may be, and should be looked at."""

    subject: str
    message: str


def verify(engine: Engine, *, chunk: int = CHUNK) -> list[Breach]:
    """Return what breaks an invariant, in the order of their names; nothing, if all is well."""
    by_table: dict[str, list[Check]] = defaultdict(list)
    for check in CHECKS:
        by_table[check.table].append(check)
    found = [
        breach
        for table, checks in by_table.items()
        for low, high in _ranges(engine, table, checks[0].column.split(".")[1], chunk)
        for check in checks
        for breach in _broken(engine, check, low, high)
    ]
    return sorted(found, key=lambda breach: breach.invariant)


def overdue(engine: Engine, *, late: timedelta = LATE) -> list[Late]:
    """Return what is due for longer than its lane explains, by lane and kind of work."""
    return [Late(*row) for row in _ask(engine, OVERDUE, late=late)]


def _ranges(engine: Engine, table: str, column: str, chunk: int) -> Iterator[tuple[int, int]]:
    """Yield ranges (low, high] of at most `chunk` keys, up to the highest key of now."""
    [(low, last)] = _ask(engine, f"SELECT min({column}) - 1, max({column}) FROM {table}")
    while last is not None and low < last:
        [(high,)] = _ask(
            engine,
            f"SELECT max(k) FROM (SELECT {column} AS k FROM {table} WHERE {column} > %(low)s AND {column} <= %(last)s"
            f" ORDER BY {column} LIMIT %(chunk)s) keys",
            low=low,
            last=last,
            chunk=chunk,
        )
        if high is None:  # what was there when we began has been removed
            return
        yield low, high
        low = high


def _broken(engine: Engine, check: Check, low: int, high: int) -> Iterator[Breach]:
    """Yield what is broken now, and still is in another transaction."""
    column = check.column
    between = f"{column} > %(low)s AND {column} <= %(high)s"
    try:
        suspects = _ask(engine, check.statement.format(scope=between), low=low, high=high)
        if suspects:
            keys = sorted({row[0] for row in suspects})
            again = _ask(engine, check.statement.format(scope=f"{column} = ANY(%(keys)s::bigint[])"), keys=keys)
            yield from (Breach(check.invariant, subject, message) for _, subject, message in again)
    except DataError as error:
        what = str(error.orig).splitlines()[0]
        yield Breach(check.invariant, f"{check.table} {low + 1} to {high}", f"something cannot be read: {what}")


def _ask(engine: Engine, statement: str, **parameters: Any) -> Sequence[Any]:
    with engine.connect() as connection:
        return list(run(connection, statement, parameters))
