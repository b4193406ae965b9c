"""What Trueup's database says, for the progress while it runs and for the judge at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, text

_STATUSES: Final = text("SELECT status, count(*) FROM orders GROUP BY status")
_DUE: Final = text("SELECT count(*) FROM due_work")
_CASES: Final = text("SELECT count(*) FROM cases WHERE closed_at IS NULL")
_ORDERS: Final = text(
    "SELECT o.merchant, o.reference, o.status, o.reason, o.canceled_by, o.sequence,"
    " coalesce(array_agg(c.kind ORDER BY c.kind) FILTER (WHERE c.kind IS NOT NULL), '{}')"
    " FROM orders o LEFT JOIN cases c ON c.subject = o.id AND c.closed_at IS NULL GROUP BY o.id"
)
_UNDONE: Final = text("SELECT count(*) FROM reversals WHERE outcome IS NOT NULL")
_REVERSALS: Final = text(
    "SELECT r.provider, r.reference, r.merchant, r.outcome,"
    " coalesce(array_agg(c.kind ORDER BY c.kind) FILTER (WHERE c.kind IS NOT NULL), '{}')"
    " FROM reversals r LEFT JOIN cases c ON c.subject = r.id AND c.closed_at IS NULL GROUP BY r.id"
)
_REJECTED: Final = text("SELECT count(*) FROM rejections")
_REJECTIONS: Final = text(
    'SELECT j.merchant, j."order", j.status, j.type, coalesce(g.origin, j.decided_by) FROM rejections j'
    " LEFT JOIN retriggers g ON g.id = j.retrigger"
)
_ENTRIES: Final = text("SELECT key, options FROM master_data WHERE merchant = :merchant AND kind = :kind")
_MASTER_DATA: Final = text("SELECT count(*) FROM master_data")
_REFUSED: Final = text('SELECT name, merchant, "order", times FROM refused_messages')


@dataclass(frozen=True, slots=True)
class Progress:
    statuses: Mapping[str, int]
    due: int
    cases: int
    undone: int = 0
    rejected: int = 0

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


@dataclass(frozen=True, slots=True)
class FoundReversal:
    """A reversal as it stands."""

    merchant: str
    outcome: str | None
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundRejection:
    """A rejected transaction as it stands; `by` is the origin of the retrigger that added it, or who gave it up."""

    status: str
    type: str
    by: str | None = None


def progress(engine: Engine) -> Progress:
    with engine.connect() as connection:
        statuses = {row[0]: row[1] for row in connection.execute(_STATUSES)}
        counts = (connection.execute(count).scalar_one() for count in (_DUE, _CASES, _UNDONE, _REJECTED))
        return Progress(statuses, *counts)


def orders(engine: Engine) -> dict[tuple[str, str], Found]:
    """Return {(merchant, order): how it stands}."""
    with engine.connect() as connection:
        return {
            (row[0], row[1]): Found(row[2], row[3], row[4], row[5], tuple(row[6]))
            for row in connection.execute(_ORDERS)
        }


def reversals(engine: Engine) -> dict[tuple[str, str], FoundReversal]:
    """Return {(provider, reference): how its reversal stands}."""
    with engine.connect() as connection:
        return {
            (row[0], row[1]): FoundReversal(row[2], row[3], tuple(row[4])) for row in connection.execute(_REVERSALS)
        }


def rejections(engine: Engine) -> dict[tuple[str, str], FoundRejection]:
    """Return {(merchant, order): how its rejected transaction stands}."""
    with engine.connect() as connection:
        return {(row[0], row[1]): FoundRejection(row[2], row[3], row[4]) for row in connection.execute(_REJECTIONS)}


def master_data(engine: Engine) -> int:
    """Return how many things bills may name, of all merchants."""
    with engine.connect() as connection:
        count: int = connection.execute(_MASTER_DATA).scalar_one()
        return count


def stands(engine: Engine, put: Mapping[str, Any]) -> bool:
    """Whether every entry of this message of master data is known, with all of its options."""
    with engine.connect() as connection:
        rows = connection.execute(_ENTRIES, {"merchant": put["merchant"], "kind": put["kind"]})
        known = {row[0]: set(row[1]) for row in rows}
    return all(e["key"] in known and known[e["key"]] >= set(e.get("options", ())) for e in put["entries"])


def refused_messages(engine: Engine) -> int:
    """Return how many messages were refused and kept."""
    with engine.connect() as connection:
        return sum(row.times for row in connection.execute(_REFUSED))
