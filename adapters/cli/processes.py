"""`trueup up`, `worker`, `beat`, `api`, `flower`, `drain` and `simulator`: what runs until it is asked to end."""

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from sqlalchemy.exc import InterfaceError, OperationalError

from adapters.cli import programs
from adapters.cli.alone import alone
from adapters.cli.output import Refused, complain, say
from adapters.cli.programs import Program
from adapters.cli.servers import Reached, engine_of, reach
from adapters.cli.supervisor import Supervisor, spawn
from adapters.persistence.migrate import upgrade
from config.kept import ADMIN_KEY
from config.messaging import QUEUES
from config.settings import Settings, load
from config.urls import Address, without_secrets
from domain.ports.persistence import StoreUnavailable

_GLANCE_SECONDS: Final = 0.2
_LOOK_AFTER_SERVERS_SECONDS: Final = 5.0
_KILLED: Final = 128
_SETTING_OF: Final = {"api": "TRUEUP_HTTP_ADDRESS", "flower": "TRUEUP_FLOWER_ADDRESS"}


class Stop:
    """Set by SIGINT or SIGTERM; the second one says that there is no time."""

    def __init__(self) -> None:
        self._asked = Event()
        self._asked_again = Event()

    def ask(self, *_: object) -> None:
        (self._asked_again if self._asked.is_set() else self._asked).set()

    def wait(self, seconds: float) -> bool:
        return self._asked.wait(seconds)

    @property
    def is_urgent(self) -> bool:
        return self._asked_again.is_set()


@contextmanager
def stopping() -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM set, in place of the end that they would bring."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def up() -> None:
    """Run all processes on this machine, in the foreground."""
    settings = _usable()
    with alone(settings.home / "up.lock", "up"), stopping() as stop, reach(settings) as reached:
        _migrate(reached)
        logs = settings.home / "logs" if reached.is_embedded else None
        supervisor = Supervisor(logs=logs, say=say)
        try:
            listening = {"api": settings.http_address, "flower": settings.flower_address}
            for program in programs.everything(reached):
                address = listening.get(program.name)
                if address is not None and _is_taken(address):
                    say(f"{_SETTING_OF[program.name]}: {address} is taken by another program; no {program.name} then")
                else:
                    supervisor.start(program.name, program.argv, program.env)
            _announce(reached)
            _tend(supervisor, reached, stop)
        finally:
            say("stopping; once more to stop at once")
            supervisor.stop_all(grace=programs.patience(settings), hurry=lambda: stop.is_urgent)


def _is_taken(address: Address) -> bool:
    """Whether somebody listens there already, so that Flower would only fail and fail again."""
    with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def worker(
    queues: Annotated[str, typer.Option(help="The queues to read, separated by commas.")] = ",".join(QUEUES),
    concurrency: Annotated[int | None, typer.Option(min=1, max=64, help="How many tasks at once.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is called before its host's name.")] = None,
) -> None:
    """Run one worker."""
    chosen = [queue.strip() for queue in queues.split(",")]
    unknown = [queue for queue in chosen if queue not in QUEUES]
    if unknown:
        raise Refused(f"--queues: no queue is called {unknown[0]!r}; there are {', '.join(QUEUES)}")
    called = name or f"{'all' if set(chosen) == set(QUEUES) else '-'.join(chosen)}-{os.getpid()}"
    _run(lambda reached: programs.worker(reached, called, chosen, concurrency=concurrency))


def beat() -> None:
    """Run the process that ticks; any number of them may run."""
    _run(programs.beat)


def api() -> None:
    """Run HTTP for merchants and operators; any number of them may run."""
    settings = _usable()
    say(f"api: http://{settings.http_address}, {_admin_key(settings)}")
    _run(programs.api)


def flower() -> None:
    """Run Flower, for operators; its password lies in TRUEUP_HOME."""
    settings = _usable()
    say(f"flower: http://{settings.flower_address}, {_login(settings.home)}")
    _run(programs.flower)


def simulator(
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same faults.")] = 0,
) -> None:
    """Run the simulated provider by itself."""
    argv = [sys.executable, "-m", "adapters.simulator", f"--host={host}", f"--port={port}", f"--seed={seed}"]
    raise typer.Exit(_attend(Program("simulator", argv, os.environ)))


def drain(
    loop: Annotated[bool, typer.Option("--loop", help="Go on until stopped.")] = False,
    queue: Annotated[str | None, typer.Option(help="Only what is due of this queue's kinds of work.")] = None,
) -> None:
    """Do what is due, without a broker."""
    # Opened late: no other command needs the providers and their transport.
    from adapters.bootstrap import open_application  # noqa: PLC0415

    settings = _usable()
    with stopping() as stop, reach(settings) as reached:
        application = open_application(reached.settings, role="trueup-drain")
        try:
            if not loop:
                say(f"{application.drain(queue)} rows")
            while loop and not stop.wait(0):
                if not _drained(partial(application.drain, queue, budget=settings.drain_seconds), reached):
                    stop.wait(settings.sweep_seconds)
        finally:
            application.close()


def _drained(drain_once: Callable[[], int], reached: Reached) -> int:
    """Do what is due; a database that is away for a while is told of and tried again, for nobody else may be there."""
    try:
        return drain_once()
    except (StoreUnavailable, OperationalError, InterfaceError) as error:
        complain(f"the database does not answer, and is tried again: {str(error).splitlines()[0]}")
        reached.keep_up()
        return 0


def _migrate(reached: Reached) -> None:
    engine = engine_of(reached)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def _announce(reached: Reached) -> None:
    settings = reached.settings
    say(f"up: workers {', '.join(programs.WORKERS)}, beat, api and flower")
    say(f"api: http://{settings.http_address}, {_admin_key(settings)}")
    say(f"flower: http://{settings.flower_address}, {_login(settings.home)}")
    say(f"producers connect to {_shown(settings.broker_url)}")
    if reached.is_embedded:
        say(f"database: {_shown(settings.database_url)}; with passwords: trueup config --show-secrets")
        say(f"home: {settings.home}, logs in {settings.home / 'logs'}")


def _shown(url: SecretStr | None) -> str:
    return "" if url is None else without_secrets(url.get_secret_value())


def _admin_key(settings: Settings) -> str:
    kept = settings.home / ADMIN_KEY
    return f"operator's key {'of TRUEUP_ADMIN_KEY' if settings.admin_key is not None else f'in {kept}'}"


def _login(home: object) -> str:
    return f"user {programs.FLOWER_USER}, password in {home}/flower.password"


def _tend(supervisor: Supervisor, reached: Reached, stop: Stop) -> None:
    looked = time.monotonic()
    while not stop.wait(_GLANCE_SECONDS):
        supervisor.tend()
        if time.monotonic() - looked > _LOOK_AFTER_SERVERS_SECONDS:
            reached.keep_up()
            looked = time.monotonic()


def _run(program: Callable[[Reached], Program]) -> None:
    with reach(_usable()) as reached:
        status = _attend(program(reached))
    raise typer.Exit(status)


def _usable() -> Settings:
    """Return the settings, with a look at what is read later: here is the one who can be told what is wrong."""
    settings = load()
    programs.patience(settings)
    return settings


def _attend(program: Program) -> int:
    """Run a program as if it were this one: signals go on to it, and its status is ours."""
    process = spawn(program.argv, program.env)
    before = {
        number: signal.signal(number, lambda sent, _frame: process.send_signal(sent))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else _KILLED - status
