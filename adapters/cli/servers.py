"""The database and the broker that a command needs: those of the settings, else the embedded ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import Engine

from adapters import embedded
from adapters.persistence.database import connect
from config.settings import PREFIX, Settings, load


@dataclass(frozen=True, slots=True)
class Reached:
    """Settings in which every URL stands that was asked for, and what the embedded servers add to an environment."""

    settings: Settings
    environment: dict[str, str]
    wanted: dict[str, bool]

    @property
    def is_embedded(self) -> bool:
        return any(self.wanted.values())

    def keep_up(self) -> None:
        """Start the embedded servers again where somebody stopped them under us."""
        if self.is_embedded:
            embedded.ensure(self.settings.home, **self.wanted)


@contextmanager
def reach(settings: Settings, *, broker: bool = True) -> Iterator[Reached]:
    """Yield servers that answer; those that this call had to start are stopped again."""
    wanted = {"postgres": settings.database_url is None, "valkey": broker and settings.broker_url is None}
    if not any(wanted.values()):
        yield Reached(settings, {}, wanted)
        return
    found = embedded.ensure(settings.home, **wanted)
    try:
        urls = {"database_url": found.database_url, "broker_url": found.broker_url}
        given = {field: url for field, url in urls.items() if url}
        secrets = {field: SecretStr(url) for field, url in given.items()}
        environment = {f"TRUEUP_{field.upper()}": url for field, url in given.items()}
        yield Reached(settings.model_copy(update=secrets), environment, wanted)
    finally:
        embedded.stop(settings.home, found.started)


def running(settings: Settings) -> tuple[Settings, frozenset[str]]:
    """Return the settings with the URLs of embedded servers that run now, and which variables these stand for."""
    found = embedded.status(settings.home)
    urls = {} if found is None else {"database_url": found.database_url, "broker_url": found.broker_url}
    given = {field: SecretStr(url) for field, url in urls.items() if url and getattr(settings, field) is None}
    return settings.model_copy(update=given), frozenset(f"{PREFIX}{field}".upper() for field in given)


@contextmanager
def database(settings: Settings | None = None) -> Iterator[Engine]:
    """Yield the database of the settings."""
    with reach(settings or load(), broker=False) as reached:
        engine = engine_of(reached)
        try:
            yield engine
        finally:
            engine.dispose()


def engine_of(reached: Reached) -> Engine:
    url = reached.settings.database_url
    assert url is not None
    return connect(url.get_secret_value(), role="trueup-cli")
