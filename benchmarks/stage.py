"""What every case stands on: servers of its own, an application, and the CPU time of each."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from adapters.bootstrap import Application, open_application
from adapters.embedded import Servers, ensure, stop
from adapters.persistence import migrate
from adapters.persistence.columns import run
from benchmarks.fleet import cpu_of, server
from config.logging import configure
from config.settings import load

PROVIDERS = """
[providers.bench]
adapter = "rest"
base_url = "http://127.0.0.1:{port}"
timeout_seconds = 10
requests_per_second = 100000
concurrency = {concurrency}
bulk = {bulk}
[providers.bench.cadence]
stages = [[3600, 1000]]
[providers.bulk]
adapter = "rest"
base_url = "http://127.0.0.1:{port}"
timeout_seconds = 10
requests_per_second = 100000
concurrency = 16
[providers.bulk.cadence]
stages = [[3600, 1000]]
"""


@dataclass(frozen=True, slots=True)
class Provider:
    port: int
    process: psutil.Process


@dataclass
class Stage:
    home: Path
    application: Application
    postgres: psutil.Process
    broker: psutil.Process
    broker_url: str
    database_url: str

    @property
    def servers(self) -> Mapping[str, psutil.Process]:
        """What a fleet stands on, to be counted beside its own processes."""
        return {"postgres": self.postgres, "broker": self.broker}

    @property
    def plain_env(self) -> Mapping[str, str]:
        """What the usual thing needs to stand on the same servers."""
        return {"PLAIN_DATABASE": self.database_url, "PLAIN_BROKER": self.broker_url}

    def cpu_here(self) -> float:
        """CPU seconds of this process so far."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def cpu_of_postgres(self) -> float:
        """CPU seconds of the server and all its processes so far."""
        return cpu_of(self.postgres)

    def measure(self, queue: str, rows: int) -> dict[str, float]:
        """Drain a queue in which so many rows are due; return rows a second, and the CPU of each in microseconds."""
        here, there, began = self.cpu_here(), self.cpu_of_postgres(), time.perf_counter()
        done = self.application.drain(queue, budget=120)
        seconds = time.perf_counter() - began
        worker, postgres = self.cpu_here() - here, self.cpu_of_postgres() - there
        assert done == rows, done
        return {
            "a_second": done / seconds,
            "worker_us": worker / done * 1e6,
            "postgres_us": postgres / done * 1e6,
            "cpu_us": (worker + postgres) / done * 1e6,
        }

    def run(self, statement: str, **parameters: object) -> list[tuple[object, ...]]:
        """Run a statement of the benchmark's own, which may take longer than one of Trueup's."""
        with self.application.engine.begin() as connection:
            run(connection, "SET LOCAL statement_timeout = 0")
            result = run(connection, statement, parameters)
            return [tuple(row) for row in result] if result.returns_rows else []


@contextmanager
def provider(latency: float) -> Iterator[Provider]:
    """Run the provider."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.provider", str(latency)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield Provider(int(process.stdout.readline()), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def stage(*, port: int = 1, concurrency: int = 256, bulk: bool = False) -> Iterator[Stage]:
    """Start fresh servers, durable as they are for a first look, and open an application on them."""
    with tempfile.TemporaryDirectory(prefix="tub") as folder:
        home = Path(folder)
        (home / "providers.toml").write_text(
            PROVIDERS.format(port=port, concurrency=concurrency, bulk=str(bulk).lower())
        )
        servers = ensure(home)
        try:
            with _opened(home, servers) as application:
                migrate.upgrade(application.engine)
                pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
                on = Stage(
                    home,
                    application,
                    _postmaster(pid, home),
                    server("valkey-server", f":{urlsplit(servers.broker_url).port}"),
                    servers.broker_url,
                    servers.database_url,
                )
                on.run("INSERT INTO merchants (id, name) VALUES ('shop', 'Shop')")
                yield on
        finally:
            stop(home, servers.started)


@contextmanager
def _opened(home: Path, servers: Servers) -> Iterator[Application]:
    os.environ |= {
        "TRUEUP_HOME": str(home),
        "TRUEUP_DATABASE_URL": servers.database_url,
        "TRUEUP_BROKER_URL": servers.broker_url,
        "TRUEUP_PROVIDERS": str(home / "providers.toml"),
        "TRUEUP_LOG_LEVEL": "WARNING",
    }
    configure("WARNING")
    application = open_application(load())
    try:
        yield application
    finally:
        application.close()


def _postmaster(pid: int, home: Path) -> psutil.Process:
    """The server may count its own processes from one, so its pid is looked up by what it was started with."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(str(home) in part for part in line) and line[0].endswith("postgres"):
            return process
    return psutil.Process(pid)
