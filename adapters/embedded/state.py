"""What the processes of one home know of its servers: one file, and locks beside it.

Whether a server lives is not read from a pid, which may be dead or somebody else's by now. Each server inherits
a locked file from its start and holds that lock until its last process is gone, however it ended.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a folder for its unix socket or an address, and the port (it names the socket too)."""

    host: str
    port: int
    pid: int | None = None  # for people who look; nothing here decides by it


@dataclass(slots=True)
class State:
    password: str
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read what was kept, or begin anew with a fresh password where nothing usable is."""
        try:
            kept = json.loads(path(home).read_text())
            endpoints = {name: Endpoint(**endpoint) for name, endpoint in kept["servers"].items()}
            return cls(password=kept["password"], endpoints=endpoints)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return cls(password=secrets.token_urlsafe(24))

    def save(self, home: Path) -> None:
        """Replace the file as a whole: half a state would lose the password."""
        servers = {name: asdict(endpoint) for name, endpoint in self.endpoints.items()}
        target = path(home)
        draft = target.with_suffix(".new")
        write_private(draft, json.dumps({"password": self.password, "servers": servers}, indent=2))
        draft.replace(target)


def path(home: Path) -> Path:
    return home / "servers.json"


def write_private(target: Path, text: str) -> None:
    """Write a file that has never been readable by anyone else, and see it on the disk."""
    target.unlink(missing_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Wait until no other process starts or stops the servers of this home."""
    lock = os.open(home / "servers.lock", os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def claim(home: Path, server: str) -> Iterator[int | None]:
    """Yield the right to be this home's `server`, a descriptor to inherit; None if one lives that has it."""
    lock = os.open(home / f"{server}.lock", os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        yield None
        return
    try:
        yield lock
    finally:
        os.close(lock)  # without LOCK_UN: a server that inherited it keeps the lock


def lives(home: Path, server: str) -> bool:
    """Whether any process of the server is left; ask it under `locked` only, as asking takes the claim for a moment."""
    with claim(home, server) as right:
        return right is None
