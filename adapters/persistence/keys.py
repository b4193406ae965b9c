"""Keys for HTTP: made and shown once, known by their hash, several live at a time, revoked for good."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import run

_KEY_BYTES: Final = 32
# A merchant's key is the merchant's, an operator's the operator's; NULL matches what is NULL.
_OWN: Final = "merchant IS NOT DISTINCT FROM %(merchant)s AND operator IS NOT DISTINCT FROM %(operator)s"

# The budget is refilled and spent by the statement that looks the key up, so that it holds over all processes.
_IDENTIFY: Final = """
WITH known AS (
    SELECT id, merchant, operator, hash FROM api_keys WHERE hash = %(hash)s AND revoked_at IS NULL
    UNION ALL
    SELECT 0, NULL, %(admin)s, %(hash)s WHERE %(admin)s::text IS NOT NULL
    LIMIT 1
), spent AS (
    INSERT INTO key_budgets AS b (hash, tokens, granted, refilled_at)
    SELECT hash, %(most)s - 1, true, now() FROM known
    ON CONFLICT (hash) DO UPDATE SET
        granted = {available} >= 1,
        tokens = {available} - CASE WHEN {available} >= 1 THEN 1 ELSE 0 END,
        refilled_at = greatest(b.refilled_at, now())
    RETURNING granted, tokens
)
SELECT k.id, k.merchant, k.operator, k.hash, s.granted, s.tokens FROM known k, spent s
""".format(
    available=("least(%(most)s, b.tokens + %(rate)s * greatest(0, extract(epoch FROM now() - b.refilled_at))::float)")
)


class UnknownMerchant(Exception):
    """Nobody has this id."""

    def __init__(self, merchant: str) -> None:
        super().__init__(f"no merchant is called {merchant!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a key is: a merchant's, or an operator's."""

    merchant: str | None = None
    operator: str | None = None

    @property
    def kind(self) -> str:
        return "operator" if self.merchant is None else "merchant"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `token` is shown once; the database knows only its SHA-256, which 256 random bits need no more of."""

    id: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many requests a second a key may make, and how many at once after a rest."""

    per_second: float
    at_once: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Who calls. `wait_seconds` is above zero where the key has spent its budget."""

    id: int
    merchant: str | None
    operator: str | None
    wait_seconds: float = 0.0


def add(connection: Connection, owner: Owner) -> Key:
    """Make a key.

    Raises:
        UnknownMerchant: nobody has this id.
    """
    if owner.merchant is not None:
        lock(connection, owner.merchant)
    token = f"trueup_{secrets.token_urlsafe(_KEY_BYTES)}"
    made = run(
        connection,
        "INSERT INTO api_keys (merchant, operator, hash) VALUES (%(merchant)s, %(operator)s, %(hash)s) RETURNING id",
        {"merchant": owner.merchant, "operator": owner.operator, "hash": hash_of(token)},
    )
    return Key(made.scalar_one(), token)


def revoke(connection: Connection, owner: Owner, key: int) -> bool:
    """Revoke a key of this owner; return whether there was such a key."""
    revoked = run(
        connection,
        f"UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(key)s AND {_OWN} RETURNING id",
        {"key": key, "merchant": owner.merchant, "operator": owner.operator},
    )
    return revoked.fetchone() is not None


def listed(connection: Connection, owner: Owner) -> Sequence[Mapping[str, Any]]:
    """Return the keys of this owner, revoked ones too, the oldest first."""
    found = run(
        connection,
        f"SELECT id, created_at, revoked_at FROM api_keys WHERE {_OWN} ORDER BY id",
        {"merchant": owner.merchant, "operator": owner.operator},
    )
    return [dict(row) for row in found.mappings()]


def identify(connection: Connection, token: str, budget: Budget, *, admin: tuple[str, str]) -> Identified | None:
    """Return whose key this is, having spent one request of its budget; None if nobody's.

    `admin` is (operator, token) of the key that the settings hold.
    """
    given = hash_of(token)
    name, key = admin
    parameters = {
        "hash": given,
        "admin": name if hmac.compare_digest(given, hash_of(key)) else None,
        "most": budget.at_once,
        "rate": budget.per_second,
    }
    row = run(connection, _IDENTIFY, parameters).fetchone()
    # The index has compared already; this comparison takes as long whatever differs.
    if row is None or not hmac.compare_digest(row[3], given):
        return None
    wait = 0.0 if row[4] else (1.0 - row[5]) / budget.per_second
    return Identified(id=row[0], merchant=row[1], operator=row[2], wait_seconds=wait)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def lock(connection: Connection, merchant: str) -> None:
    """Keep others from changing the merchant until this transaction ends.

    Raises:
        UnknownMerchant: nobody has this id.
    """
    found = run(connection, "SELECT 1 FROM merchants WHERE id = %(id)s FOR UPDATE", {"id": merchant})
    if found.fetchone() is None:
        raise UnknownMerchant(merchant)
