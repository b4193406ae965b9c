"""Due work: claimed with a lease, settled under it, bumped without."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run
from domain.model.due_work import Claim, Claimed, Due, Work

_WANTED: Final = Columns("w", lane="int", kind="text", most="int")
_FIELDS: Final = "d.subject, d.kind, d.lane, d.due_at, d.step, d.generation, d.claims"

# `claims < 3` is the partial index's own condition: suspects do not stand in the way of the healthy.
_CANDIDATES: Final = f"""
SELECT d.* FROM {_WANTED.table}
CROSS JOIN LATERAL (
    SELECT {_FIELDS} FROM due_work d
    WHERE d.lane = w.lane AND d.kind = w.kind AND d.claims < 3 AND d.due_at <= %(now)s
    ORDER BY d.due_at LIMIT w.most
    FOR UPDATE SKIP LOCKED
) d
"""

_SUSPECT: Final = f"""
SELECT {_FIELDS} FROM due_work d
WHERE d.lane = ANY(%(lanes)s::int[]) AND d.kind = ANY(%(kinds)s::text[]) AND d.claims >= 3 AND d.due_at <= %(now)s
ORDER BY d.due_at LIMIT 1
FOR UPDATE SKIP LOCKED
"""

_LEASE: Final = """
UPDATE due_work SET lease = %(token)s, due_at = %(until)s, claims = claims + 1
WHERE subject = ANY(%(subjects)s::bigint[])
"""

_SETTLED: Final = Columns(
    "c", subject="bigint", generation="int", version="int", kind="text", due_at="timestamptz", step="int"
)
# Saved under the lease. The plan is overwritten only where nobody re-planned meanwhile and the order is as it was
# read; otherwise the row is only given back, due at once, because whoever came between knew something newer.
_SETTLE: Final = f"""
UPDATE due_work d SET
    kind = CASE WHEN {{fresh}} THEN coalesce(c.kind, d.kind) ELSE d.kind END,
    due_at = CASE WHEN {{fresh}} THEN coalesce(c.due_at, %(now)s) ELSE %(now)s END,
    step = CASE WHEN {{fresh}} THEN coalesce(c.step, 0) ELSE d.step END,
    lease = NULL, claims = 0, last_error = NULL
FROM {_SETTLED.table} LEFT JOIN orders o ON o.id = c.subject
WHERE d.subject = c.subject AND d.lease = %(token)s
RETURNING d.subject, (c.version IS NULL OR o.version = c.version)
""".format(fresh="d.generation = c.generation AND (c.version IS NULL OR o.version = c.version)")

# What ends is deleted at once, unless it was planned anew meanwhile: then it is given back like the others.
_END: Final = f"""
DELETE FROM due_work d USING {_SETTLED.table} LEFT JOIN orders o ON o.id = c.subject
WHERE d.subject = c.subject AND d.lease = %(token)s AND d.generation = c.generation
  AND (c.version IS NULL OR o.version = c.version)
RETURNING d.subject
"""

_ERRORS: Final = Columns("c", subject="bigint", error="text")
_RELEASE: Final = f"""
UPDATE due_work d SET lease = NULL, due_at = %(until)s, last_error = c.error
FROM {_ERRORS.table} WHERE d.subject = c.subject AND d.lease = %(token)s
"""

_PARK: Final = """
WITH parked AS (
    DELETE FROM due_work d WHERE d.subject = ANY(%(subjects)s::bigint[]) AND d.lease = %(token)s
    RETURNING d.subject, d.kind, d.claims, d.last_error, d.lane
)
SELECT p.subject, p.kind, p.claims, p.last_error,
       coalesce(o.merchant, r.merchant, i.merchant, g.merchant, e.merchant, m.merchant),
       coalesce(o.id, s.order_id, m.order_id), coalesce(o.amount, r.amount), coalesce(o.currency, r.currency),
       coalesce(o.digits, r.digits), p.lane
FROM parked p
LEFT JOIN orders o ON o.id = p.subject
LEFT JOIN reversals r ON r.id = p.subject
LEFT JOIN inbox i ON i.id = p.subject
LEFT JOIN retriggers g ON g.id = p.subject
LEFT JOIN streams s ON s.id = p.subject
LEFT JOIN endpoints e ON e.id = s.endpoint
LEFT JOIN mails m ON m.id = p.subject
"""

_PLANNED: Final = Columns("c", subject="bigint", lane="int", kind="text", due_at="timestamptz", step="int")
# A plan from outside. A row that is being worked on keeps its lease, and follows as soon as that is given back.
_REPLAN: Final = f"""
INSERT INTO due_work AS d (subject, lane, kind, due_at, step)
SELECT c.subject, c.lane, c.kind, c.due_at, c.step FROM {_PLANNED.table} ORDER BY c.subject
ON CONFLICT (subject) DO UPDATE SET
    generation = d.generation + 1, kind = excluded.kind, step = excluded.step,
    claims = CASE WHEN d.lease IS NULL THEN 0 ELSE d.claims END,
    due_at = CASE WHEN d.lease IS NULL OR d.due_at <= %(now)s THEN excluded.due_at ELSE d.due_at END
