"""The trace of a transaction: what is written in it keeps its name without being handed it."""

from typing import Final

from sqlalchemy import Connection

from adapters.persistence.columns import run

# A default of columns: the trace that the transaction was given, if it was given one.
OF_TRANSACTION: Final = "nullif(current_setting('trueup.trace', true), '')"
# `true`: it ends with the transaction, for connections are used again.
SET: Final = "set_config('trueup.trace', %(trace)s, true)"


def trace_as(connection: Connection, trace: str | None) -> None:
    """Let what this transaction writes from now on keep this trace."""
    run(connection, f"SELECT {SET}", {"trace": trace or ""})
