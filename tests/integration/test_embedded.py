"""The embedded servers, for real: started, joined, killed and taken over."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from adapters.embedded import EmbeddedServersUnavailable, Servers, ensure, status, stop

BOTH = frozenset({"postgres", "valkey"})
NEITHER: frozenset[str] = frozenset()
ENSURE_IN_A_PROCESS_OF_ITS_OWN = """
import sys
from pathlib import Path
from adapters.embedded import ensure
print(",".join(sorted(ensure(Path(sys.argv[1]), durable=False).started)))
"""
# The codec is one that Python loads late, from where nobody may not read
START_AND_STOP_AS_NOBODY = """
import encodings.idna, os, sys
from pathlib import Path
from adapters.embedded import ensure, stop
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(",".join(sorted(ensure(Path(sys.argv[1])).started)))
stop(Path(sys.argv[1]), ["postgres", "valkey"])
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a path that is short enough for a socket, and no server left in it."""
    folder = Path(tempfile.mkdtemp(prefix="tu-", dir="/tmp"))
    yield folder / "home"
    stop(folder / "home", BOTH)
    shutil.rmtree(folder)


def pid_of(home: Path, server: str) -> int:
    pid = json.loads((home / "servers.json").read_text())["servers"][server]["pid"]
    assert isinstance(pid, int)
    return pid


def pretend_pid(home: Path, server: str, pid: int) -> None:
    state = json.loads((home / "servers.json").read_text())
    state["servers"][server]["pid"] = pid
    (home / "servers.json").write_text(json.dumps(state))


def value_of(servers: Servers, question: str) -> object:
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return row and row[0]


def execute(servers: Servers, statement: str) -> None:
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(statement)


def processes_of(home: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,command="], check=True, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if str(home) in line]


def is_gone(pid: int) -> bool:
    """Whether nothing is left of a process but, perhaps, that its parent has not noticed yet."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return listed.stdout.strip()[:1] in {"", "Z"}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not is_gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


kombu_connection: Callable[[str], Any] = import_module("kombu").Connection  # kombu has no types


def publish_and_get(broker_url: str) -> object:
    with kombu_connection(broker_url) as connection, connection.SimpleQueue("greetings") as queue:
        queue.put({"hello": "there"})
        message = queue.get(timeout=5)
        message.ack()
        return message.payload


class TestAFirstStart:
    def test_brings_up_both_servers_at_addresses_their_clients_take(self, home: Path) -> None:
        servers = ensure(home)

        assert servers.started == BOTH
        assert value_of(servers, "SELECT current_database()") == "trueup"
        assert publish_and_get(servers.broker_url) == {"hello": "there"}

    def test_is_durable_unless_told_otherwise(self, home: Path) -> None:
        servers = ensure(home)

        assert value_of(servers, "SELECT current_setting('fsync')") == "on"
        assert value_of(servers, "SELECT current_setting('synchronous_commit')") == "on"
        with redis.Redis.from_url(servers.broker_url) as broker:
            assert broker.config_get("append*")["appendonly"] == "yes"
            assert broker.config_get("appendfsync") == {"appendfsync": "everysec"}
            assert broker.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    def test_makes_a_database_in_utf_8_that_sorts_by_bytes(self, home: Path) -> None:
        servers = ensure(home, valkey=False, durable=False)

        assert value_of(servers, "SELECT current_setting('server_encoding')") == "UTF8"
        assert value_of(servers, "SELECT datcollate FROM pg_database WHERE datname = 'trueup'") == "C"
        assert value_of(servers, "SELECT current_setting('fsync')") == "off"

    def test_starts_only_what_is_asked_for(self, home: Path) -> None:
        servers = ensure(home, postgres=False, durable=False)

        assert servers.started == {"valkey"}
        assert servers.database_url == ""
        assert not (home / "postgres").exists()

    def test_demands_a_password_of_everyone(self, home: Path) -> None:
        servers = ensure(home, durable=False)
        password = json.loads((home / "servers.json").read_text())["password"]

        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(servers.database_url.replace(password, "guessed"))
        with (
            redis.Redis.from_url(servers.broker_url.replace(f":{password}@", "")) as broker,
            pytest.raises(redis.AuthenticationError),
        ):
            broker.ping()
        assert not any(password in line for line in processes_of(home))

    def test_falls_back_to_loopback_where_the_path_is_too_long_for_a_socket(self, home: Path) -> None:
        far = home / ("far" * 30)
        try:
            servers = ensure(far, valkey=False, durable=False)

            assert "@127.0.0.1:" in servers.database_url
            assert value_of(servers, "SELECT 1") == 1
        finally:
            stop(far, BOTH)

    @pytest.mark.parametrize("name", ["two words", 'odd, "quoted" \\ 100%'])
    def test_takes_a_home_of_any_name(self, home: Path, name: str) -> None:
        odd = home / name
        try:
            servers = ensure(odd, durable=False)

            assert value_of(servers, "SELECT 1") == 1
            assert publish_and_get(servers.broker_url) == {"hello": "there"}
        finally:
            stop(odd, BOTH)

    @pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
    def test_changes_nothing_outside_its_home(self, home: Path) -> None:
        accounts = [Path("/etc/passwd"), Path("/etc/group")]
        binaries = Path(sys.prefix) / "lib"
        watched = [
            *accounts,
            *home.parents,
            binaries,
            *binaries.rglob("pginstall/*"),
            *binaries.rglob("pginstall/bin/*"),
        ]
        before = {path: (path.stat().st_mode, path.stat().st_uid) for path in watched}
        contents = [path.read_bytes() for path in accounts]

        ensure(home, durable=False)

        assert {path: (path.stat().st_mode, path.stat().st_uid) for path in watched} == before
        assert [path.read_bytes() for path in accounts] == contents
        assert "/dev/shm" not in Path(f"/proc/{pid_of(home, 'postgres')}/maps").read_text()
        assert list(home.parent.iterdir()) == [home]

    def test_keeps_its_home_to_its_owner(self, home: Path) -> None:
        home.mkdir(mode=0o755)

        ensure(home, durable=False)

        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        open_to_others = [path for path in home.rglob("*") if not path.is_socket() and path.stat().st_mode & 0o077]
        assert open_to_others == []


