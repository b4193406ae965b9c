"""Callbacks delivered once more: each in a stream of its own, so that the order's stream goes on as it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Engine

from adapters.persistence.columns import Columns, run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.retention import UNDELETED
from domain.model.due_work import Due, Work

MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events: what is None leaves none out. `since` belongs to the time, `until` does not.

    `after` is a place in the feed of events, (transaction, event).
    """

    merchant: str | None = None
    endpoint: int | None = None
    types: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[int, ...] = (0, 0)


_FIND: Final = """
SELECT id FROM events WHERE event = %(event)s AND (%(merchant)s::text IS NULL OR merchant = %(merchant)s)
"""
_WANTED: Final = """
(%(merchant)s::text IS NULL OR x.merchant = %(merchant)s)
AND (%(types)s::text[] IS NULL OR x.type = ANY(%(types)s))
AND (%(since)s::timestamptz IS NULL OR x.created_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR x.created_at < %(until)s)
"""
# Given up, and neither on its way again nor delivered by a later try to the same endpoint.
_FAILED: Final = f"""
SELECT DISTINCT d.event_row, s.endpoint FROM deliveries d
JOIN streams s ON s.id = d.stream JOIN events x ON x.id = d.event_row
WHERE d.state = 'failed' AND {_WANTED} AND (%(endpoint)s::bigint IS NULL OR s.endpoint = %(endpoint)s)
  AND (d.event_row, s.endpoint) > (%(last_0)s, %(last_1)s) AND NOT EXISTS (
    SELECT FROM streams r LEFT JOIN deliveries v ON v.stream = r.id AND v.event_row = d.event_row
    WHERE r.endpoint = s.endpoint AND r.single_event = d.event_row AND r.id <> s.id
      AND (v.state IS NULL OR v.state <> 'failed'))
ORDER BY d.event_row, s.endpoint LIMIT {MOST}
"""
_RANGE: Final = f"""
SELECT x.transaction, x.id FROM events x
WHERE {_WANTED} AND (x.transaction, x.id) > (%(last_0)s, %(last_1)s)
ORDER BY x.transaction, x.id LIMIT {MOST}
"""
# Where the event still waits in its stream, that is what is made due.
_TARGETS: Final = """
SELECT x.id, e.id, e.lane, s.id, s.cursor < x.id
FROM events x JOIN endpoints e ON e.merchant = x.merchant AND (e.types IS NULL OR x.type = ANY(e.types))
LEFT JOIN streams s ON s.endpoint = e.id AND s.key = coalesce(x.order_id, -x.id)
WHERE x.id = ANY(%(events)s::bigint[]) AND (%(endpoint)s::bigint IS NULL OR e.id = %(endpoint)s)
ORDER BY x.id, e.id
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


def redeliver_failed(engine: Engine, wanted: Wanted) -> int:
    """Make due again what was given up and is not on its way, where it was given up; return how many deliveries."""
    return sum(_failed(engine, wanted))


def redeliver_failed_at(connection: Connection, endpoint: int) -> None:
    """Make due again, in one transaction, all that was given up at an endpoint and is not on its way."""
    found: Sequence[tuple[int, int]] = ((0, 0),)
    while found:
        found = failed(connection, Wanted(endpoint=endpoint), after=found[-1])
        again_where_it_failed(connection, found)


def has_failed(connection: Connection, endpoint: int) -> bool:
    """Whether anything was given up at an endpoint and is not on its way again."""
    return bool(failed(connection, Wanted(endpoint=endpoint)))


def redeliver_range(engine: Engine, wanted: Wanted) -> int:
    """Make due again whatever happened, at the one endpoint or at every one that gets it; return how many."""
    return sum(_range(engine, wanted))


def failed(connection: Connection, wanted: Wanted, *, after: tuple[int, ...] = (0, 0)) -> Sequence[tuple[int, int]]:
    """Return (event, endpoint) of what was given up and is not on its way again, `MOST` of them, the oldest first."""
    return [(row[0], row[1]) for row in run(connection, _FAILED, _parameters(wanted, last=after))]


def again_where_it_failed(connection: Connection, found: Sequence[tuple[int, int]]) -> int:
    """Make these (event, endpoint) due again; return how many deliveries that are."""
    by_endpoint = groupby(sorted(found, key=lambda pair: pair[::-1]), key=lambda pair: pair[1])
    return sum(redeliver(connection, [event for event, _ in pairs], endpoint=one) for one, pairs in by_endpoint)


def _failed(engine: Engine, wanted: Wanted) -> Iterator[int]:
    found: Sequence[tuple[int, int]] = ((0, 0),)
    while found:
        with engine.begin() as connection:
            found = failed(connection, wanted, after=found[-1])
            count = again_where_it_failed(connection, found)
        yield count


def _range(engine: Engine, wanted: Wanted) -> Iterator[int]:
    found: Sequence[tuple[int, ...]] = (wanted.after,)
    while found:
        with engine.begin() as connection:
            rows = run(connection, _RANGE, _parameters(wanted, last=found[-1]))
            found = [tuple(row) for row in rows]
            count = redeliver(connection, [event for _, event in found], endpoint=wanted.endpoint)
        yield count


def _parameters(wanted: Wanted, *, last: tuple[int, ...]) -> dict[str, Any]:
    types = None if wanted.types is None else list(wanted.types)
    return {
        "merchant": wanted.merchant,
        "endpoint": wanted.endpoint,
        "types": types,
        "since": wanted.since,
        "until": wanted.until,
        "last_0": last[0],
        "last_1": last[1],
    }


def redeliver(connection: Connection, events: Sequence[int], *, endpoint: int | None = None) -> int:
    """Make these events due again at this endpoint, or at every one that gets them; return how many deliveries."""
    run(connection, UNDELETED)  # before anything is looked up: what is there now, stays
    now = run(connection, "SELECT now()").scalar_one()
    due_work = SqlDueWork(connection, now)
    targets = [tuple(row) for row in run(connection, _TARGETS, {"events": list(events), "endpoint": endpoint})]
    due_work.bump(sorted({stream for _, _, _, stream, waits in targets if stream is not None and waits}))
    passed = [(endpoint, event) for event, endpoint, _, stream, waits in targets if stream is None or not waits]
    lanes = {endpoint: lane for _, endpoint, lane, _, _ in targets}
    if passed:
        made = run(connection, _STREAMS, _AGAIN.parameters(passed)).fetchall()
        run(connection, _AFRESH, {"streams": [stream for stream, _ in made]})
        due = Due(work=Work.DELIVER, at=now)
        due_work.plan((stream, lanes[endpoint], due) for stream, endpoint in made)
    return len(targets)
