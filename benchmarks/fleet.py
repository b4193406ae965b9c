"""Programs that run beside a case, and the CPU that they took, with all their children, dead or alive."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil


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
