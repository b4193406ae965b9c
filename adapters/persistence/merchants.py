"""Merchants as operators make them: their settings and their callback address."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import endpoints, keys
from adapters.persistence.columns import run
from adapters.persistence.keys import UnknownMerchant, lock

__all__ = ["MerchantExists", "UnknownMerchant", "add", "add_endpoint", "change", "exists", "has_endpoint"]

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
    "mail_name",
    "mail_sender",
    "mail_link",
    "mail_statuses",
)

_HAS_ENDPOINT: Final = "SELECT 1 FROM endpoints WHERE merchant = %(id)s AND removed_at IS NULL LIMIT 1"


class MerchantExists(Exception):
    """Somebody has this id already."""

    def __init__(self, merchant: str) -> None:
        super().__init__(f"there is a merchant {merchant!r} already")


def exists(connection: Connection, merchant: str) -> bool:
    return run(connection, "SELECT 1 FROM merchants WHERE id = %(id)s", {"id": merchant}).fetchone() is not None


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
            "UPDATE endpoints SET url = %(url)s WHERE id ="
            " (SELECT min(id) FROM endpoints WHERE merchant = %(id)s AND removed_at IS NULL)",
            {"id": merchant, "url": url},
        )


def has_endpoint(connection: Connection, merchant: str) -> bool:
    found = run(connection, _HAS_ENDPOINT, {"id": merchant})
    return found.fetchone() is not None


def add_endpoint(connection: Connection, merchant: str, url: str) -> str:
    """Make an endpoint with a lane of its own; return its secret, in the form of Standard Webhooks."""
    _endpoint, secret = endpoints.add(connection, merchant, url)
    return secret
