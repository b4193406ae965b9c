"""What every route needs: the application, whose key it is that calls, and what of it is theirs."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection, Engine
from standardwebhooks import Webhook
from starlette.requests import Request

from adapters.bootstrap import Application
from adapters.http.problems import FORBIDDEN, NOT_FOUND, TOO_MANY, UNAUTHENTICATED, Problem, invalid, wrong
from adapters.messages.fields import Identifier
from adapters.persistence import keys, merchants
from adapters.persistence.keys import Budget
from config.errors import UnusableSettings
from config.providers import ProviderSettings

# Who uses the key of the settings: it stands in the history.
ADMIN: Final = "admin"
_LONGEST_KEY: Final = 512

_BEARER: Final = HTTPBearer(
    scheme_name="key",
    description="A merchant's key or an operator's, as `Authorization: Bearer KEY`.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a process of ours works with. `webhooks` is {provider: how its events are signed, None for not at all}."""

    application: Application
    admin_key: str = field(repr=False)
    budget: Budget
    webhooks: Mapping[str, Webhook | None]

    @property
    def engine(self) -> Engine:
        return self.application.engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection
            connection.commit()  # of nothing: what is rolled back costs a connection the plans that it has prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: a merchant by one of their keys, or an operator."""

    key: int
    merchant: str | None
    operator: str | None

    @property
    def actor(self) -> str:
        return f"merchant:{self.key}" if self.operator is None else f"operator:{self.operator}"

    @property
    def owner(self) -> str:
        """Whose `Idempotency-Key` it is: all keys of a merchant share them."""
        return f"merchant:{self.merchant}" if self.operator is None else f"operator:{self.operator}"


def webhook_of(provider: str, settings: ProviderSettings) -> Webhook | None:
    """Return what checks the signatures of a provider's events.

    Raises:
        UnusableSettings: its secret is no secret of Standard Webhooks.
    """
    if settings.events_secret is None:
        return None
    secret = settings.events_secret.get_secret_value()
    try:
        base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
        return Webhook(secret)
    except (binascii.Error, ValueError, RuntimeError):
        raise UnusableSettings(
            f"TRUEUP_PROVIDERS: providers.{provider}.events_secret: is no secret of Standard Webhooks, like whsec_..."
        ) from None


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


Here = Annotated[Desk, Depends(desk_of)]


def caller_of(desk: Here, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]) -> Caller:
    """Say who calls, and spend one request of their budget."""
    if given is None or len(given.credentials) > _LONGEST_KEY:
        raise _unknown_key()
    with desk.engine.begin() as connection:
        found = keys.identify(connection, given.credentials, desk.budget, admin=(ADMIN, desk.admin_key))
    if found is None:
        raise _unknown_key()
    if found.wait_seconds:
        wait = int(found.wait_seconds) + 1
        raise Problem(TOO_MANY, f"Wait {wait} seconds.", headers={"Retry-After": str(wait)})
    return Caller(key=found.id, merchant=found.merchant, operator=found.operator)


def _unknown_key() -> Problem:
    return wrong(
        UNAUTHENTICATED,
        "Authorization",
        "should be: Bearer KEY, with a live key",
        headers={"WWW-Authenticate": "Bearer"},
    )


Anybody = Annotated[Caller, Depends(caller_of)]


def operator_of(caller: Anybody) -> Caller:
    """Let only operators in."""
    if caller.operator is None:
        raise wrong(FORBIDDEN, "Authorization", "should be an operator's key, and is a merchant's")
    return caller


Operator = Annotated[Caller, Depends(operator_of)]


def scope_of(
    desk: Here,
    caller: Anybody,
    merchant: Annotated[
        Identifier | None, Query(description="Whose. An operator names it; a merchant's key has its own.")
    ] = None,
) -> str | None:
    """Return whose things may be seen: a merchant's key sees its own, an operator those named, or all.

    That the key names no other merchant has been checked for every route (`parameters.check_caller`).

    Raises:
        Problem: an operator names a merchant that is none.
    """
    if caller.merchant is not None:
        return caller.merchant
    if merchant is not None:
        with desk.reading() as connection:
            if not merchants.exists(connection, merchant):
                raise wrong(NOT_FOUND, "merchant", f"no merchant is called {merchant!r}")
    return merchant


Scope = Annotated[str | None, Depends(scope_of)]


def merchant_of(scope: Scope) -> str:
    """Return whose thing it is, where one merchant has to be known."""
    if scope is None:
        raise invalid("merchant", "is required of operators")
    return scope


Merchant = Annotated[str, Depends(merchant_of)]
