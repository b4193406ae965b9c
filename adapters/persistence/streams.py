"""Callback streams: each delivers its head, and only what was delivered moves its cursor."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, outbox
from adapters.persistence.columns import Columns, run
from adapters.persistence.due_work import SqlDueWork
from domain.model.case import CaseKind, CaseOpening
from domain.model.delivery import DeliveryDecision, Head
from domain.model.due_work import Claim, Claimed
from domain.rules.callbacks import findings

ACTOR: Final = "system:deliver"

# Two rows of a stream at most: the head, and whether another waits behind it.
_HEADS: Final = """
SELECT s.id, ev.id, ev.event, ev.body, e.url, e.secrets, e.id, e.merchant, s.order_id, d.first_tried_at,
       coalesce(d.tries, 0), e.waits, e.failing_since,
       EXISTS (SELECT FROM cases k WHERE k.subject IN (s.id, e.id) AND k.closed_at IS NULL)
FROM streams s
JOIN endpoints e ON e.id = s.endpoint
CROSS JOIN LATERAL (
    (SELECT x.id, x.event, x.body FROM events x
     WHERE x.order_id = s.order_id AND x.id > s.cursor AND (e.types IS NULL OR x.type = ANY(e.types))
     ORDER BY x.id LIMIT 2)
    UNION ALL
    SELECT x.id, x.event, x.body FROM events x WHERE x.id = s.single_event AND x.id > s.cursor
) ev
LEFT JOIN deliveries d ON d.stream = s.id AND d.event_row = ev.id
WHERE s.id = ANY(%(ids)s::bigint[]) AND e.removed_at IS NULL
ORDER BY s.id, ev.id
"""

_TRIES: Final = Columns("c", stream="bigint", event_row="bigint", state="text", tries="int", status="int", error="text")
_UPSERT_TRIES: Final = f"""
INSERT INTO deliveries (stream, event_row, state, tries, status, error, first_tried_at, last_tried_at)
SELECT c.stream, c.event_row, c.state, c.tries, c.status, c.error, %(now)s, %(now)s FROM {_TRIES.table}
ON CONFLICT (stream, event_row) DO UPDATE SET state = excluded.state, tries = excluded.tries,
    status = excluded.status, error = excluded.error, last_tried_at = excluded.last_tried_at
"""
_CURSORS: Final = Columns("c", stream="bigint", cursor="bigint")
_MOVE_CURSORS: Final = f"UPDATE streams s SET cursor = c.cursor FROM {_CURSORS.table} WHERE s.id = c.stream"

_TRIED: Final = Columns("c", endpoint="bigint", delivered="boolean")
# Written only where it changes, so that an endpoint that is well costs nothing.
_FAILING: Final = f"""
UPDATE endpoints e SET failing_since = CASE WHEN c.delivered THEN NULL ELSE %(now)s END
FROM {_TRIED.table} WHERE e.id = c.endpoint AND (e.failing_since IS NULL) <> c.delivered
"""
# An endpoint's case ends with a delivery, unless it is disabled or what was given up since is still missing there. What
# is delivered once more goes in a stream of its own.
_MADE_GOOD: Final = """
SELECT k.subject FROM cases k JOIN endpoints e ON e.id = k.subject AND e.enabled
WHERE k.subject = ANY(%(endpoints)s::bigint[]) AND k.kind = 'UNDELIVERABLE' AND k.closed_at IS NULL AND NOT EXISTS (
    SELECT FROM deliveries d JOIN streams s ON s.id = d.stream
    WHERE s.endpoint = e.id AND d.state = 'failed' AND d.last_tried_at >= k.opened_at AND NOT EXISTS (
        SELECT FROM streams r JOIN deliveries v ON v.stream = r.id AND v.event_row = d.event_row
        WHERE r.endpoint = e.id AND r.key = -d.event_row AND v.state = 'delivered'))
