"""Answers under an `Idempotency-Key`: given once, kept for a while, and given again to who asks the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import run, to_json

# A request that was under way for so long has died with its process, and may be made again.
_ABANDONED: Final = "2 minutes"
_KEPT: Final = "24 hours"
# Whoever keeps one takes a few old ones away, so that nobody else has to.
_SWEPT: Final = 20

_BEGIN: Final = f"""
INSERT INTO kept_answers AS a (owner, key, fingerprint, started_at, expires_at)
VALUES (%(owner)s, %(key)s, %(fingerprint)s, now(), now() + interval '{_KEPT}')
ON CONFLICT (owner, key) DO UPDATE SET fingerprint = excluded.fingerprint, started_at = excluded.started_at,
    expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
WHERE a.expires_at <= now()
   OR (a.status IS NULL AND a.fingerprint = excluded.fingerprint AND a.started_at < now() - interval '{_ABANDONED}')
RETURNING owner
"""
_FOUND: Final = """
SELECT fingerprint, status, headers, body FROM kept_answers WHERE owner = %(owner)s AND key = %(key)s
"""
_SWEEP: Final = f"""
DELETE FROM kept_answers a USING (
    SELECT owner, key FROM kept_answers WHERE expires_at <= now() LIMIT {_SWEPT} FOR UPDATE SKIP LOCKED
) old WHERE a.owner = old.owner AND a.key = old.key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What is known under a key: of which request, and the answer once there is one."""

    fingerprint: str
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None


def begin(connection: Connection, owner: str, key: str, fingerprint: str) -> KeptAnswer | None:
    """Take the key for this request; return what stands there if somebody was first."""
    parameters = {"owner": owner, "key": key, "fingerprint": fingerprint}
    run(connection, _SWEEP)
    if run(connection, _BEGIN, parameters).fetchone() is not None:
        return None
    row = run(connection, _FOUND, parameters).fetchone()
    if row is None:  # it was freed in this very moment: its request was refused, and this one may be made later
        return KeptAnswer(fingerprint=fingerprint)
    return KeptAnswer(fingerprint=row[0], status=row[1], headers=row[2], body=row[3])


def keep(connection: Connection, owner: str, key: str, answer: KeptAnswer) -> None:
    """Keep the answer of the request that has taken the key."""
    parameters: dict[str, Any] = {
        "owner": owner,
        "key": key,
        "fingerprint": answer.fingerprint,
        "status": answer.status,
        "headers": to_json(dict(answer.headers or {})),
        "body": answer.body,
    }
    run(
        connection,
        "UPDATE kept_answers SET status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s"
        " WHERE owner = %(owner)s AND key = %(key)s AND fingerprint = %(fingerprint)s",
        parameters,
    )


def free(connection: Connection, owner: str, key: str, fingerprint: str) -> None:
    """Give the key back: nothing was done under it."""
    run(
        connection,
        "DELETE FROM kept_answers WHERE owner = %(owner)s AND key = %(key)s AND fingerprint = %(fingerprint)s"
        " AND status IS NULL",
        {"owner": owner, "key": key, "fingerprint": fingerprint},
    )