class TestServersThatRun:
    def test_are_joined(self, home: Path) -> None:
        first = ensure(home, durable=False)

        second = ensure(home, durable=False)

        assert second == Servers(first.database_url, first.broker_url, started=NEITHER)

    def test_are_started_once_by_processes_that_come_at_once(self, home: Path) -> None:
        command = [sys.executable, "-c", ENSURE_IN_A_PROCESS_OF_ITS_OWN, str(home)]

        with ThreadPoolExecutor(4) as pool:
            runs = list(
                pool.map(lambda _: subprocess.run(command, check=True, capture_output=True, text=True), range(4))
            )

        assert sorted(run.stdout.strip() for run in runs) == ["", "", "", "postgres,valkey"]

    def test_outlive_the_process_that_started_them(self, home: Path) -> None:
        command = [sys.executable, "-c", ENSURE_IN_A_PROCESS_OF_ITS_OWN, str(home)]
        subprocess.run(command, check=True, capture_output=True, start_new_session=True)

        joined = ensure(home, durable=False)

        assert joined.started == NEITHER
        assert value_of(joined, "SELECT 1") == 1

    def test_are_reported_by_status_until_they_are_stopped(self, home: Path) -> None:
        assert status(home) is None
        servers = ensure(home, durable=False)
        assert status(home) == Servers(servers.database_url, servers.broker_url, started=NEITHER)

        stop(home, {"postgres"})
        assert status(home) == Servers("", servers.broker_url, started=NEITHER)

        stop(home, BOTH)
        assert status(home) is None

    def test_are_gone_when_stop_returns_although_clients_are_connected(self, home: Path) -> None:
        servers = ensure(home, durable=False)
        pids = [pid_of(home, "postgres"), pid_of(home, "valkey")]

        with psycopg.connect(servers.database_url) as idle, redis.Redis.from_url(servers.broker_url) as broker:
            idle.execute("SELECT 1")
            broker.ping()
            stop(home, BOTH)
            idle.close()

        assert [is_gone(pid) for pid in pids] == [True, True]
        assert processes_of(home) == []

    def test_find_their_data_again_at_the_next_start(self, home: Path) -> None:
        first = ensure(home)
        execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        with redis.Redis.from_url(first.broker_url) as broker:
            broker.set("kept", "42")
        stop(home, BOTH)

        second = ensure(home)

        assert second == first
        assert value_of(second, "SELECT answer FROM kept") == 42
        with redis.Redis.from_url(second.broker_url) as broker:
            assert broker.get("kept") == b"42"


