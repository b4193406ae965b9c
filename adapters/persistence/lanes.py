"""Lanes: tokens, breaker, pauses and switches, one row each, always locked in the order of their ids."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run
from domain.model.due_work import Lane, LaneFamily, Work

_FIELDS: Final = (
    "l.id, l.family, l.name, l.tokens, l.refilled_at, l.failures, l.paused_until, l.paused, l.no_effects, l.shadow"
)

# Each is one probe of its partial index; as an EXISTS, the planner would rather read the table until something fits.
_LOCK_DUE: Final = f"""
SELECT {_FIELDS} FROM lanes l
WHERE NOT l.paused AND (l.paused_until IS NULL OR l.paused_until <= %(now)s) AND EXISTS (
    SELECT 1 FROM unnest(%(kinds)s::text[]) AS w(kind)
    WHERE (SELECT d.due_at FROM due_work d WHERE d.lane = l.id AND d.kind = w.kind AND d.claims < 3
           ORDER BY d.due_at LIMIT 1) <= %(now)s
       OR (SELECT d.due_at FROM due_work d WHERE d.lane = l.id AND d.kind = w.kind AND d.claims >= 3
           ORDER BY d.due_at LIMIT 1) <= %(now)s)
ORDER BY l.id FOR UPDATE OF l
"""

_LOCK: Final = f"SELECT {_FIELDS} FROM lanes l WHERE l.id = ANY(%(ids)s::int[]) ORDER BY l.id FOR UPDATE"

_SAVED: Final = Columns(
    "c", id="int", tokens="double precision", refilled_at="timestamptz", failures="int", paused_until="timestamptz"
)
_SAVE: Final = f"""
UPDATE lanes l SET tokens = c.tokens, refilled_at = c.refilled_at, failures = c.failures, paused_until = c.paused_until
FROM {_SAVED.table} WHERE l.id = c.id
"""


class SqlLanes:
    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def ensure(self, family: LaneFamily, names: Iterable[str]) -> Mapping[str, int]:
        parameters = {"family": family, "names": sorted(set(names))}
        run(
            self._connection,
            "INSERT INTO lanes (family, name) SELECT %(family)s, n FROM unnest(%(names)s::text[]) n"
            " ON CONFLICT DO NOTHING",
            parameters,
        )
        return self.ids(family, parameters["names"])

    def ids(self, family: LaneFamily, names: Iterable[str]) -> Mapping[str, int]:
        """Return {name: id} of the lanes that exist."""
        rows = run(
            self._connection,
            "SELECT name, id FROM lanes WHERE family = %(family)s AND name = ANY(%(names)s::text[])",
            {"family": family, "names": list(names)},
        )
        return {row[0]: row[1] for row in rows}

    def lock_due(self, works: Sequence[Work]) -> Sequence[Lane]:
        return [_lane(row) for row in run(self._connection, _LOCK_DUE, {"kinds": list(works), "now": self._now})]

    def lock(self, ids: Iterable[int]) -> Sequence[Lane]:
        return [_lane(row) for row in run(self._connection, _LOCK, {"ids": list(ids)})]

    def save(self, lanes: Iterable[Lane]) -> None:
        rows = [(lane.id, lane.tokens, lane.refilled_at, lane.failures, lane.paused_until) for lane in lanes]
        if rows:
            run(self._connection, _SAVE, _SAVED.parameters(rows))


def _lane(row: Any) -> Lane:
    return Lane(
        id=row[0],
        family=LaneFamily(row[1]),
        name=row[2],
        tokens=row[3],
        refilled_at=row[4],
        failures=row[5],
        paused_until=row[6],
        paused=row[7],
        no_effects=row[8],
        shadow=row[9],
    )
