"""What Trueup's database says, for the progress while it runs and for the judge at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text

_STATUSES: Final = text("SELECT status, count(*) FROM orders GROUP BY status")
_DUE: Final = text("SELECT count(*) FROM due_work")
_CASES: Final = text("SELECT count(*) FROM cases WHERE closed_at IS NULL")
_ORDERS: Final = text(
    "SELECT o.merchant, o.reference, o.status, o.reason, o.canceled_by, o.sequence,"
    " coalesce(array_agg(c.kind ORDER BY c.kind) FILTER (WHERE c.kind IS NOT NULL), '{}')"
    " FROM orders o LEFT JOIN cases c ON c.order_id = o.id AND c.closed_at IS NULL GROUP BY o.id"
)
_REFUSED: Final = text('SELECT name, merchant, "order", times FROM refused_messages')


@dataclass(frozen=True, slots=True)
class Progress:
    statuses: Mapping[str, int]
    due: int
    cases: int

    @property
    def orders(self) -> int:
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class Found:
    """An order as it stands."""

    status: str
    reason: str | None
    canceled_by: str | None
    sequence: int
    cases: tuple[str, ...]


def progress(engine: Engine) -> Progress:
    with engine.connect() as connection:
        statuses = {row[0]: row[1] for row in connection.execute(_STATUSES)}
        return Progress(statuses, connection.execute(_DUE).scalar_one(), connection.execute(_CASES).scalar_one())


def orders(engine: Engine) -> dict[tuple[str, str], Found]:
    """Return {(merchant, order): how it stands}."""
    with engine.connect() as connection:
        return {
            (row[0], row[1]): Found(row[2], row[3], row[4], row[5], tuple(row[6]))
            for row in connection.execute(_ORDERS)
        }


def refused_messages(engine: Engine) -> int:
    """Return how many messages were refused and kept."""
    with engine.connect() as connection:
        return sum(row.times for row in connection.execute(_REFUSED))
