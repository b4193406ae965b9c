"""The stage of a fault test: its database, its broker, its provider."""

# mypy: allow-untyped-calls

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.connection import Connection
from sqlalchemy import Engine

from adapters.embedded import ensure, stop
from config.messaging import QUEUES
from tests.faults.provider import Simulator
from tests.faults.stage import Stage


@pytest.fixture
def home() -> Iterator[Path]:
    # Short, for sockets lie in it.
    folder = Path(tempfile.mkdtemp(prefix="tu-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def valkey(home: Path) -> Iterator[str]:
    """A Valkey of this test's own, which it may kill."""
    try:
        yield ensure(home / "broker", postgres=False, durable=False).broker_url
    finally:
        stop(home / "broker", ["valkey"])


@pytest.fixture
def rabbitmq(rabbitmq_url: str) -> Iterator[str]:
    _delete_queues(rabbitmq_url)
    yield rabbitmq_url
    _delete_queues(rabbitmq_url)


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def simulator(home: Path) -> Iterator[Simulator]:
    simulator = Simulator(home)
    yield simulator
    simulator.running.end()


@pytest.fixture
def stage(home: Path, database_url: str, engine: Engine, broker_url: str, simulator: Simulator) -> Iterator[Stage]:
    stage = Stage(home, database_url, broker_url, engine, simulator)
    yield stage
    stage.close()


def _delete_queues(url: str) -> None:
    with Connection(url) as connection:
        for queue in QUEUES:
            with connection.channel() as channel:
                channel.queue_delete(queue)
