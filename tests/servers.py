"""Real brokers for tests, one of each for a session. A test module asks for them by `pytest_plugins`."""

# mypy: allow-untyped-calls

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu.connection import Connection

from adapters.embedded import ensure, stop

BOOT_SECONDS = 90.0
STOP_SECONDS = 20.0


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with _folder() as folder:
        try:
            yield ensure(folder / "home", postgres=False, valkey=True, durable=False).broker_url
        finally:
            stop(folder / "home", ["valkey"])


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    server = _rabbitmq_server()
    if server is None:
        pytest.skip("rabbitmq-server is not installed on this machine")
    with _folder() as folder:
        port, distribution, epmd = free_ports(3)
        log = folder / "rabbitmq.log"
        with log.open("wb") as lines:
            node = subprocess.Popen(
                [server],
                env=_node_environment(folder, port=port, distribution=distribution, epmd=epmd),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = f"amqp://guest:guest@127.0.0.1:{port}//"
            _wait_for(url, node, log)
            yield url
        finally:
            end_group(node)
            # The name server was started for this node, on a port of its own.
            subprocess.run(
                ["epmd", "-port", str(epmd), "-kill"], check=False, capture_output=True, timeout=STOP_SECONDS
            )


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on now."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def end_group(process: "subprocess.Popen[bytes]", *, first: signal.Signals = signal.SIGTERM) -> None:
    """End a process and all that it started, which share its session."""
    for sent in (first, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait(STOP_SECONDS)


@contextmanager
def _folder() -> Iterator[Path]:
    # Short, for sockets lie in it.
    folder = Path(tempfile.mkdtemp(prefix="tu-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rabbitmq_server() -> str | None:
    """Return the program itself: what packages put on the path insists on a user and a home of its own."""
    inside = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(inside) if inside.exists() else shutil.which("rabbitmq-server")


def _node_environment(folder: Path, *, port: int, distribution: int, epmd: int) -> dict[str, str]:
    (folder / "plugins").write_text("[].\n")
    (folder / "rabbitmq.conf").write_text(
        "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\nlog.console = true\n"
    )
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"trueup{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
    }


def _wait_for(url: str, node: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < end:
        if node.poll() is not None:
            break
        try:
            with Connection(url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"RabbitMQ did not start: {log.read_text(errors='replace')[-3000:]}")
