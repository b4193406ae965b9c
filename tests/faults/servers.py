"""Servers of a test's own: killed as a machine that fails kills them, and started again at the same address."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis
from sqlalchemy import Engine

from adapters.embedded import ensure, stop
from adapters.persistence.database import connect
from adapters.persistence.migrate import upgrade
from tests.faults.processes import is_alive, is_stopped, until
from tests.servers import _node_environment, _wait_for, end_group, free_ports


class Broker(Protocol):
    @property
    def url(self) -> str: ...

    def kill(self) -> None:
        """End it without a warning."""

    def start(self) -> None:
        """Start it with nothing in it, where it was before."""

    def close(self) -> None: ...


class OwnValkey:
    def __init__(self, home: Path) -> None:
        self.home = home / "broker"
        self.url = ""
        self._frozen = 0
        self.start()

    def start(self) -> None:
        url = ensure(self.home, postgres=False, durable=False).broker_url
        assert url == (self.url or url), "somebody took its port"
        self.url = url

    def kill(self) -> None:
        _end(self._pid(), signal.SIGKILL)

    def freeze(self) -> None:
        """Keep it from answering, with every connection open."""
        self._frozen = self._pid()
        os.kill(self._frozen, signal.SIGSTOP)
        until(lambda: is_stopped(self._frozen), lambda: f"{self._frozen} does not stop")

    def thaw(self) -> None:
        if self._frozen:
            os.kill(self._frozen, signal.SIGCONT)

    def close(self) -> None:
        stop(self.home, ["valkey"])

    def _pid(self) -> int:
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("server")["process_id"])


class OwnRabbitmq:
    def __init__(self, home: Path, program: str) -> None:
        self.folder = home / "rabbitmq"
        self.folder.mkdir()
        self.program = program
        port, distribution, self.epmd = free_ports(3)
        self.environment = _node_environment(self.folder, port=port, distribution=distribution, epmd=self.epmd)
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        self.start()

    def start(self) -> None:
        log = self.folder / "rabbitmq.log"
        with log.open("wb") as lines:
            self.node = subprocess.Popen(
                [self.program],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_for(self.url, self.node, log)

    def kill(self) -> None:
        end_group(self.node, first=signal.SIGKILL)
        shutil.rmtree(self.folder / "mnesia")

    def close(self) -> None:
        end_group(self.node, first=signal.SIGKILL)
        # The name server was started for this node, on a port of its own.
        subprocess.run(["epmd", "-port", str(self.epmd), "-kill"], check=False, capture_output=True)


class OwnPostgres:
    """Durable, for what it has committed must be there after it was stopped without a word to its clients."""

    def __init__(self, home: Path) -> None:
        self.home = home / "database"
        self.url = ""
        self.start()

    def start(self) -> None:
        self.url = ensure(self.home, valkey=False).database_url

    def stop_immediately(self) -> None:
        _end(int((self.home / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)

    def close(self) -> None:
        stop(self.home, ["postgres"])


class OnItsOwnDatabase:
    """For a test that stops its database: the stage's is one of its own."""

    @pytest.fixture
    def database(self, home: Path) -> Iterator[OwnPostgres]:
        database = OwnPostgres(home)
        yield database
        database.close()

    @pytest.fixture
    def database_url(self, database: OwnPostgres) -> str:
        return database.url

    @pytest.fixture
    def engine(self, database_url: str) -> Iterator[Engine]:
        opened = connect(database_url, role="trueup-tests")
        upgrade(opened)
        yield opened
        opened.dispose()


def _end(pid: int, sent: signal.Signals) -> None:
    os.kill(pid, sent)
    until(lambda: not is_alive(pid), lambda: f"{pid} does not end")
