"""Retention: what only tells of orders that ended long ago is deleted; the orders themselves are not.

What stays is what the promises rest on: the order under its name, its payment, its states, attempts and operations, the
intents with their keys, its reversal and its cases. So no name is free again, no key is used twice, and money that
comes years late is still seen. What goes: events with their callbacks, steps of the timeline, the bill and the
customer; and by their age alone commands that were carried out or refused, and mails of no case.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine

from adapters.persistence.columns import run

log = structlog.get_logger(__name__)

# How long nothing is looked for when all that is old was found.
_REST_SECONDS: Final = 600.0
# How long one call goes on: it is made with every sweep, and what else is due there waits for it.
_SHARE_SECONDS: Final = 0.25
# One process at a time, and none while something that may be old is made due again without its order being held.
_ALONE: Final = "SELECT pg_try_advisory_xact_lock(7208), now()"
UNDELETED: Final = "SELECT pg_advisory_xact_lock_shared(7208)"

# The outbox is read from its oldest event on: of whoever was trimmed nothing stands there any more. How a reversal of
# no order ended stays told: nothing says of a reversal that it was trimmed.
_OLDEST: Final = """
SELECT max(h.id), count(*), array_agg(DISTINCT h.order_id) FILTER (WHERE h.order_id IS NOT NULL),
       array_agg(h.id) FILTER (WHERE h.order_id IS NULL AND h.type <> 'reversal.ended')
FROM (SELECT id, type, order_id, created_at FROM events WHERE id > %(after)s ORDER BY id LIMIT %(size)s) h
WHERE h.created_at < %(before)s
"""

# An order that owes nothing and is owed nothing: no work, no case, no command, no callback that is still to arrive.
_ENDED: Final = """
SELECT o.id FROM orders o JOIN transactions t ON t.order_id = o.id
WHERE o.id = ANY(%(orders)s::bigint[]) AND o.changed_at < %(before)s AND NOT o.watching
  AND o.status NOT IN ('NEW', 'PENDING', 'UNRESOLVED', 'REFUND_PENDING') AND t.reversal IS DISTINCT FROM 'open'
  AND NOT EXISTS (SELECT FROM due_work d WHERE d.subject = o.id)
  AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = o.id AND c.closed_at IS NULL)
  AND NOT EXISTS (SELECT FROM inbox i
                  WHERE i.merchant = o.merchant AND i."order" = o.reference AND i.state = 'waiting')
  AND NOT EXISTS (SELECT FROM events x WHERE x.order_id = o.id AND x.created_at >= %(before)s)
ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
"""
# With the streams of each, and those that deliver one of its events once more. `OFFSET 0` has them looked up event by
# event: joined as a whole, a plan may read every stream there is.
_CARRIED: Final = """
SELECT x.id, x.order_id, s.id AS stream,
       EXISTS (SELECT FROM due_work d WHERE d.subject = s.id)
       OR EXISTS (SELECT FROM cases c WHERE c.subject = s.id AND c.closed_at IS NULL)
       -- Given up, and somebody may still have it delivered: that is what the endpoint's case waits for.
       OR (EXISTS (SELECT FROM deliveries v WHERE v.stream = s.id AND v.state = 'failed')
           AND EXISTS (SELECT FROM cases c WHERE c.subject = s.endpoint AND c.closed_at IS NULL)) AS waits
