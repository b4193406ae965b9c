"""The first process that needs the servers starts them, the others join; who started one stops it."""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from adapters.embedded.launching import EmbeddedServersUnavailable, last_words
from adapters.embedded.postgres import Postgres
from adapters.embedded.state import Endpoint, State, claim, lives, locked, path
from adapters.embedded.valkey import Valkey

LAUNCHES: Final = 3  # a port may be taken between our look and the server's
START_SECONDS: Final = 120.0  # after a crash PostgreSQL replays its log first
STOP_SECONDS: Final = 60.0
GLANCE_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are, an empty URL for one that was not asked for; and which of them this call started."""

    database_url: str
    broker_url: str
    started: frozenset[str]


class _Server(Protocol):
    @property
    def home(self) -> Path: ...
    @property
    def log(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def setting(self) -> str: ...
    def endpoint(self, before: Endpoint | None) -> Endpoint: ...
    def url(self, endpoint: Endpoint) -> str: ...
    def prepare(self, endpoint: Endpoint, *, is_known: bool) -> None: ...
    def launch(self, endpoint: Endpoint, claim: int) -> None: ...
    def answers(self, endpoint: Endpoint) -> int | None: ...
    def ask_to_stop(self, endpoint: Endpoint) -> None: ...


def ensure(home: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True) -> Servers:
    """Return servers that answer, starting those that do not run yet.

    `durable` is for those that are started; without it they are quick, and a crash of the machine may cost all data.

    Raises:
        EmbeddedServersUnavailable: this machine cannot run them; its message names the setting to use instead.
    """
    home = home.expanduser().resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise EmbeddedServersUnavailable(f"cannot use {home}: {error}", Postgres.setting) from error
    wanted = {name for name, is_wanted in (("postgres", postgres), ("valkey", valkey)) if is_wanted}
    with locked(home):
        state = State.load(home)
        servers = [server for server in _servers(home, state, durable=durable) if server.name in wanted]
        started: list[_Server] = []
        try:
            for server in servers:
                _bring_up(server, state, started)
        except BaseException:
            # Our caller never learns that it would have to stop them
            for server in started:
                with suppress(EmbeddedServersUnavailable):
                    _take_down(server, state)
            raise
        return _seen(servers, state, started)


def stop(home: Path, which: Collection[str]) -> None:
    """Stop the named servers cleanly and wait until they are gone; one that does not run is no error.

    Raises:
        EmbeddedServersUnavailable: one is still there after a minute.
    """
    home = home.expanduser().resolve()
    if not path(home).exists():
        return
    with locked(home):
        state = State.load(home)
        for server in reversed(_servers(home, state)):
            if server.name in which and lives(home, server.name):
                _take_down(server, state)


def status(home: Path) -> Servers | None:
    """Return what runs now, or None if nothing does."""
    home = home.expanduser().resolve()
    if not path(home).exists():
        return None
    with locked(home):
        state = State.load(home)
        alive = [each for each in _servers(home, state) if each.name in state.endpoints and lives(home, each.name)]
        return _seen(alive, state, ()) if alive else None


def _servers(home: Path, state: State, *, durable: bool = True) -> list[_Server]:
    return [Postgres(home, state.password, durable), Valkey(home, state.password, durable)]


def _seen(servers: Collection[_Server], state: State, started: Collection[_Server]) -> Servers:
    urls = {server.name: server.url(state.endpoints[server.name]) for server in servers}
    return Servers(urls.get("postgres", ""), urls.get("valkey", ""), frozenset(server.name for server in started))


def _bring_up(server: _Server, state: State, started: list[_Server]) -> None:
    """Join the server or launch it, again if it goes before it answers; note in `started` what we launched."""
    deadline = time.monotonic() + START_SECONDS
    for _ in range(LAUNCHES + 1):  # the one more is for a server that is dying as we join it
        if _launch_unless_alive(server, state) and server not in started:
            started.append(server)
        while True:
            if (pid := server.answers(state.endpoints[server.name])) is not None:
                state.endpoints[server.name] = replace(state.endpoints[server.name], pid=pid)
                state.save(server.home)
                return
            if not lives(server.home, server.name):
                break
            if time.monotonic() > deadline:
                raise EmbeddedServersUnavailable(_silence(server), server.setting)
            time.sleep(GLANCE_SECONDS)
    raise EmbeddedServersUnavailable(_silence(server), server.setting)


def _launch_unless_alive(server: _Server, state: State) -> bool:
    before = state.endpoints.get(server.name)
    with claim(server.home, server.name) as right:
        if right is not None:
            endpoint = server.endpoint(before)
            # The state is kept after `prepare` gave the password to the server and before anyone may want to join it
            server.prepare(endpoint, is_known=before is not None)
            state.endpoints[server.name] = endpoint
            state.save(server.home)
            server.launch(endpoint, right)
            return True
    if before is None:
        why = (
            f"a {server.name} runs in {server.home}, but {path(server.home).name} does not say where; end it by its pid"
        )
        raise EmbeddedServersUnavailable(why, server.setting)
    return False


def _take_down(server: _Server, state: State) -> None:
    endpoint = state.endpoints.get(server.name)
    deadline = time.monotonic() + STOP_SECONDS
    while lives(server.home, server.name):
        if endpoint is None or time.monotonic() > deadline:
            raise EmbeddedServersUnavailable(f"{server.name} does not stop, see {server.log}", server.setting)
        server.ask_to_stop(endpoint)
        time.sleep(GLANCE_SECONDS)
    if endpoint is not None:
        state.endpoints[server.name] = replace(endpoint, pid=None)
        state.save(server.home)


def _silence(server: _Server) -> str:
    return f"{server.name} does not answer, {server.log} says: {last_words(server.log)}"
