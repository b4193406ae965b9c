"""In whose name something is done: every step that is kept says who took it, and in which request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from adapters.persistence.traces import trace_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who acts: `merchant:KEY` or `operator:NAME`. `trace` names the request, where there is one."""

    actor: str
    trace: str | None = None


@contextmanager
def acting(engine: Engine, person: Person) -> Iterator[Connection]:
    """One transaction, whose steps are kept under the person's trace."""
    with engine.begin() as connection:
        trace_as(connection, person.trace)
        yield connection
