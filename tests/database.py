"""A real PostgreSQL for tests: one server for a session and all its workers, one fresh database for each test."""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, make_url

from adapters.embedded import ensure, stop
from adapters.persistence.database import connect
from adapters.persistence.migrate import upgrade

TEMPLATE = "trueup_template"
# Short, for sockets lie in it; and of this user, for nobody else can open what lies in it.
FOLDERS = Path(tempfile.gettempdir())
PREFIX = f"tu-pg-{os.getuid()}-"


@pytest.fixture(scope="session")
def postgres_url(testrun_uid: str) -> Iterator[str]:
    """The server's own database, migrated to be copied from. The last worker that uses it stops it."""
    folder = FOLDERS / f"{PREFIX}{testrun_uid[:12]}"
    with _starting():
        _clear_away_the_abandoned(folder)
        folder.mkdir(mode=0o700, exist_ok=True)
        user = _use(folder)
        url = ensure(folder / "home", valkey=False, durable=False).database_url
        _make_template(url)
    try:
        yield url
    finally:
        with _starting():
            os.close(user)
            _end_unless_used(folder)


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A migrated database with nothing in it."""
    name = f"test_{uuid.uuid4().hex}"
    with _administrator(postgres_url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
    yield _named(postgres_url, name)
    with _administrator(postgres_url) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = connect(database_url, role="trueup-tests")
    yield opened
    opened.dispose()


def _make_template(url: str) -> None:
    with _administrator(url) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
            return
        draft = f"{TEMPLATE}_draft"
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(draft)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
        migrating = connect(_named(url, draft))
        upgrade(migrating)
        migrating.dispose()
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(TEMPLATE))
        )


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@contextmanager
def _administrator(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def _starting() -> Iterator[None]:
    """One process at a time starts or stops servers of tests."""
    lock = os.open(FOLDERS / f"{PREFIX}lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _use(folder: Path) -> int:
    """Hold a share of the server until the descriptor is closed, be it by our death."""
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _end_unless_used(folder: Path) -> None:
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(users)
    stop(folder / "home", ["postgres"])
    shutil.rmtree(folder, ignore_errors=True)


def _clear_away_the_abandoned(ours: Path) -> None:
    """End servers of sessions that were killed before they could."""
    for folder in FOLDERS.glob(f"{PREFIX}*"):
        if folder.is_dir() and folder != ours:
            _end_unless_used(folder)
