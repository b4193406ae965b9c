"""Endpoints as operators make, change, switch and try them."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine

from adapters.notifications.addresses import refusal_of
from adapters.notifications.callback import CallbackCalls
from adapters.persistence import endpoints, keys
from adapters.persistence.columns import run, to_json
from domain.model.delivery import Delivery, DeliveryAnswer
from domain.model.event import EventType

TYPES: Final = tuple(EventType)
_MOST_WAITS: Final = 50
_LONGEST_WAIT: Final = 7 * 24 * 3600
_MOST_SECRETS: Final = 2


class UnknownEndpoint(Exception):
    """Nobody has such an endpoint."""

    def __init__(self, endpoint: int) -> None:
        super().__init__(f"there is no endpoint {endpoint}")


class UnusableEndpoint(Exception):
    """What was asked for cannot be used; `field` says what of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEndpoint:
    """A new endpoint; its secret is shown this once."""

    id: int
    secret: str


def add_endpoint(
    engine: Engine, merchant: str, settings: Mapping[str, Any], *, allow_hosts: Collection[str]
) -> MadeEndpoint:
    """Make one more endpoint of a merchant; it hears what happens from now on.

    Raises:
        UnknownMerchant: nobody has this id.
        UnusableEndpoint: a setting cannot be used.
    """
    _check(settings, allow_hosts)
    with engine.begin() as connection:
        keys.lock(connection, merchant)
        made, secret = endpoints.add(connection, merchant, **settings)
    return MadeEndpoint(id=made, secret=secret)


def change_endpoint(
    engine: Engine, endpoint: int, settings: Mapping[str, Any], *, allow_hosts: Collection[str]
) -> None:
    """Change what is named; a filter holds for what happens from now on.

    Raises:
        UnknownEndpoint, UnusableEndpoint: there is none, or a setting cannot be used.
    """
    _check(settings, allow_hosts)
    with engine.begin() as connection:
        _locked(connection, endpoint)
        endpoints.change(connection, endpoint, settings)


def switch_endpoint(engine: Engine, endpoint: int, *, on: bool, actor: str) -> None:
    """Enable an endpoint, so that what waited goes; or disable it, so that everything waits.

    Raises:
        UnknownEndpoint: there is none.
    """
    with engine.begin() as connection:
        found = _locked(connection, endpoint)
        now = run(connection, "SELECT now()").scalar_one()
        if on:
            endpoints.enable(connection, endpoint, actor=actor, now=now)
        else:
            endpoints.disable(connection, found, actor=actor, now=now)


def rotate_secret(engine: Engine, endpoint: int) -> str:
    """Give an endpoint a new secret beside the old one, and return it; every call is signed with both.

    Raises:
        UnknownEndpoint: there is none.
        UnusableEndpoint: two secrets are live already.
    """
    with engine.begin() as connection:
        live = _locked(connection, endpoint)["secrets"]
        if len(live) == _MOST_SECRETS:
            raise UnusableEndpoint("finish", "is needed first: two secrets are live")
        secret = endpoints.new_secret()
        endpoints.keep_secrets(connection, endpoint, [secret, *live])
    return secret


def finish_rotation(engine: Engine, endpoint: int) -> None:
    """Drop the old secret; only the new one signs from now on.

    Raises:
        UnknownEndpoint: there is none.
        UnusableEndpoint: only one secret is live.
    """
    with engine.begin() as connection:
        live = _locked(connection, endpoint)["secrets"]
        if len(live) < _MOST_SECRETS:
            raise UnusableEndpoint("finish", "only one secret is live")
        endpoints.keep_secrets(connection, endpoint, live[:1])


def try_endpoint(engine: Engine, endpoint: int, *, allow_hosts: Collection[str], seconds: float) -> DeliveryAnswer:
    """Send a test event to an endpoint at once, and return what came back. It is kept nowhere.

    Raises:
        UnknownEndpoint: there is none.
    """
    with engine.begin() as connection:
        found = _locked(connection, endpoint)
    calls = CallbackCalls(allow_hosts=frozenset(host.lower() for host in allow_hosts), timeout_seconds=seconds)
    calls.deliver(_test_of(found))
    try:
        [(_, answer)] = calls.collect(2 * seconds)
    finally:
        calls.close()
    return answer


def _test_of(endpoint: Mapping[str, Any]) -> Delivery:
    name = f"evt_test_{secrets.token_hex(8)}"
    now = datetime.now(UTC)  # nothing is decided by it: it is what is signed
    told = {"event": name, "merchant": endpoint["merchant"], "endpoint": endpoint["id"]}
    body = to_json({"type": "endpoint.test", "timestamp": now, "data": told}).encode()
    return Delivery(
        stream=0, lane=0, event=name, url=endpoint["url"], secrets=tuple(endpoint["secrets"]), body=body, at=now
    )


def _locked(connection: Connection, endpoint: int) -> Mapping[str, Any]:
    found = endpoints.lock(connection, endpoint)
    if found is None:
        raise UnknownEndpoint(endpoint)
    return found


def _check(settings: Mapping[str, Any], allow_hosts: Collection[str]) -> None:
    if "url" in settings:
        why = refusal_of(settings["url"], frozenset(host.lower() for host in allow_hosts))
        if why is not None:
            raise UnusableEndpoint("url", why)
    _check_types(settings.get("types"))
    _check_waits(settings.get("waits"))


def _check_types(types: Sequence[str] | None) -> None:
    unknown = [name for name in types or () if name not in TYPES]
    if unknown:
        raise UnusableEndpoint("type", f"{unknown[0]!r} is none of {', '.join(TYPES)}")
    if types is not None and not types:
        raise UnusableEndpoint("type", "names no type")


def _check_waits(waits: Sequence[int] | None) -> None:
    if waits is None:
        return
    if not 1 <= len(waits) <= _MOST_WAITS:
        raise UnusableEndpoint("waits", f"are 1 to {_MOST_WAITS}")
    if any(not 0 < wait <= _LONGEST_WAIT for wait in waits):
        raise UnusableEndpoint("waits", f"each is 1 to {_LONGEST_WAIT} seconds")
