"""The outbox: events stored with the change that caused them, and the streams that carry them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import letters
from adapters.persistence.columns import Columns, run, to_json
from domain.model.event import Event
from domain.model.mail import Letter, StatusNews
from domain.rules.mails import letters_of_status

_EVENTS: Final = Columns(
    "c", event="text", type="text", merchant="text", order_id="bigint", sequence="int", body="text", position="int"
)
# Where the merchant chose to be mailed of statuses, that comes along: who did not costs no statement.
_INSERT: Final = f"""
INSERT INTO events AS ev (event, type, merchant, order_id, sequence, body, created_at)
SELECT c.event, c.type, c.merchant, c.order_id, c.sequence, convert_to(c.body, 'UTF8'), %(now)s
FROM {_EVENTS.table} ORDER BY c.position
RETURNING id, event, CASE WHEN type = 'order.status_changed' THEN (
    SELECT {letters.CORRESPONDENT} FROM merchants m
    WHERE m.id = ev.merchant AND m.email IS NOT NULL AND m.mail_statuses <> '{{}}'
) END
"""

# An existing stream is not touched, so that nothing here waits for one that is being delivered. A new one starts with
# the event that made it, so that a new endpoint is not told the history of an old order.
_STREAMS: Final = """
INSERT INTO streams (endpoint, order_id, single_event, cursor, start)
SELECT e.id, ev.order_id, CASE WHEN ev.order_id IS NULL THEN ev.id END, min(ev.id) - 1, min(ev.id) - 1
FROM events ev JOIN endpoints e ON e.merchant = ev.merchant AND (e.types IS NULL OR ev.type = ANY(e.types))
WHERE ev.id = ANY(%(ids)s::bigint[])
GROUP BY 1, 2, 3
ON CONFLICT (endpoint, key) DO NOTHING
"""
# A stream that is at work or backing off keeps its plan; the generation tells its holder that more has come.
_DUE: Final = """
INSERT INTO due_work AS d (subject, lane, kind, due_at)
SELECT DISTINCT s.id, e.lane, 'deliver', %(now)s::timestamptz
FROM events ev
JOIN endpoints e ON e.merchant = ev.merchant AND (e.types IS NULL OR ev.type = ANY(e.types))
JOIN streams s ON s.endpoint = e.id AND s.key = coalesce(ev.order_id, -ev.id)
WHERE ev.id = ANY(%(ids)s::bigint[]) ORDER BY s.id
ON CONFLICT (subject) DO UPDATE SET generation = d.generation + 1
"""


@dataclass(frozen=True, slots=True)
class Named:
    """An event with the name under which every receiver knows it."""

    name: str
    event: Event
    sequence: int | None = None


def store(connection: Connection, events: Sequence[Named], *, now: datetime) -> None:
    """Store events, their bodies frozen, and make the streams due that carry them, and the mails."""
    if not events:
        return
    rows = [
        (
            named.name,
            named.event.type,
            named.event.merchant,
            named.event.order_id,
            named.sequence,
            body_of(named, now),
            position,
        )
        for position, named in enumerate(events)
    ]
    stored = run(connection, _INSERT, _EVENTS.parameters(rows, now=now)).fetchall()
    ids = [row[0] for row in stored]
    run(connection, _STREAMS, {"ids": ids})
    run(connection, _DUE, {"ids": ids, "now": now})
    chosen = {event: correspondent for _, event, correspondent in stored if correspondent is not None}
    letters.write(connection, [letter for named in events for letter in _letters(named, chosen)], now=now)


def _letters(named: Named, chosen: Mapping[str, Mapping[str, Any]]) -> Sequence[Letter]:
    correspondent = letters.correspondent_of(chosen.get(named.name))
    event = named.event
    if correspondent is None or event.order_id is None:
        return []
    news = StatusNews(event=named.name, merchant=event.merchant, order_id=event.order_id, facts=event.data)
    return letters_of_status(news, correspondent)


def body_of(named: Named, now: datetime) -> str:
    """The body as every try will send it, byte for byte."""
    data = {"event": named.name, **named.event.data}
    return to_json({"type": named.event.type, "timestamp": now, "data": data})