"""

_BUMP: Final = """
UPDATE due_work d SET generation = d.generation + 1,
    due_at = CASE WHEN d.lease IS NULL THEN least(d.due_at, %(now)s) ELSE d.due_at END
WHERE d.subject = ANY(%(subjects)s::bigint[])
"""


class SqlDueWork:
    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def candidates(self, lanes: Mapping[int, Mapping[Work, int]]) -> Mapping[int, Mapping[Work, Sequence[Claimed]]]:
        wanted = [(lane, work, most) for lane, works in lanes.items() for work, most in works.items() if most > 0]
        found: dict[int, dict[Work, list[Claimed]]] = defaultdict(lambda: defaultdict(list))
        if wanted:
            for row in run(self._connection, _CANDIDATES, _WANTED.parameters(wanted, now=self._now)):
                claimed = _claimed(row)
                found[claimed.lane][claimed.work].append(claimed)
        return found

    def suspects(self, lanes: Iterable[int], works: Sequence[Work]) -> Sequence[Claimed]:
        parameters = {"lanes": list(lanes), "kinds": list(works), "now": self._now}
        return [_claimed(row) for row in run(self._connection, _SUSPECT, parameters)]

    def lease(self, rows: Sequence[Claimed], *, until: datetime, token: int | None = None) -> Claim:
        token = secrets.randbits(62) if token is None else token
        if rows:
            parameters = {"token": token, "until": until, "subjects": [row.subject for row in rows]}
            run(self._connection, _LEASE, parameters)
        counted = [replace(row, claims=row.claims + 1) for row in rows]
        return Claim(token=token, leased_until=until, rows=counted)

    def settle(
        self, claim: Claim, plans: Sequence[tuple[Claimed, Due | None]], versions: Mapping[int, int] | None = None
    ) -> frozenset[int]:
        """Give rows back with their next plan, None ending it; return those whose lease held and that are fresh.

        `versions` is {order: the version that was read}, for rows that stand for orders.
        """
        versions = versions or {}
        rows = [
            (
                row.subject,
                row.generation,
                versions.get(row.subject),
                None if due is None else due.work,
                None if due is None else due.at,
                None if due is None else due.step,
            )
            for row, due in plans
        ]
        ends = [row for row, (_, due) in zip(rows, plans, strict=True) if due is None]
        ended = frozenset(row[0] for row in self._each(_END, ends, token=claim.token))
        back = [row for row in rows if row[0] not in ended]
        held = self._each(_SETTLE, back, token=claim.token, now=self._now)
        return ended.union(subject for subject, fits in held if fits)

    def _each(self, statement: str, rows: Sequence[tuple[Any, ...]], **others: Any) -> Iterable[Any]:
        return run(self._connection, statement, _SETTLED.parameters(rows, **others)) if rows else ()

    def release(self, claim: Claim, errors: Mapping[int, str], *, until: datetime) -> None:
        run(self._connection, _RELEASE, _ERRORS.parameters(errors.items(), token=claim.token, until=until))

    def plan(self, plans: Iterable[tuple[int, int, Due]]) -> None:
        """Plan (subject, lane, due) from outside, whoever may be working on it."""
        rows = [(subject, lane, due.work, due.at, due.step) for subject, lane, due in plans]
        if rows:
            run(self._connection, _REPLAN, _PLANNED.parameters(rows, now=self._now))

    def remove(self, subjects: Sequence[int]) -> None:
        run(
            self._connection,
            "DELETE FROM due_work WHERE subject = ANY(%(subjects)s::bigint[])",
            {"subjects": list(subjects)},
        )

    def take_out(self, claim: Claim, subjects: Sequence[int]) -> Sequence[tuple[Any, ...]]:
        """Remove parked rows: (subject, kind, claims, error, merchant, order, amount, currency, digits, lane)."""
        parameters = {"subjects": list(subjects), "token": claim.token}
        return [tuple(row) for row in run(self._connection, _PARK, parameters)]

    def bump(self, subjects: Sequence[int]) -> None:
        run(self._connection, _BUMP, {"subjects": list(subjects), "now": self._now})


def _claimed(row: Any) -> Claimed:
    subject, kind, lane, due_at, step, generation, claims = row
    return Claimed(
        subject=subject,
        work=Work(kind),
        lane=lane,
        due_at=due_at,
        step=step,
        generation=generation,
        claims=claims,
    )
