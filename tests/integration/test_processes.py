"""What the command line starts: programs that are tended, and all of them at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.cli.supervisor import Supervisor
from adapters.embedded import status, stop
from adapters.queue import publisher
from tests.servers import free_ports

TRUEUP = (sys.executable, "-c", "from adapters.cli.main import main; main()")
MERCHANT = ("merchant", "add", "shop", "--name", "The Shop", "--email", "orders@shop.example")
URL = ("--callback-url", "https://shop.example/callbacks")
SOON = 60.0


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


class TestASupervisor:
    @pytest.fixture
    def supervisor(self, tmp_path: Path) -> Iterator[Supervisor]:
        supervisor = Supervisor(logs=tmp_path / "logs", say=lambda _line: None)
        yield supervisor
        supervisor.stop_all(grace=0)

    def test_starts_again_what_dies(self, supervisor: Supervisor) -> None:
        first = supervisor.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ)
        os.kill(first, signal.SIGKILL)

        until(lambda: "sleeper" in supervisor.tend())
        assert supervisor.pid("sleeper") is None
        until(lambda: supervisor.tend() == [] and supervisor.pid("sleeper") is not None)

        assert supervisor.pid("sleeper") != first

    def test_keeps_what_they_print(self, supervisor: Supervisor, tmp_path: Path) -> None:
        supervisor.start("speaker", [sys.executable, "-c", "print('hello')"], os.environ)

        until(lambda: (tmp_path / "logs" / "speaker.log").read_text() == "hello\n")

    def test_kills_what_does_not_end_when_asked(self, supervisor: Supervisor, tmp_path: Path) -> None:
        deaf = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            " print('deaf', flush=True); time.sleep(60)"
        )
        pid = supervisor.start("deaf", [sys.executable, "-c", deaf], os.environ)
        until(lambda: "deaf" in (tmp_path / "logs" / "deaf.log").read_text())

        supervisor.stop_all(grace=0.2)

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class TestUp:
    @pytest.fixture
    def home(self) -> Iterator[Path]:
        home = Path(tempfile.mkdtemp(prefix="tu-", dir="/tmp"))  # short, for sockets lie in it
        yield home
        stop(home, ["postgres", "valkey"])
        shutil.rmtree(home, ignore_errors=True)

    @pytest.fixture
    def environment(self, home: Path) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("TRUEUP_")}
        flower, api = (f"127.0.0.1:{port}" for port in free_ports(2))
        return inherited | {"TRUEUP_HOME": str(home), "TRUEUP_FLOWER_ADDRESS": flower, "TRUEUP_HTTP_ADDRESS": api}

    def test_is_not_what_a_loop_of_drains_needs_to_outlive_its_database(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        subprocess.run([*TRUEUP, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        log = home / "drain.log"
        with log.open("wb") as out:
            drain = subprocess.Popen(
                [*TRUEUP, "drain", "--loop"], env=environment, stdout=out, stderr=out, start_new_session=True
            )
        try:
            until(lambda: _is_drained(home))
            first = _postmaster(home)
            assert first is not None
            os.kill(first, signal.SIGKILL)
            until(lambda: "is tried again" in log.read_text())
            until(lambda: _postmaster(home) not in (None, first))
            subprocess.run([*TRUEUP, *MERCHANT, *URL], env=environment, check=True, stdout=subprocess.DEVNULL)
            assert drain.poll() is None
        finally:
            drain.send_signal(signal.SIGTERM)
            assert drain.wait(60) == 0, log.read_text()

    @pytest.mark.parametrize("command", ["up", "worker", "beat", "api", "flower", "drain", "config"])
    @pytest.mark.parametrize(
        ("table", "why"),
        [
            ('adapter = "soap"', "providers.acme.adapter: no adapter is called 'soap'; there are: rest"),
            ('token = "x"', "providers.acme.token: is not a known setting"),
        ],
    )
    def test_starts_nothing_with_a_providers_file_that_is_wrong(
        self, home: Path, environment: dict[str, str], command: str, table: str, why: str
    ) -> None:
        file = home / "providers.toml"
        file.write_text(f'[providers.acme]\nbase_url = "https://pay.example"\n{table}\n')

        done = subprocess.run(
            [*TRUEUP, command],
            env=environment | {"TRUEUP_PROVIDERS": str(file)},
            check=False,
            capture_output=True,
            text=True,
        )

        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"trueup: {why}\n")
        assert status(home) is None

    def test_runs_everything_until_it_is_asked_to_end(self, home: Path, environment: dict[str, str]) -> None:
        log = home / "up.log"
        with log.open("wb") as out:
            up = subprocess.Popen([*TRUEUP, "up"], env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            until(lambda: "flower:" in log.read_text())
            subprocess.run([*TRUEUP, *MERCHANT, *URL], env=environment, check=True, stdout=subprocess.DEVNULL)
            servers = status(home)
            assert servers is not None
            with publisher(servers.broker_url) as producer:
                producer.send_task("intake.checkout_completed", kwargs={"merchant": "shop", "order": "A1"})
            until(lambda: _backlog(environment)["commands_waiting"] == 1)
            until(lambda: _asks_for_a_login(environment["TRUEUP_FLOWER_ADDRESS"]))
            until(lambda: _is_ready(environment["TRUEUP_HTTP_ADDRESS"]))
            shown, whole = _settings(environment), _settings(environment, "--show-secrets")
            assert whole["TRUEUP_BROKER_URL"] == {"value": servers.broker_url, "from": "embedded"}
            assert f"producers connect to {shown['TRUEUP_BROKER_URL']['value']}\n" in log.read_text()
            assert servers.broker_url not in log.read_text()
            for kept in ("flower.password", "admin.key"):
                assert (home / kept).stat().st_mode & 0o777 == 0o600
        finally:
            up.send_signal(signal.SIGTERM)
            returned = up.wait(2 * SOON)

        assert returned == 0, log.read_text()
        assert status(home) is None


def _settings(environment: dict[str, str], *options: str) -> Any:
    shown = subprocess.run([*TRUEUP, "config", "--json", *options], env=environment, check=True, capture_output=True)
    return json.loads(shown.stdout)["settings"]


def _backlog(environment: dict[str, str]) -> Any:
    shown = subprocess.run([*TRUEUP, "backlog", "--json"], env=environment, check=True, capture_output=True)
    return json.loads(shown.stdout)


def _asks_for_a_login(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/")
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
    return False


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class TestAProcessOfOurs:
    def test_ends_when_its_parent_is_killed(self, tmp_path: Path) -> None:
        # It writes its pid, so that the test can see that it is gone.
        child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        parent = (
            "import os, sys, time; from adapters.cli.supervisor import spawn;"
            f" spawn([sys.executable, '-c', {child!r}], os.environ); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", parent])
        file = tmp_path / "pid"
        until(lambda: file.exists() and file.read_text() != "")

        process.kill()
        process.wait()

        until(lambda: not Path(f"/proc/{file.read_text()}").exists())


def _is_drained(home: Path) -> bool:
    """Whether a drain has connected to the embedded database."""
    servers = status(home)
    if servers is None or servers.database_url is None:
        return False
    with suppress(psycopg.OperationalError), psycopg.connect(servers.database_url) as connection:
        drains = connection.execute("SELECT FROM pg_stat_activity WHERE application_name = 'trueup-drain'")
        return drains.rowcount > 0
    return False


def _postmaster(home: Path) -> int | None:
    """Return the pid of the embedded PostgreSQL, while it says that it is ready."""
    try:
        lines = next(home.rglob("postmaster.pid")).read_text().splitlines()
    except (StopIteration, FileNotFoundError):
        return None
    return int(lines[0]) if lines and lines[-1].strip() == "ready" else None
