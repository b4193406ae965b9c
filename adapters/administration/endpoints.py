"""Endpoints as merchants and operators make, change, switch and try them."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Engine

from adapters.administration.acting import Person, acting
from adapters.administration.merchants import Unusable
from adapters.messages.reasons import field_errors
from adapters.notifications.addresses import refusal_of
from adapters.notifications.callback import CallbackCalls
from adapters.persistence import endpoints, keys
from adapters.persistence.columns import run, to_json
from domain.model.command import FieldError
from domain.model.delivery import Delivery, DeliveryAnswer
from domain.model.event import EventType

TYPES: Final = tuple(EventType)
_MOST_WAITS: Final = 50
_LONGEST_WAIT: Final = 7 * 24 * 3600
_MOST_SECRETS: Final = 2

Types = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(min_length=1, description="Only events of these types."),
]
Waits = Annotated[
    list[Annotated[int, Field(ge=1, le=_LONGEST_WAIT)]],
    Field(min_length=1, max_length=_MOST_WAITS, description="Seconds between tries; then an event is given up."),
]


class UnknownEndpoint(Exception):
    """Nobody who may see it has such an endpoint."""

    def __init__(self, endpoint: int) -> None:
        super().__init__(f"there is no endpoint {endpoint}")


class SecretsStand(Exception):
    """The live secrets do not allow it."""


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    types: Types | None = None
    waits: Waits | None = None


class NewEndpoint(_Settings):
    """Where callbacks go: https and public, an address of its own. Without `types` it hears of everything."""

    url: str


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class EndpointChange(_Settings):
    """What is named is changed; `types` that are null are all of them, `waits` that are null the usual ones."""

    url: str = Field(default="", json_schema_extra=_without_default)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEndpoint:
    """A new endpoint; its secret is shown this once."""

    id: int
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What it takes to work with endpoints. With `merchant` all others' are unknown."""

    engine: Engine
    person: Person
    allow_hosts: Collection[str]
    merchant: str | None = None

    def add(self, merchant: str, fields: Mapping[str, object]) -> MadeEndpoint:
        """Make one more endpoint of a merchant; it hears what happens from now on.

        Raises:
            UnknownMerchant: nobody has this id.
            Unusable: a field cannot be used.
        """
        settings = self._checked(NewEndpoint, fields)
        with acting(self.engine, self.person) as connection:
            keys.lock(connection, merchant)
            made, secret = endpoints.add(connection, merchant, **settings)
            self._note(connection, made, "added", settings)
        return MadeEndpoint(id=made, secret=secret)

    def change(self, endpoint: int, fields: Mapping[str, object]) -> None:
        """Change what is named; a filter holds for what happens from now on.

        Raises:
            UnknownEndpoint, Unusable: there is none, or a field cannot be used.
        """
        settings = self._checked(EndpointChange, fields)
        with acting(self.engine, self.person) as connection:
            before = self._locked(connection, endpoint)
            changed = {name: value for name, value in settings.items() if value != before[name]}
            if changed:
                endpoints.change(connection, endpoint, changed)
                self._note(connection, endpoint, "changed", changed, {name: before[name] for name in changed})

    def switch(self, endpoint: int, *, on: bool) -> None:
        """Enable an endpoint, so that what waited goes; or disable it, so that everything waits.

        Raises:
            UnknownEndpoint: there is none.
        """
        with acting(self.engine, self.person) as connection:
            found = self._locked(connection, endpoint)
            now = run(connection, "SELECT now()").scalar_one()
            if on:
                endpoints.enable(connection, endpoint, actor=self.person.actor, now=now)
            else:
                endpoints.disable(connection, found, actor=self.person.actor, now=now)

    def remove(self, endpoint: int) -> None:
        """Send nothing there any more, not even what waits; what was tried stays on record.

        Raises:
            UnknownEndpoint: there is none.
        """
        with acting(self.engine, self.person) as connection:
            self._check_there(connection, endpoint)
            endpoints.drop_due(connection, endpoint)  # due work first, as waves lock it
            self._locked(connection, endpoint)
            now = run(connection, "SELECT now()").scalar_one()
            endpoints.remove(connection, endpoint, actor=self.person.actor, now=now)
            self._note(connection, endpoint, "removed", {})

    def rotate(self, endpoint: int) -> str:
        """Give an endpoint a new secret beside the old one, and return it; every call is signed with both.

        Raises:
            UnknownEndpoint: there is none.
            SecretsStand: two secrets are live already.
        """
        with acting(self.engine, self.person) as connection:
            live = self._locked(connection, endpoint)["secrets"]
            if len(live) == _MOST_SECRETS:
                raise SecretsStand("two secrets are live: finish that rotation first")
            secret = endpoints.new_secret()
            endpoints.keep_secrets(connection, endpoint, [secret, *live])
            self._note(connection, endpoint, "rotated", {})
        return secret

    def finish(self, endpoint: int) -> None:
        """Drop the old secret; only the new one signs from now on.

        Raises:
            UnknownEndpoint: there is none.
            SecretsStand: only one secret is live.
        """
        with acting(self.engine, self.person) as connection:
            live = self._locked(connection, endpoint)["secrets"]
            if len(live) < _MOST_SECRETS:
                raise SecretsStand("only one secret is live: there is no rotation to finish")
            endpoints.keep_secrets(connection, endpoint, live[:1])
            self._note(connection, endpoint, "finished", {})

    def test(self, endpoint: int, *, seconds: float) -> DeliveryAnswer:
        """Send a test event to an endpoint at once, and return what came back within `seconds`.

        Raises:
            UnknownEndpoint: there is none.
        """
        with acting(self.engine, self.person) as connection:
            found = self._locked(connection, endpoint)
        calls = CallbackCalls(allow_hosts=self._trusted(), timeout_seconds=seconds)
        calls.deliver(_test_of(found))
        try:
            [(_, answer)] = calls.collect(2 * seconds)
        finally:
            calls.close()
        with acting(self.engine, self.person) as connection:
            result = {"delivered": answer.delivered, "status": answer.status, "why": answer.why}
            self._note(connection, endpoint, "tested", result)
        return answer

    def _check_there(self, connection: Connection, endpoint: int) -> None:
        if not endpoints.listed(connection, merchant=self.merchant, endpoint=endpoint):
            raise UnknownEndpoint(endpoint)

    def _locked(self, connection: Connection, endpoint: int) -> Mapping[str, Any]:
        found = endpoints.lock(connection, endpoint)
        if found is None or self.merchant not in (None, found["merchant"]):
            raise UnknownEndpoint(endpoint)
        return found

    def _note(
        self,
        connection: Connection,
        endpoint: int,
        step: str,
        after: Mapping[str, Any],
        before: Mapping[str, Any] | None = None,
    ) -> None:
        details = {**after, **({"before": before} if before else {})}
        endpoints.keep_step(connection, endpoint, step, actor=self.person.actor, details=details)

    def _checked(self, model: type["_T"], fields: Mapping[str, object]) -> dict[str, Any]:
        try:
            settings = model.model_validate(dict(fields)).model_dump(mode="json", exclude_unset=True)
        except ValidationError as error:
            raise Unusable(*field_errors(error, model=model)) from None
        why = refusal_of(settings["url"], self._trusted()) if "url" in settings else None
        if why is not None:
            raise Unusable(FieldError(field="url", reason=why))
        return settings

    def _trusted(self) -> frozenset[str]:
        return frozenset(host.lower() for host in self.allow_hosts)


_T = TypeVar("_T", bound=_Settings)


def _test_of(endpoint: Mapping[str, Any]) -> Delivery:
    name = f"evt_test_{secrets.token_hex(8)}"
    now = datetime.now(UTC)  # nothing is decided by it: it is what is signed
    told = {"event": name, "merchant": endpoint["merchant"], "endpoint": endpoint["id"]}
    body = to_json({"type": "endpoint.test", "timestamp": now, "data": told}).encode()
    return Delivery(
        stream=0, lane=0, event=name, url=endpoint["url"], secrets=tuple(endpoint["secrets"]), body=body, at=now
    )
