"""Rows for one set-based statement: columns as arrays, read back with `unnest`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from sqlalchemy import Connection


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "t" if value else "f"


# How an element of each type is written in an array's text. The driver's own lists are put together item by item in
# Python, with a regular expression for each; on a wave that was the dearest thing of all.
_WRITTEN: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType({
    "int": str,
    "bigint": str,
    "double precision": str,
    "numeric": str,
    "boolean": _flag,
    "text": _quoted,
    "jsonb": _quoted,
    "timestamptz": datetime.isoformat,
})  # fmt: skip


class Columns:
    """The shape of a statement's rows: `Columns("c", id="bigint", at="timestamptz")`.

    `{rows}` in the statement's text stands for the rows as a table of that name and shape, so that a statement is
    the same for one row and for five hundred.
    """

    def __init__(self, name: str, /, **types: str) -> None:
        # Arrays cross the wire as their element's text where PostgreSQL would flatten them.
        casts = ", ".join(f"%({column})s::{_wire(kind)}[]" for column, kind in types.items())
        self.table = f"unnest({casts}) AS {name}({', '.join(types)})"
        self._columns = tuple((name, _WRITTEN[kind]) for name, kind in types.items())

    def parameters(self, rows: Iterable[Sequence[Any]], /, **others: Any) -> dict[str, Any]:
        """Return the statement's parameters: the rows' columns, and `others` beside them."""
        rows = list(rows)
        columns = zip(*rows, strict=True) if rows else [()] * len(self._columns)
        return {
            name: _array(values, written) for (name, written), values in zip(self._columns, columns, strict=True)
        } | others


def _array(values: Iterable[Any], written: Callable[[Any], str]) -> str:
    return "{" + ",".join(["NULL" if value is None else written(value) for value in values]) + "}"


def _wire(kind: str) -> str:
    return "text" if kind == "jsonb" else kind


def run(connection: Connection, statement: str, parameters: dict[str, Any] | None = None) -> Any:
    """Execute a statement as psycopg takes it; SQLAlchemy gives the connection, and nothing is compiled on the way."""
    return connection.exec_driver_sql(statement, parameters or {})


def to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
