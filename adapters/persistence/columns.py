"""Rows for one set-based statement: columns as arrays, read back with `unnest`."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection


class Columns:
    """The shape of a statement's rows: `Columns("c", id="bigint", at="timestamptz")`.

    `{rows}` in the statement's text stands for the rows as a table of that name and shape, so that a statement is
    the same for one row and for five hundred.
    """

    def __init__(self, name: str, /, **types: str) -> None:
        # Arrays cross the wire as their element's text where PostgreSQL would flatten them or psycopg would guess.
        casts = ", ".join(f"%({column})s::{_wire(kind)}[]" for column, kind in types.items())
        self.table = f"unnest({casts}) AS {name}({', '.join(types)})"
        self._names = tuple(types)

    def parameters(self, rows: Iterable[Sequence[Any]], /, **others: Any) -> dict[str, Any]:
        """Return the statement's parameters: the rows' columns, and `others` beside them."""
        rows = list(rows)
        columns = zip(*rows, strict=True) if rows else [()] * len(self._names)
        return {name: list(values) for name, values in zip(self._names, columns, strict=True)} | others


def _wire(kind: str) -> str:
    return "text" if kind == "jsonb" else kind


def run(connection: Connection, statement: str, parameters: dict[str, Any] | None = None) -> Any:
    """Execute a statement as psycopg takes it; SQLAlchemy gives the connection, and nothing is compiled on the way."""
    return connection.exec_driver_sql(statement, parameters or {})


def to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
