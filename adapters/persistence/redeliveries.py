"""Callbacks delivered once more: each in a stream of its own, so that the order's stream goes on as it was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run
from adapters.persistence.due_work import SqlDueWork
from domain.model.due_work import Due, Work

MOST: Final = 1000

_FIND: Final = """
SELECT id FROM events WHERE event = %(event)s AND (%(merchant)s::text IS NULL OR merchant = %(merchant)s)
"""
# Given up, and neither on its way again nor delivered by a later try to the same endpoint.
_FAILED: Final = f"""
SELECT DISTINCT d.event_row FROM deliveries d
JOIN streams s ON s.id = d.stream JOIN endpoints e ON e.id = s.endpoint
WHERE d.state = 'failed' AND (%(merchant)s::text IS NULL OR e.merchant = %(merchant)s) AND NOT EXISTS (
    SELECT FROM streams r LEFT JOIN deliveries v ON v.stream = r.id AND v.event_row = d.event_row
    WHERE r.endpoint = s.endpoint AND r.single_event = d.event_row AND r.id <> s.id
      AND (v.state IS NULL OR v.state <> 'failed'))
ORDER BY d.event_row LIMIT {MOST}
"""
_FAILED_IN: Final = "SELECT event_row FROM deliveries WHERE stream = %(stream)s AND state = 'failed' ORDER BY event_row"
_RANGE: Final = f"""
SELECT id FROM events
WHERE merchant = %(merchant)s AND id > %(after)s AND created_at >= %(since)s AND created_at < %(until)s
ORDER BY id LIMIT {MOST}
"""
# Where the event still waits in its stream, that is what is made due.
_TARGETS: Final = """
SELECT x.id, e.id, e.lane, s.id, s.cursor < x.id
FROM events x JOIN endpoints e ON e.merchant = x.merchant AND (e.types IS NULL OR x.type = ANY(e.types))
LEFT JOIN streams s ON s.endpoint = e.id AND s.key = coalesce(x.order_id, -x.id)
WHERE x.id = ANY(%(events)s::bigint[]) ORDER BY x.id, e.id
"""
_AGAIN: Final = Columns("c", endpoint="bigint", event="bigint")
_STREAMS: Final = f"""
INSERT INTO streams (endpoint, single_event)
SELECT c.endpoint, c.event FROM {_AGAIN.table} ORDER BY c.event, c.endpoint
ON CONFLICT (endpoint, key) DO UPDATE SET cursor = 0
RETURNING id, endpoint
"""
_AFRESH: Final = """
UPDATE deliveries d SET state = 'pending', tries = 0, first_tried_at = now()
FROM streams s WHERE d.stream = s.id AND s.id = ANY(%(streams)s::bigint[]) AND d.event_row = s.single_event
"""


def find(connection: Connection, event: str, merchant: str | None) -> Sequence[int]:
    """Return the event of that name, if there is one, of this merchant or of any."""
    return [row[0] for row in run(connection, _FIND, {"event": event, "merchant": merchant})]


def failed(connection: Connection, merchant: str | None) -> Sequence[int]:
    """Return events that were given up and are not on their way again, `MOST` of them at most, the oldest first."""
    return [row[0] for row in run(connection, _FAILED, {"merchant": merchant})]


def between(connection: Connection, merchant: str, since: datetime, until: datetime, *, after: int) -> Sequence[int]:
    """Return a merchant's events of a time behind the event `after`, `MOST` of them at most, the oldest first."""
    parameters = {"merchant": merchant, "since": since, "until": until, "after": after}
    return [row[0] for row in run(connection, _RANGE, parameters)]


def failed_in(connection: Connection, stream: int) -> Sequence[int]:
    """Return the events that this stream has given up."""
    return [row[0] for row in run(connection, _FAILED_IN, {"stream": stream})]


def redeliver(connection: Connection, events: Sequence[int]) -> int:
    """Make these events due again at every endpoint that gets them; return how many deliveries that are."""
    now = run(connection, "SELECT now()").scalar_one()
    due_work = SqlDueWork(connection, now)
    targets = [tuple(row) for row in run(connection, _TARGETS, {"events": list(events)})]
    due_work.bump(sorted({stream for _, _, _, stream, waits in targets if stream is not None and waits}))
    passed = [(endpoint, event) for event, endpoint, _, stream, waits in targets if stream is None or not waits]
    lanes = {endpoint: lane for _, endpoint, lane, _, _ in targets}
    if passed:
        made = run(connection, _STREAMS, _AGAIN.parameters(passed)).fetchall()
        run(connection, _AFRESH, {"streams": [stream for stream, _ in made]})
        due = Due(work=Work.DELIVER, at=now)
        due_work.plan((stream, lanes[endpoint], due) for stream, endpoint in made)
    return len(targets)
