"""Endpoints: where a merchant's callbacks go, which types of event, how often, and under which secrets."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, outbox
from adapters.persistence.columns import run, to_json
from domain.model.case import CaseKind, CaseOpening

_SECRET_BYTES: Final = 32
# Also the names of the columns, so that no other can come into a statement.
SETTINGS: Final = ("url", "types", "waits")

_LISTED: Final = """
SELECT e.id, e.merchant, e.url, e.types, e.waits, e.enabled, e.failing_since, cardinality(e.secrets) AS secrets,
       e.created_at, (SELECT count(*) FROM due_work d WHERE d.lane = e.lane) AS streams_waiting,
       (SELECT k.id FROM cases k WHERE k.subject = e.id AND k.closed_at IS NULL LIMIT 1) AS open_case
FROM endpoints e
WHERE e.removed_at IS NULL AND (%(merchant)s::text IS NULL OR e.merchant = %(merchant)s)
  AND (%(id)s::bigint IS NULL OR e.id = %(id)s) AND e.id > %(after)s
ORDER BY e.id LIMIT %(limit)s
"""
_LOCK: Final = """
SELECT id, merchant, url, types, waits, enabled, failing_since, secrets, lane FROM endpoints
WHERE id = %(id)s AND removed_at IS NULL FOR UPDATE
"""

# Another filter holds from now on: a stream at which nothing waits goes on behind what it was not told, and what it
# has passed is told nobody.
_SKIP: Final = """
UPDATE streams s SET start = x.last, cursor = x.last
FROM (
    SELECT s.id, greatest(s.cursor, CASE WHEN d.subject IS NULL THEN max(e.id) END) AS last
    FROM streams s LEFT JOIN events e ON e.order_id = s.order_id LEFT JOIN due_work d ON d.subject = s.id
    WHERE s.endpoint = %(id)s AND s.order_id IS NOT NULL
    GROUP BY s.id, d.subject
) x
WHERE s.id = x.id
"""
_SWITCH: Final = """
WITH switched AS (
    UPDATE endpoints SET enabled = %(on)s, failing_since = NULL WHERE id = %(id)s RETURNING lane
)
UPDATE lanes SET paused = NOT %(on)s, failures = 0, paused_until = NULL WHERE id IN (SELECT lane FROM switched)
"""


_REMOVE: Final = "UPDATE endpoints SET removed_at = %(now)s, enabled = false, types = '{}' WHERE id = %(id)s"
_DROP_DUE: Final = "DELETE FROM due_work WHERE lane = (SELECT lane FROM endpoints WHERE id = %(id)s)"
_OPEN_CASES: Final = """
SELECT k.subject, k.kind FROM cases k WHERE k.closed_at IS NULL AND (
    k.subject = %(id)s OR k.subject IN (SELECT id FROM streams WHERE endpoint = %(id)s))
"""
_ENTRY: Final = """
INSERT INTO endpoint_entries (endpoint, actor, step, details) VALUES (%(id)s, %(actor)s, %(step)s, %(details)s::jsonb)
"""
_ENTRIES: Final = """
SELECT at, step, actor, trace, details FROM endpoint_entries WHERE endpoint = %(id)s ORDER BY id DESC LIMIT %(limit)s
"""
MOST: Final = 1000


def listed(
    connection: Connection,
    *,
    merchant: str | None = None,
    endpoint: int | None = None,
    after: int = 0,
    limit: int | None = None,
) -> Sequence[Mapping[str, Any]]:
    """Return endpoints without their secrets, the oldest first."""
    wanted = {"merchant": merchant, "id": endpoint, "after": after, "limit": limit}
    return [dict(row) for row in run(connection, _LISTED, wanted).mappings()]


def entries(connection: Connection, endpoint: int) -> Sequence[Mapping[str, Any]]:
    """Return the last steps of an endpoint, `MOST` of them, the youngest first."""
    return [dict(row) for row in run(connection, _ENTRIES, {"id": endpoint, "limit": MOST}).mappings()]


def keep_step(connection: Connection, endpoint: int, step: str, *, actor: str, details: Mapping[str, Any]) -> None:
    """Keep what a person did to an endpoint."""
    run(connection, _ENTRY, {"id": endpoint, "actor": actor, "step": step, "details": to_json(dict(details))})


def lock(connection: Connection, endpoint: int) -> Mapping[str, Any] | None:
    """Return an endpoint, secrets too, and keep others from changing it until this transaction ends."""
    return next((dict(row) for row in run(connection, _LOCK, {"id": endpoint}).mappings()), None)


def new_secret() -> str:
    """Return a secret in the form of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def add(
    connection: Connection,
    merchant: str,
    url: str,
    *,
    types: Sequence[str] | None = None,
    waits: Sequence[int] | None = None,
) -> tuple[int, str]:
    """Make an endpoint with a lane of its own; return its id and its secret."""
    # The lane is named for the endpoint and stands before it, so the id is drawn first.
    endpoint: int = run(connection, "SELECT nextval('subject_ids')").scalar_one()
    lane = run(
        connection,
        "INSERT INTO lanes (family, name) VALUES ('endpoint', %(name)s) RETURNING id",
        {"name": str(endpoint)},
    ).scalar_one()
    secret = new_secret()
    given = {"url": url, "types": _array(types), "waits": _array(waits)}
    run(
        connection,
        "INSERT INTO endpoints (id, merchant, url, secrets, types, waits, lane)"
        " VALUES (%(id)s, %(merchant)s, %(url)s, ARRAY[%(secret)s], %(types)s, %(waits)s, %(lane)s)",
        {"id": endpoint, "merchant": merchant, "secret": secret, "lane": lane, **given},
    )
    return endpoint, secret


