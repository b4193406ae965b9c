"""What the demo runs on: servers of its own, a simulator, a receiver, and Trueup's processes."""

import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from adapters import embedded
from adapters.cli import programs
from adapters.cli.alone import alone
from adapters.cli.demo.remote import Receiver, Simulator
from adapters.cli.demo.scenario import CHECKED, MERCHANTS
from adapters.cli.servers import Reached, engine_of, reach
from adapters.cli.supervisor import Supervisor
from adapters.persistence import merchants
from adapters.persistence.migrate import upgrade
from config.settings import load

PROVIDERS: Final = Path(__file__).with_name("providers.toml")
_PLACEHOLDER: Final = "http://127.0.0.1:1/"
_SERVERS: Final = ("postgres", "valkey")
# Durations only: a real run has a second and half a minute.
_SETTINGS: Final[Mapping[str, str]] = {
    "TRUEUP_SWEEP_SECONDS": "0.5",
    "TRUEUP_LEASE_SECONDS": "8",
    "TRUEUP_CALLBACK_SECONDS": "5",
    "TRUEUP_CALLBACK_ALLOW_HOSTS": "127.0.0.1",
}
_BOOT_SECONDS: Final = 20.0
_GLANCE_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 8.0


@dataclass(slots=True, kw_only=True)
class Stage:
    home: Path
    broker_url: str
    flower: str
    engine: Engine
    simulator: Simulator
    receiver: Receiver
    supervisor: Supervisor


@contextmanager
def stage(*, seed: int) -> Iterator[Stage]:
    """Yield all of it, fresh; every process that was started ends with the context.

    Raises:
        Refused: another demo runs in the same home.
    """
    home = load().home / "demo"
    flower = f"127.0.0.1:{_free_port()}"
    listening = {"TRUEUP_FLOWER_ADDRESS": flower, "TRUEUP_HTTP_ADDRESS": f"127.0.0.1:{_free_port()}"}
    own = {**_SETTINGS, "TRUEUP_HOME": str(home), **listening}
    with alone(home.with_name("demo.lock"), "demo"), _environment(own):
        embedded.stop(home, _SERVERS)  # those of a demo that was killed
        shutil.rmtree(home, ignore_errors=True)
        with reach(load()) as reached:
            supervisor = Supervisor(logs=home / "logs", say=lambda _: None)
            engine = engine_of(reached)
            try:
                yield _build(reached, home, supervisor, engine, seed=seed, flower=flower)
            finally:
                supervisor.stop_all(grace=_GRACE_SECONDS)
                engine.dispose()


def _build(reached: Reached, home: Path, supervisor: Supervisor, engine: Engine, *, seed: int, flower: str) -> Stage:
    upgrade(engine)
    python = [sys.executable, "-m"]
    supervisor.start("simulator", [*python, "adapters.simulator", f"--seed={seed}"], os.environ)
    supervisor.start("receiver", [*python, "adapters.cli.demo.receiver", f"--seed={seed}"], os.environ)
    simulator = Simulator(_port_of(home, "simulator"))
    receiver = Receiver(_port_of(home, "receiver"))
    receiver.set_secrets(_make_merchants(engine, receiver.port))
    os.environ["TRUEUP_PROVIDERS"] = str(_write_providers(home, simulator.port))
    for program in programs.everything(reached):
        supervisor.start(program.name, program.argv, program.env)
    broker = reached.settings.broker_url
    assert broker is not None
    return Stage(
        home=home,
        broker_url=broker.get_secret_value(),
        flower=flower,
        engine=engine,
        simulator=simulator,
        receiver=receiver,
        supervisor=supervisor,
    )


def _write_providers(home: Path, port: int) -> Path:
    """Write the checked-in file with the simulator's port, and nothing else changed."""
    target = home / "providers.toml"
    target.write_text(PROVIDERS.read_text().replace(_PLACEHOLDER, f"http://127.0.0.1:{port}/"))
    return target


def _make_merchants(engine: Engine, port: int) -> Mapping[str, str]:
    """Make the merchants as `trueup merchant add` does; return {merchant: callback secret}."""
    secrets = {}
    with engine.begin() as connection:
        for merchant, given in {**MERCHANTS, **CHECKED}.items():
            settings = {**given, "email": f"orders@{merchant}.example"}
            if "tolerance" in settings:
                settings["tolerance"] = Decimal(settings["tolerance"])
            url = f"http://127.0.0.1:{port}/callbacks/{merchant}"
            _, secrets[merchant] = merchants.add(connection, merchant, settings, url=url)
    return secrets


def _port_of(home: Path, name: str) -> int:
    """Return the port that the program prints once it accepts.

    Raises:
        RuntimeError: it says nothing in time.
    """
    log = home / "logs" / f"{name}.log"
    end = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < end:
        found = re.search(r"listening on http://[^:]+:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(_GLANCE_SECONDS)
    raise RuntimeError(f"{name} did not start: {log.read_text()[-500:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _environment(own: Mapping[str, str]) -> Iterator[None]:
    """Put our settings in place of whatever was set: the demo touches nobody's database."""
    before = {name: os.environ.pop(name) for name in _ours(os.environ)}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in _ours(os.environ):
            del os.environ[name]
        os.environ.update(before)


def _ours(names: Mapping[str, str]) -> Sequence[str]:
    return [name for name in names if name.upper().startswith("TRUEUP_")]
