"""Merchants as operators make them: their settings and their callback address."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import keys
from adapters.persistence.columns import run
from adapters.persistence.keys import UnknownMerchant, lock

__all__ = ["MerchantExists", "UnknownMerchant", "add", "add_endpoint", "change", "has_endpoint"]

_SECRET_BYTES: Final = 32
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


class MerchantExists(Exception):
    """Somebody has this id already."""

    def __init__(self, merchant: str) -> None:
        super().__init__(f"there is a merchant {merchant!r} already")


def add(connection: Connection, merchant: str, settings: Mapping[str, Any], *, url: str) -> tuple[keys.Key, str]:
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
    return keys.add(connection, keys.Owner(merchant=merchant)), secret


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
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
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
