"""Processes of ours that a test may kill: each leads a session of its own, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
GLANCE = 0.05

# Where `killer` lets a process die. They stand here, for a test must never import what it patches.
CLAIMED = "claimed"
DECIDED = "decided"
SAVED = "saved"


def until(holds: Callable[[], object], explain: Callable[[], object]) -> None:
    """Wait until it holds; fail with the explanation if it never does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"it did not come to this: {explain()}")
        time.sleep(GLANCE)


@dataclass(frozen=True)
class Running:
    """A process that was started, and what it wrote."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, argv: Sequence[str], *, log: Path, settings: Mapping[str, str]) -> "Running":
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("TRUEUP_", "PYTHON", "CELERY"))
        }
        with log.open("ab") as lines:
            process = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                env={**inherited, **settings},
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        until(lambda: words in self.said() or not self.lives, lambda: f"{words!r} in {self.said()[-4000:]}")
        assert self.lives, self.said()[-4000:]

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def signal(self, pid: int, sent: signal.Signals) -> None:
        """Send a signal to the process or one of its children."""
        assert pid in {self.process.pid, *self.children()}
        os.kill(pid, sent)

    def kill(self) -> None:
        """Kill the process alone, as the kernel does when memory is short, and wait until its children are gone."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        until(lambda: not any(map(is_alive, children)), lambda: f"children {children} outlive their parent")

    def kill_children(self) -> None:
        """Kill the pool's processes; the one that started them lives."""
        for child in self.children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def end(self) -> None:
        """End it and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_alive(pid: int) -> bool:
    return _state(pid) not in {"", "Z"}


def is_stopped(pid: int) -> bool:
    return _state(pid) == "T"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