def change(connection: Connection, endpoint: int, settings: Mapping[str, Any]) -> None:
    """Change what is named; another filter holds for what happens from now on."""
    names = [name for name in SETTINGS if name in settings]
    assignments = [f"{name} = %({name})s" for name in names] + ["types_since = now()"] * ("types" in names)
    given = {name: _array(settings[name]) if name != "url" else settings[name] for name in names}
    run(connection, f"UPDATE endpoints SET {', '.join(assignments)} WHERE id = %(id)s", {"id": endpoint, **given})
    if "types" in names:
        run(connection, _SKIP, {"id": endpoint})


def keep_secrets(connection: Connection, endpoint: int, live: Sequence[str]) -> None:
    """Let these secrets sign from now on, the newest first."""
    run(connection, "UPDATE endpoints SET secrets = %(live)s WHERE id = %(id)s", {"id": endpoint, "live": list(live)})


def enable(
    connection: Connection,
    endpoint: int,
    *,
    actor: str,
    now: datetime,
    note: str = "the endpoint is enabled again",
) -> None:
    """Let what waited go, close the endpoint's case, and keep who did it; of one that is well nothing is kept."""
    before = lock(connection, endpoint)
    run(connection, _SWITCH, {"id": endpoint, "on": True})
    told = cases.close_cases(connection, [(endpoint, CaseKind.UNDELIVERABLE, note, actor)], now=now)
    outbox.store(connection, told, now=now)
    if before is not None and (told or not before["enabled"] or before["failing_since"] is not None):
        keep_step(connection, endpoint, "enabled", actor=actor, details={"before": {"enabled": before["enabled"]}})


def disable(connection: Connection, endpoint: Mapping[str, Any], *, actor: str, now: datetime) -> None:
    """Keep what waits until the endpoint is enabled again; its case says that it is kept. Of a repeat nothing is."""
    if not endpoint["enabled"]:
        return
    keep_step(connection, endpoint["id"], "disabled", actor=actor, details={"before": {"enabled": True}})
    run(connection, _SWITCH, {"id": endpoint["id"], "on": False})
    about = cases.About(
        subject=endpoint["id"], merchant=endpoint["merchant"], order_id=None, currency=None, actor=actor
    )
    known = "the endpoint was disabled by hand, and what waits is kept"
    opening = CaseOpening(kind=CaseKind.UNDELIVERABLE, known=known, details={"url": endpoint["url"]})
    outbox.store(connection, cases.open_cases(connection, [(about, opening)], now=now), now=now)


def drop_due(connection: Connection, endpoint: int) -> None:
    """Forget what waits for an endpoint."""
    run(connection, _DROP_DUE, {"id": endpoint})


def remove(connection: Connection, endpoint: int, *, actor: str, now: datetime) -> None:
    """Let an endpoint hear nothing any more, and close its cases; what was tried there stays."""
    run(connection, _REMOVE, {"id": endpoint, "now": now})
    open_ones = [(row[0], CaseKind(row[1])) for row in run(connection, _OPEN_CASES, {"id": endpoint})]
    closed = [(subject, kind, "the endpoint was removed", actor) for subject, kind in open_ones]
    outbox.store(connection, cases.close_cases(connection, closed, now=now), now=now)


def _array(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
