"""Programs that run beside a case, and the CPU that they took, with all their children, dead or alive."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from adapters.cli.programs import WORKERS, processes_of, worker_command
from adapters.queue import publisher
from config.messaging import WORKER_OPTIONS
from config.settings import Settings

CONCURRENCY: Final = Settings.model_fields["worker_concurrency"].default


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process and everything that it started, so far."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue  # what it used is its parent's now
        total += times.user + times.system + times.children_user + times.children_system
    return total


def server(program: str, mark: str) -> psutil.Process:
    """Return the server of this program whose command line has the mark; it may count its own pids from one."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or [""]
        if program in line[0] and any(mark in part for part in line):
            return process
    raise LookupError(f"no {program} runs with {mark}")


@contextmanager
def running(argv: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """Run a program of this Python's for as long as the block; its words go to the log."""
    with log.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv], env={**os.environ, **env}, stdout=words, stderr=words, start_new_session=True
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(holds: Callable[[], bool], *, seconds: float, every: float = 0.1) -> float:
    """Wait until it holds; return the seconds that it took.

    Raises:
        TimeoutError: it did not hold in time.
    """
    began = time.perf_counter()
    while not holds():
        if time.perf_counter() - began > seconds:
            raise TimeoutError
        time.sleep(every)
    return time.perf_counter() - began


@contextmanager
def ours(home: Path, names: Sequence[str]) -> Iterator[list[psutil.Process]]:
    """Run the workers that `trueup up` starts under these names, and beat; yield them when all of them are ready."""
    with ExitStack() as stack:
        # Before the workers, so that it has begun when they have.
        processes = [stack.enter_context(running(["celery", "-A", "workers.app", "beat"], {}, home / "beat.log"))]
        for name in names:
            command = worker_command(name, WORKERS[name], concurrency=processes_of(name, CONCURRENCY))
            argv = command[2:]  # without the Python and its -m
            processes.append(stack.enter_context(running(argv, {}, home / f"{name}.log")))
            until(partial(_pongs, os.environ["TRUEUP_BROKER_URL"], f"{name}@{socket.gethostname()}"), seconds=60)
        yield processes


@contextmanager
def api(home: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Run the HTTP API; yield it and its address when it answers."""
    port = _free_port()
    env = {"TRUEUP_HTTP_ADDRESS": f"127.0.0.1:{port}", "TRUEUP_HTTP_REQUESTS_PER_SECOND": "100000"}
    with running(["adapters.http"], env, home / "api.log") as process:
        until(partial(_answers, port), seconds=60)
        yield process, f"http://127.0.0.1:{port}"


@contextmanager
def plain(env: Mapping[str, str], log: Path, *, concurrency: int) -> Iterator[psutil.Process]:
    """Run plain Celery's worker; yield it when it is ready."""
    argv = ["celery", "-A", "benchmarks.plain_celery", "worker", "-c", str(concurrency), "--loglevel", "INFO"]
    with running([*argv, *WORKER_OPTIONS], env, log) as process:
        until(lambda: "ready." in log.read_text(), seconds=60)
        yield process


def _pongs(broker_url: str, worker: str) -> bool:
    return bool(publisher(broker_url).control.ping(destination=[worker], timeout=0.5))


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
