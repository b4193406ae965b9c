"""One of a kind in a home: the lock lives as long as its holder, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.cli.output import Refused


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold the lock file while the block runs.

    Raises:
        Refused: another process holds it.
    """
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{what}: another one runs in {lock.parent}") from None
        yield