FROM events x LEFT JOIN LATERAL (
    SELECT s.id, s.endpoint
    FROM endpoints e JOIN streams s ON s.endpoint = e.id AND s.key = ANY(ARRAY[x.order_id, -x.id])
    WHERE e.merchant = x.merchant OFFSET 0
) s ON true
WHERE x.order_id = ANY(%(orders)s::bigint[]) OR x.id = ANY(%(events)s::bigint[])
"""
_DELETE: Final = (
    "DELETE FROM deliveries WHERE stream = ANY(%(streams)s::bigint[])",
    "DELETE FROM streams WHERE id = ANY(%(streams)s::bigint[])",
    "DELETE FROM events WHERE id = ANY(%(events)s::bigint[])",
    "DELETE FROM timeline WHERE order_id = ANY(%(orders)s::bigint[])",
    "UPDATE orders SET trimmed_to = %(before)s, bill = NULL, customer = NULL WHERE id = ANY(%(orders)s::bigint[])",
)

# What goes by its age alone, in the order of its ids.
_BY_AGE: Final = """
WITH oldest AS (
    SELECT id, {at} AS at, {goes} AS goes FROM {table} WHERE id > %(after)s ORDER BY id LIMIT %(size)s
), gone AS (
    DELETE FROM {table} USING oldest o WHERE {table}.id = o.id AND o.goes AND o.at < %(before)s RETURNING 1
)
SELECT max(id), count(*), (SELECT count(*) FROM gone) FROM oldest WHERE at < %(before)s
"""
_COMMANDS: Final = _BY_AGE.format(table="inbox", at="received_at", goes="state IN ('applied', 'refused')")
# Neither what tells of a case, nor what has one because it could not be sent.
_MAILS: Final = _BY_AGE.format(
    table="mails",
    at="created_at",
    goes="state <> 'waiting' AND case_id IS NULL"
    " AND NOT EXISTS (SELECT FROM cases c WHERE c.subject = mails.id AND c.closed_at IS NULL)",
)


@dataclass(slots=True)
class _Walk:
    """How far one walk through a table has come; from its end it rests, and begins again."""

    step: "Callable[[Connection, _Walk, datetime], int]"
    after: int = 0
    rests_until: float = 0.0

    def moved(self, to: int | None, found: int, size: int) -> None:
        if found < size:
            self.after, self.rests_until = 0, time.monotonic() + _REST_SECONDS
        else:
            self.after = to or 0


@dataclass(slots=True, kw_only=True)
class Retention:
    """Deletes what is older than `keep`, for a moment at each call; calling it often costs nothing once all is done."""

    engine: Engine
    keep: timedelta
    size: int = 500
    seconds: float = _SHARE_SECONDS
    _walks: list[_Walk] = field(default_factory=list)

    def __post_init__(self) -> None:
        by_age = [_Walk(self._by_age(statement)) for statement in (_COMMANDS, _MAILS)]
        self._walks = [_Walk(self._trim), *by_age]

    def __call__(self) -> int:
        """Return how many rows of orders, events, commands and mails were trimmed or deleted."""
        end = time.monotonic() + self.seconds
        gone = batch = self._batch()
        while batch and time.monotonic() < end:
            batch = self._batch()
            gone += batch
        if gone:
            log.info("retention.deleted", rows=gone)
        return gone

    def _batch(self) -> int:
        walks = [walk for walk in self._walks if walk.rests_until <= time.monotonic()]
        if not walks:
            return 0
        with self.engine.begin() as connection:
            alone, now = run(connection, _ALONE).one()
            return sum(walk.step(connection, walk, now - self.keep) for walk in walks) if alone else 0

    def _trim(self, connection: Connection, walk: _Walk, before: datetime) -> int:
        parameters = {"after": walk.after, "size": self.size, "before": before}
        to, found, orders, single = run(connection, _OLDEST, parameters).one()
        walk.moved(to, found, self.size)
        ended = [row[0] for row in run(connection, _ENDED, {"orders": orders or [], "before": before})]
        carried = run(connection, _CARRIED, {"orders": ended, "events": single or []}).all()
        waits = {_subject(row) for row in carried if row.waits}
        goes = [row for row in carried if _subject(row) not in waits]
        gone: dict[str, Any] = {
            "orders": [order for order in ended if order not in waits],
            "events": sorted({row.id for row in goes}),
            "streams": sorted({row.stream for row in goes if row.stream is not None}),
            "before": before,
        }
        for statement in _DELETE:
            run(connection, statement, gone)
        return len(gone["orders"]) + len(gone["events"])

    def _by_age(self, statement: str) -> Callable[[Connection, _Walk, datetime], int]:
        def step(connection: Connection, walk: _Walk, before: datetime) -> int:
            parameters = {"after": walk.after, "size": self.size, "before": before}
            to, found, gone = run(connection, statement, parameters).one()
            walk.moved(to, found, self.size)
            return int(gone)

        return step


def _subject(row: Any) -> int:
    """Return what waits or goes as a whole: an order, or an event of none."""
    return int(-row.id if row.order_id is None else row.order_id)
