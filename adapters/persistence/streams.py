"""Callback streams: each delivers its head, and only what was delivered moves its cursor."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, outbox
from adapters.persistence.columns import Columns, run
from adapters.persistence.due_work import SqlDueWork
from domain.model.delivery import DeliveryDecision, Head
from domain.model.due_work import Claim, Claimed

# Two rows of a stream at most: the head, and whether another waits behind it.
_HEADS: Final = """
SELECT s.id, ev.id, ev.event, ev.body, e.url, e.secrets, e.id, e.merchant, s.order_id, d.first_tried_at,
       coalesce(d.tries, 0)
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
WHERE s.id = ANY(%(ids)s::bigint[])
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

# The lane of a disabled endpoint rests, so that what waits keeps its due row for the day it is enabled again.
_DISABLE: Final = """
WITH gone AS (UPDATE endpoints SET enabled = false WHERE id = ANY(%(ids)s::bigint[]) RETURNING lane)
UPDATE lanes SET paused = true WHERE id IN (SELECT lane FROM gone)
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
        passed = [(d.row.subject, d.head.event_row) for d in saved if d.delivered or d.given_up]
        if passed:
            run(connection, _MOVE_CURSORS, _CURSORS.parameters(passed))
        disabled = [d.head.endpoint for d in saved if d.disable]
        if disabled:
            run(connection, _DISABLE, {"ids": disabled})
        openings = [(_about(d), d.opening) for d in saved if d.opening is not None]
        outbox.store(connection, cases.open_cases(connection, openings, now=now), now=now)
        return [d.row.subject for d in saved]

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
    )


def _try(decision: DeliveryDecision) -> tuple[Any, ...]:
    state = "delivered" if decision.delivered else "failed" if decision.given_up else "pending"
    head = decision.head
    return decision.row.subject, head.event_row, state, head.tries + 1, decision.status, decision.error


def _about(decision: DeliveryDecision) -> cases.About:
    head = decision.head
    subject = head.endpoint if decision.disable else head.stream
    return cases.About(subject=subject, merchant=head.merchant, order_id=head.order_id, currency=None)