"""

# The lane of a disabled endpoint rests, so that what waits keeps its due row for the day it is enabled again. Its
# history is told by the first that disabled it.
_DISABLED: Final = Columns("c", endpoint="bigint", why="text")
_DISABLE: Final = f"""
WITH gone AS (
    UPDATE endpoints e SET enabled = false FROM {_DISABLED.table} WHERE e.id = c.endpoint AND e.enabled
    RETURNING e.id, c.why
), entered AS (
    INSERT INTO endpoint_entries (endpoint, actor, step, details)
    SELECT id, '{ACTOR}', 'disabled', jsonb_build_object('why', why, 'before', jsonb_build_object('enabled', true))
    FROM gone
)
UPDATE lanes l SET paused = true FROM {_DISABLED.table} JOIN endpoints e ON e.id = c.endpoint WHERE l.id = e.lane
"""


class SqlStreams:
    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def heads(self, ids: Sequence[int]) -> Mapping[int, Head]:
        found: dict[int, Any] = {}
        followed: set[int] = set()
        for row in run(self._connection, _HEADS, {"ids": list(ids)}):
            if row[0] in found:
                followed.add(row[0])
            else:
                found[row[0]] = row
        return {stream: _head(row, more=stream in followed) for stream, row in found.items()}

    def apply(self, decisions: Sequence[DeliveryDecision], claim: Claim) -> Sequence[int]:
        connection, now = self._connection, self._now
        held = SqlDueWork(connection, now).settle(claim, [(d.row, d.due) for d in decisions])
        saved = [d for d in decisions if d.row.subject in held]
        if not saved:
            return []
        run(connection, _UPSERT_TRIES, _TRIES.parameters((_try(d) for d in saved), now=now))
        run(connection, _FAILING, _TRIED.parameters(_tried(saved).items(), now=now))
        passed = [(d.row.subject, d.head.event_row) for d in saved if d.delivered or d.given_up]
        if passed:
            run(connection, _MOVE_CURSORS, _CURSORS.parameters(passed))
        disabled = {d.head.endpoint: d.why_disabled for d in saved if d.disable}
        if disabled:
            run(connection, _DISABLE, _DISABLED.parameters(disabled.items()))
        told = [*cases.close_cases(connection, self._settled(saved), now=now)]
        told += cases.open_cases(connection, _openings(saved), now=now)
        outbox.store(connection, told, now=now)
        return [d.row.subject for d in saved]

    def _settled(self, saved: Sequence[DeliveryDecision]) -> Sequence[tuple[int, CaseKind, str | None, str]]:
        """Return the cases that a delivery closes: of its stream, and of its endpoint where nothing more is missing."""
        closed = {(d.head.stream, CaseKind.STUCK) for d in saved if d.settles}
        endpoints = {d.head.endpoint for d in saved if d.settles}
        if endpoints:
            found = run(self._connection, _MADE_GOOD, {"endpoints": sorted(endpoints)})
            closed |= {(row[0], CaseKind.UNDELIVERABLE) for row in found}
        return [(subject, kind, "it was delivered", ACTOR) for subject, kind in sorted(closed)]

    def end(self, claim: Claim, streams: Sequence[Claimed]) -> None:
        SqlDueWork(self._connection, self._now).settle(claim, [(row, None) for row in streams])


def _head(row: Any, *, more: bool) -> Head:
    return Head(
        stream=row[0],
        event_row=row[1],
        event=row[2],
        body=bytes(row[3]),
        url=row[4],
        secrets=tuple(row[5]),
        endpoint=row[6],
        merchant=row[7],
        order_id=row[8],
        first_tried_at=row[9],
        tries=row[10],
        more=more,
        waits=None if row[11] is None else tuple(timedelta(seconds=wait) for wait in row[11]),
        failing_since=row[12],
        troubled=row[13],
    )


def _try(decision: DeliveryDecision) -> tuple[Any, ...]:
    state = "delivered" if decision.delivered else "failed" if decision.given_up else "pending"
    head = decision.head
    return decision.row.subject, head.event_row, state, head.tries + 1, decision.status, decision.error


def _tried(saved: Sequence[DeliveryDecision]) -> Mapping[int, bool]:
    """Return {endpoint: whether anything was delivered there}."""
    tried: dict[int, bool] = {}
    for decision in saved:
        endpoint = decision.head.endpoint
        tried[endpoint] = decision.delivered or tried.get(endpoint, False)
    return tried


def _openings(saved: Sequence[DeliveryDecision]) -> Sequence[tuple[cases.About, CaseOpening]]:
    """Return what is found of each endpoint, whose case it is."""
    merchants = {d.head.endpoint: d.head.merchant for d in saved}
    return [
        (
            cases.About(subject=endpoint, merchant=merchants[endpoint], order_id=None, currency=None, actor=ACTOR),
            opening,
        )
        for endpoint, opening in findings(saved).items()
    ]
