"""Merchants as operators make them: their settings, their callback address and their keys."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import run

_KEY_BYTES: Final = 32
# Also the names of the columns, so that no other can come into a statement.
SETTINGS: Final = (
    "name",
    "email",
    "cancellation_timeout",
    "checkout_timeout",
    "tolerance",
    "checks",
    "sanity_queue",
    "auto_retrigger",
)


class UnknownMerchant(Exception):
    """Nobody has this id."""

    def __init__(self, merchant: str) -> None:
        super().__init__(f"no merchant is called {merchant!r}")


class MerchantExists(Exception):
    """Somebody has this id already."""

    def __init__(self, merchant: str) -> None:
        super().__init__(f"there is a merchant {merchant!r} already; `trueup merchant set` changes it")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `token` is shown once; the database knows only its SHA-256, which 256 random bits need no more of."""

    id: int
    token: str


def add(connection: Connection, merchant: str, settings: Mapping[str, Any], *, url: str) -> tuple[Key, str]:
    """Make a merchant with an endpoint and a key; return the key and the callback secret.

    Raises:
        MerchantExists: the id is taken.
    """
    names = [name for name in SETTINGS if name in settings]
    made = run(
        connection,
        f"INSERT INTO merchants (id, {', '.join(names)}) VALUES (%(id)s, {', '.join(f'%({name})s' for name in names)})"
        " ON CONFLICT DO NOTHING RETURNING id",
        {"id": merchant, **settings},
    )
    if made.fetchone() is None:
        raise MerchantExists(merchant)
    lane = "INSERT INTO lanes (family, name) VALUES ('merchant', %(id)s) ON CONFLICT DO NOTHING"
    run(connection, lane, {"id": merchant})
    secret = add_endpoint(connection, merchant, url)
    return add_key(connection, merchant), secret


def change(connection: Connection, merchant: str, settings: Mapping[str, Any], *, url: str | None) -> None:
    """Change what is named, of a merchant and of where its callbacks go.

    Raises:
        UnknownMerchant: nobody has this id.
    """
    lock(connection, merchant)
    if settings:
        names = ", ".join(f"{name} = %({name})s" for name in SETTINGS if name in settings)
        run(connection, f"UPDATE merchants SET {names} WHERE id = %(id)s", {"id": merchant, **settings})
    if url is not None:
        run(
            connection,
            "UPDATE endpoints SET url = %(url)s WHERE id = (SELECT min(id) FROM endpoints WHERE merchant = %(id)s)",
            {"id": merchant, "url": url},
        )


def has_endpoint(connection: Connection, merchant: str) -> bool:
    found = run(connection, "SELECT 1 FROM endpoints WHERE merchant = %(id)s LIMIT 1", {"id": merchant})
    return found.fetchone() is not None


def add_endpoint(connection: Connection, merchant: str, url: str) -> str:
    """Make an endpoint with a lane of its own; return its secret, in the form of Standard Webhooks."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"
    # The lane is named for the endpoint and stands before it, so the id is drawn first.
    endpoint = run(connection, "SELECT nextval('subject_ids')").scalar_one()
    lane = run(
        connection,
        "INSERT INTO lanes (family, name) VALUES ('endpoint', %(name)s) RETURNING id",
        {"name": str(endpoint)},
    ).scalar_one()
    run(
        connection,
        "INSERT INTO endpoints (id, merchant, url, secrets, lane)"
        " VALUES (%(id)s, %(merchant)s, %(url)s, ARRAY[%(secret)s], %(lane)s)",
        {"id": endpoint, "merchant": merchant, "url": url, "secret": secret, "lane": lane},
    )
    return secret


def add_key(connection: Connection, merchant: str) -> Key:
    """Make a key for a merchant.

    Raises:
        UnknownMerchant: nobody has this id.
    """
    lock(connection, merchant)
    token = f"trueup_{secrets.token_urlsafe(_KEY_BYTES)}"
    made = run(
        connection,
        "INSERT INTO api_keys (merchant, hash) VALUES (%(merchant)s, %(hash)s) RETURNING id",
        {"merchant": merchant, "hash": hash_of(token)},
    )
    return Key(made.scalar_one(), token)


def revoke_key(connection: Connection, merchant: str, key: int) -> bool:
    """Revoke a key of this merchant; return whether there was such a key."""
    revoked = run(
        connection,
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())"
        " WHERE id = %(key)s AND merchant = %(merchant)s RETURNING id",
        {"key": key, "merchant": merchant},
    )
    return revoked.fetchone() is not None


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
