"""A few processes of ours: started, started again when they die, and all ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LEASH: Final = Path(__file__).with_name("leash.py")
# A process that lived this long was well, and its next death counts from the beginning.
_WELL_SECONDS: Final = 30.0
_LONGEST_PAUSE: Final = 30.0
_GLANCE_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Child:
    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    started_at: float
    deaths: int = 0
    again_at: float | None = None


def spawn(argv: Sequence[str], env: Mapping[str, str], *, out: int | None = None) -> "subprocess.Popen[bytes]":
    """Start a program that leads a session of its own, so that a terminal's Ctrl-C reaches only us."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *argv],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=None if out is None else subprocess.STDOUT,
        start_new_session=True,
    )


class Supervisor:
    """Runs programs by name. Call `tend` often: it starts again what has died, later each time.

    What they print goes to `logs/NAME.log`, or without `logs` to our own output with the name before each line.
    """

    def __init__(self, *, logs: Path | None = None, say: Callable[[str], None] = print) -> None:
        self._logs = logs
        self._say = say
        self._children: dict[str, _Child] = {}

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start a program and return its pid; `argv[0]` is its path, and `env` all of its environment."""
        process = self._launch(name, argv, env)
        self._children[name] = _Child(name, argv, env, process, time.monotonic())
        return process.pid

    def pid(self, name: str) -> int | None:
        """Return the pid of a program that runs, else None."""
        process = self._children[name].process
        return process.pid if process.poll() is None else None

    def tend(self) -> list[str]:
        """Start again what has died and has waited for its turn; return the names of those that died meanwhile."""
        died = []
        for child in self._children.values():
            if child.again_at is None and child.process.poll() is not None:
                died.append(child.name)
                self._bury(child)
            if child.again_at is not None and time.monotonic() >= child.again_at:
                child.process = self._launch(child.name, child.argv, child.env)
                child.started_at, child.again_at = time.monotonic(), None
        return died

    def stop(self, name: str, *, grace: float) -> None:
        """End one program, as `stop_all` does, and forget it."""
        self._end([self._children.pop(name)], grace, lambda: False)

    def stop_all(self, *, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ask all to end, and kill what is left after `grace` seconds or as soon as `hurry()` says so."""
        children = list(self._children.values())
        self._children.clear()
        self._end(children, grace, hurry)

    def _end(self, children: Sequence[_Child], grace: float, hurry: Callable[[], bool]) -> None:
        for child in children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + grace
        while any(child.process.poll() is None for child in children):
            if time.monotonic() > end or hurry():
                break
            time.sleep(_GLANCE_SECONDS)
        for child in children:
            _kill_group(child.process.pid)
            child.process.wait()

    def _bury(self, child: _Child) -> None:
        _kill_group(child.process.pid)
        lived = time.monotonic() - child.started_at
        child.deaths = 1 if lived > _WELL_SECONDS else child.deaths + 1
        pause = min(_LONGEST_PAUSE, 2.0 ** (child.deaths - 1))
        child.again_at = time.monotonic() + pause
        self._say(f"{child.name}: ended with status {child.process.returncode}; again in {pause:g} s")

    def _launch(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        if self._logs is not None:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = os.open(self._logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                return spawn(argv, env, out=log)
            finally:
                os.close(log)
        process = spawn(argv, env, out=subprocess.PIPE)
        threading.Thread(target=self._repeat, args=(name, process), daemon=True).start()
        return process

    def _repeat(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._say(f"{name} | {line.decode(errors='replace').rstrip()}")


def _kill_group(group: int) -> None:
    """Kill what a program that led its own session has left behind, and itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
