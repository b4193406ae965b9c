"""Retriggers: which rejected transactions they try again, how far they are, and what they found of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.lanes import SqlLanes
from domain.model.due_work import Due, LaneFamily
from domain.model.rejection import Finding, Outcome, Retrigger, RetriggerOrigin

_OPEN: Final = """
INSERT INTO retriggers (id, merchant, name, origin, dry_run, actor, trace, started_at, total)
VALUES (%(id)s, %(merchant)s, %(name)s, %(origin)s, %(dry_run)s, %(actor)s, %(trace)s, %(started_at)s, 0)
"""
_ITEMS_NAMED: Final = """
INSERT INTO retrigger_items (retrigger, rejection)
SELECT DISTINCT %(id)s::bigint, c.id FROM unnest(%(ids)s::bigint[]) AS c(id)
"""
_ITEMS_PENDING: Final = """
INSERT INTO retrigger_items (retrigger, rejection)
SELECT %(id)s::bigint, j.id FROM rejections j WHERE j.merchant = %(merchant)s AND j.status = 'PENDING'
"""
_COUNT: Final = """
UPDATE retriggers SET total = %(total)s, finished_at = CASE WHEN %(total)s = 0 THEN %(now)s::timestamptz END
WHERE id = %(id)s
"""
# Of sweeps nobody asks for; what the last has found is all that is worth keeping.
_FORGET_SWEEPS: Final = """
DELETE FROM retrigger_items i USING retriggers g
WHERE i.retrigger = g.id AND g.merchant = %(merchant)s AND g.origin = 'sweep' AND g.finished_at IS NOT NULL
"""
_SELECT: Final = """
SELECT id, merchant, name, origin, dry_run, actor, started_at, cursor, finished_at FROM retriggers
"""
_BY_ID: Final = f"{_SELECT} WHERE id = ANY(%(ids)s::bigint[])"
_BY_NAME: Final = f"{_SELECT} WHERE merchant = %(merchant)s AND name = %(name)s"
_BATCH: Final = """
SELECT rejection FROM retrigger_items WHERE retrigger = %(id)s AND rejection > %(cursor)s
ORDER BY rejection LIMIT %(limit)s
"""
_FINDINGS: Final = Columns("c", rejection="bigint", outcome="text", reasons="jsonb", why="text")
_FIND: Final = f"""
UPDATE retrigger_items i SET outcome = c.outcome, reasons = c.reasons::jsonb, why = c.why FROM {_FINDINGS.table}
WHERE i.retrigger = %(id)s AND i.rejection = c.rejection
"""
_SAVE: Final = f"""
UPDATE retriggers SET cursor = %(cursor)s, finished_at = %(finished_at)s,
    {", ".join(f"{outcome.value} = {outcome.value} + %({outcome.value})s" for outcome in Outcome)}
WHERE id = %(id)s
"""
# Read first: a row that nobody has to change is not to be locked every second.
_SWEPT: Final = "SELECT at >= %(since)s FROM sanity_sweeps"
_BEGIN_SWEEP: Final = """
UPDATE sanity_sweeps SET at = %(now)s WHERE at < %(since)s RETURNING at
"""
# A store that was made just now has missed no sweep.
_FIRST_SWEEP: Final = "INSERT INTO sanity_sweeps (at) VALUES (%(now)s) ON CONFLICT DO NOTHING"
_SWEEP: Final = """
SELECT m.id FROM merchants m
WHERE EXISTS (SELECT FROM rejections j WHERE j.merchant = m.id AND j.status = 'PENDING')
  AND NOT EXISTS (SELECT FROM retriggers g
                  WHERE g.merchant = m.id AND g.origin = 'sweep' AND g.finished_at IS NULL)
ORDER BY m.id
"""


class SqlRetriggers:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._now = now
        self._trace = trace

    def open(self, retrigger: Retrigger, transactions: Sequence[int] | None, due: Due) -> None:
        connection, key = self._connection, retrigger.id
        run(
            connection,
            _OPEN,
            {
                "id": key,
                "merchant": retrigger.merchant,
                "name": retrigger.name,
                "origin": retrigger.origin,
                "dry_run": retrigger.dry_run,
                "actor": retrigger.actor,
                "trace": self._trace,
                "started_at": retrigger.started_at,
            },
        )
        if retrigger.origin is RetriggerOrigin.SWEEP:
            run(connection, _FORGET_SWEEPS, {"merchant": retrigger.merchant})
        if transactions is None:
            items = run(connection, _ITEMS_PENDING, {"id": key, "merchant": retrigger.merchant})
        else:
            items = run(connection, _ITEMS_NAMED, {"id": key, "ids": list(transactions)})
        run(connection, _COUNT, {"id": key, "total": items.rowcount, "now": self._now})
        if items.rowcount:
            lanes = SqlLanes(connection, self._now).ensure(LaneFamily.MERCHANT, [retrigger.merchant])
            SqlDueWork(connection, self._now).plan([(key, lanes[retrigger.merchant], due)])

    def called(self, merchant: str, name: str) -> Retrigger | None:
        row = run(self._connection, _BY_NAME, {"merchant": merchant, "name": name}).first()
        return None if row is None else _retrigger(row)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Retrigger]:
        return {row[0]: _retrigger(row) for row in run(self._connection, _BY_ID, {"ids": list(ids)})}

    def batch(self, retrigger: Retrigger, limit: int) -> Sequence[int]:
        after = {"id": retrigger.id, "cursor": retrigger.cursor, "limit": limit}
        return [row[0] for row in run(self._connection, _BATCH, after)]

    def save(self, retrigger: Retrigger, findings: Sequence[Finding]) -> None:
        rows = [(f.rejection, f.outcome, _reasons(f), f.why) for f in findings]
        if rows:
            run(self._connection, _FIND, _FINDINGS.parameters(rows, id=retrigger.id))
        counts = Counter(finding.outcome for finding in findings)
        saved = {"id": retrigger.id, "cursor": retrigger.cursor, "finished_at": retrigger.finished_at}
        run(self._connection, _SAVE, saved | {outcome.value: counts[outcome] for outcome in Outcome})

    def begin_sweep(self, since: datetime) -> Sequence[str]:
        when = {"since": since, "now": self._now}
        swept = run(self._connection, _SWEPT, when).scalar()
        if swept is None:
            run(self._connection, _FIRST_SWEEP, when)
        if swept is not False or run(self._connection, _BEGIN_SWEEP, when).first() is None:
            return []
        return [row[0] for row in run(self._connection, _SWEEP)]


def _reasons(finding: Finding) -> str | None:
    if not finding.reasons:
        return None
    return to_json([{"kind": r.kind, "key": r.key, "message": r.message} for r in finding.reasons])


def _retrigger(row: Any) -> Retrigger:
    key, merchant, name, origin, dry_run, actor, started_at, cursor, finished_at = row
    return Retrigger(
        id=key,
        merchant=merchant,
        name=name,
        origin=RetriggerOrigin(origin),
        dry_run=dry_run,
        actor=actor,
        started_at=started_at,
        cursor=cursor,
        finished_at=finished_at,
    )