class TestAServerThatWasKilled:
    def test_is_taken_over_with_what_was_committed(self, home: Path) -> None:
        servers = ensure(home)
        execute(servers, "CREATE TABLE kept AS SELECT 42 AS answer")
        for server in BOTH:
            os.kill(pid_of(home, server), signal.SIGKILL)

        again = ensure(home)

        assert again.started == BOTH
        assert value_of(again, "SELECT answer FROM kept") == 42
        assert publish_and_get(again.broker_url) == {"hello": "there"}

    def test_is_taken_over_although_its_pid_is_now_somebody_elses(self, home: Path) -> None:
        ensure(home, durable=False)
        for server in BOTH:
            kill(pid_of(home, server))
            pretend_pid(home, server, os.getpid())
        left_over = home / "postgres" / "postmaster.pid"
        left_over.write_text(left_over.read_text().replace(left_over.read_text().split("\n")[0], str(os.getpid()), 1))

        again = ensure(home, durable=False)

        assert again.started == BOTH
        assert os.getpid() not in {pid_of(home, "postgres"), pid_of(home, "valkey")}

    def test_is_no_error_to_stop(self, home: Path) -> None:
        ensure(home, durable=False)
        for server in BOTH:
            os.kill(pid_of(home, server), signal.SIGKILL)

        stop(home, BOTH)

        assert status(home) is None

    def test_finds_another_port_if_its_own_was_taken_meanwhile(self, home: Path) -> None:
        first = ensure(home, postgres=False, durable=False)
        stop(home, BOTH)
        port = int(first.broker_url.removesuffix("/0").rsplit(":", 1)[1])
        with subprocess.Popen(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as intruder:
            try:
                wait_for_listener(port)

                second = ensure(home, postgres=False, durable=False)
            finally:
                intruder.kill()

        assert second.broker_url != first.broker_url


class TestAStateFile:
    def test_whose_pids_are_dead_is_taken_over(self, home: Path) -> None:
        ensure(home, durable=False)
        stop(home, BOTH)
        with subprocess.Popen(["true"]) as dead:
            dead.wait()
        for server in BOTH:
            pretend_pid(home, server, dead.pid)

        again = ensure(home, durable=False)

        assert again.started == BOTH
        assert value_of(again, "SELECT 1") == 1

    @pytest.mark.parametrize("remains", [None, "", '{"password": '])
    def test_that_was_lost_takes_no_data_with_it(self, home: Path, remains: str | None) -> None:
        execute(ensure(home, durable=False), "CREATE TABLE kept AS SELECT 42 AS answer")
        stop(home, BOTH)
        (home / "servers.json").unlink()
        if remains is not None:
            (home / "servers.json").write_text(remains)

        # Not even if the first to come makes a new password without needing PostgreSQL
        ensure(home, postgres=False, durable=False)
        again = ensure(home, durable=False)

        assert value_of(again, "SELECT answer FROM kept") == 42

    def test_that_was_lost_while_a_server_runs_is_said_so(self, home: Path) -> None:
        ensure(home, durable=False, valkey=False)
        state = home / "servers.json"
        kept = state.read_text()
        state.unlink()

        with pytest.raises(EmbeddedServersUnavailable, match="TRUEUP_DATABASE_URL"):
            ensure(home, durable=False, valkey=False)

        state.write_text(kept)


class TestAMachineThatCannotRunThem:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a user namespace")
    def test_is_told_what_to_set_where_root_may_make_no_user_namespace(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forbidding = tmp_path / "unshare"
        forbidding.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n")
        forbidding.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

        with pytest.raises(
            EmbeddedServersUnavailable, match=r"Operation not permitted.*TRUEUP_DATABASE_URL"
        ) as refusal:
            ensure(home, durable=False)

        assert "\n" not in str(refusal.value)
        assert status(home) is None

    def test_is_told_what_to_set_where_the_home_cannot_be_made(self, tmp_path: Path) -> None:
        in_the_way = tmp_path / "home"
        in_the_way.touch()

        with pytest.raises(EmbeddedServersUnavailable, match="TRUEUP_DATABASE_URL"):
            ensure(in_the_way)

    def test_gets_the_last_words_of_a_server_that_does_not_start(self, home: Path) -> None:
        ensure(home, durable=False)
        stop(home, BOTH)
        (home / "postgres" / "PG_VERSION").write_text("9.6\n")

        with pytest.raises(EmbeddedServersUnavailable, match=r"FATAL.*TRUEUP_DATABASE_URL"):
            ensure(home, durable=False)

        assert status(home) is None

    def test_is_left_with_no_server_that_nobody_would_stop(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("adapters.embedded.valkey.Valkey.launch", interrupted)

        with pytest.raises(KeyboardInterrupt):
            ensure(home, durable=False)

        assert status(home) is None
        assert processes_of(home) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestSomeoneWhoIsNotRoot:
    def test_needs_no_user_namespace(self, home: Path) -> None:
        home.mkdir()
        os.chown(home, 65534, 65534)
        home.parent.chmod(0o711)
        command = [sys.executable, "-c", START_AND_STOP_AS_NOBODY, str(home)]

        run = subprocess.run(command, check=False, capture_output=True, text=True)

        if "EmbeddedServersUnavailable: the wheel" in run.stderr:
            pytest.skip("nobody may not read where this Python is installed")
        assert (run.stdout.strip(), run.stderr) == ("postgres,valkey", "")
        assert {path.stat().st_uid for path in home.rglob("*")} == {65534}


def wait_for_listener(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (
            subprocess.run(
                ["bash", "-c", f": </dev/tcp/127.0.0.1/{port}"], check=False, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            return
        time.sleep(0.02)
    raise AssertionError("nobody listens")
