"""The HTTP server as its own process, and those who call it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import requests
from sqlalchemy import Engine

from adapters.persistence import keys, merchants
from adapters.persistence.columns import run
from tests.servers import end_group, free_ports

ROOT: Final = Path(__file__).parents[3]
ADMIN_KEY: Final = "operators-key-for-tests"
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOON: Final = 60.0
PROVIDERS: Final = f"""
[providers.acme]
base_url = "http://127.0.0.1:9"

[providers.signing]
base_url = "http://127.0.0.1:9"
events_secret = "{SECRET}"
"""


@dataclass
class Server:
    """A server that runs, its database, and two merchants with a key each."""

    url: str
    engine: Engine
    log: Path
    process: "subprocess.Popen[bytes]"
    keys: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, *, key: str | None = "shop", **given: Any) -> requests.Response:
        """Call by the key of that name, or by none."""
        headers = {**given.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=30, **given)

    def get(self, path: str, *, key: str | None = "shop", **given: Any) -> requests.Response:
        return self.call("GET", path, key=key, **given)

    def post(self, path: str, body: object = None, *, key: str | None = "shop", **given: Any) -> requests.Response:
        if body is not None:
            given["json"] = body
        return self.call("POST", path, key=key, **given)

    def register(self, order: str, *, key: str = "shop", **fields: object) -> requests.Response:
        return self.post("/v1/orders", {**an_order(order), **fields}, key=key)

    def report(self, reference: str, *, key: str = "shop", **fields: object) -> requests.Response:
        return self.post("/v1/timeouts", {**a_timeout(reference), **fields}, key=key)

    def screen(self, merchant: str = "shop") -> None:
        """Have the merchant's line items checked from now on, and those that are not known kept for later."""
        with self.engine.begin() as connection:
            merchants.change(connection, merchant, {"checks": ["line_items"], "sanity_queue": True}, url=None)

    def reject(self, order: str, *, item: str = "tea", **fields: object) -> str:
        """Register an order whose line item is not known; return its rejection."""
        self.screen()
        bill = {"number": f"B-{order}", "line_items": [item]}
        answer = self.post("/v1/orders", {**an_order(order), "bill": bill, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["rejected"]["rejection"])

    def put(self, kind: str, *entries: object, key: str = "shop", **given: Any) -> requests.Response:
        """Put entries of master data."""
        return self.call("PUT", f"/v1/master-data/{kind}", key=key, json={"entries": entries}, **given)

    def drain(self) -> None:
        """Do all that is due, as a process of its own."""
        command = [sys.executable, "-c", "from adapters.cli.main import main; main()", "drain"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=False, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()[-3000:]

    def ask(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in run(connection, statement, parameters)]

    def do(self, statement: str, **parameters: object) -> None:
        with self.engine.begin() as connection:
            run(connection, statement, parameters)

    def make_key(self, name: str, **owner: str) -> int:
        """Make a further key under a name of its own; return its id."""
        with self.engine.begin() as connection:
            made = keys.add(connection, keys.Owner(**owner))
        self.keys[name] = made.token
        return made.id


def an_order(order: str, **fields: object) -> dict[str, object]:
    plain = {"order": order, "provider": "acme", "reference": f"pay-{order}", "amount": "100.00", "currency": "EUR"}
    return {**plain, **fields}


def a_timeout(reference: str, **fields: object) -> dict[str, object]:
    now = datetime.now(UTC)
    plain = {
        "provider": "acme",
        "reference": reference,
        "response_code": "99",
        "amount": "100.00",
        "currency": "EUR",
        "occurred_at": (now - timedelta(minutes=1)).isoformat(),
        "settles_at": (now + timedelta(days=1)).isoformat(),
    }
    return {**plain, **fields}


@contextmanager
def serving(
    engine: Engine,
    database_url: str,
    broker_url: str,
    home: Path,
    settings: Mapping[str, str | None] | None = None,
) -> Iterator[Server]:
    """Run a server on a free port until the block ends; a setting that is None is left out."""
    [port] = free_ports(1)
    home.mkdir(exist_ok=True)
    providers, log = home / "providers.toml", home / "api.log"
    providers.write_text(PROVIDERS)
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("TRUEUP_")}
    given: dict[str, str | None] = {
        **inherited,
        "TRUEUP_HOME": str(home),
        "TRUEUP_DATABASE_URL": database_url,
        "TRUEUP_BROKER_URL": broker_url,
        "TRUEUP_PROVIDERS": str(providers),
        "TRUEUP_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "TRUEUP_HTTP_REQUESTS_PER_SECOND": "10000",
        "TRUEUP_ADMIN_KEY": ADMIN_KEY,
        "TRUEUP_LOG_FORMAT": "json",
        **(settings or {}),
    }
    environment = {name: value for name, value in given.items() if value is not None}
    with log.open("ab") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters.http"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            start_new_session=True,
        )
    try:
        server = Server(f"http://127.0.0.1:{port}", engine, log, process, {"operator": ADMIN_KEY}, environment)
        until(lambda: _lives(server), server)
        with engine.begin() as connection:
            for merchant in ("shop", "rival"):
                terms = {"name": merchant, "email": f"ops@{merchant}.example"}
                made, _ = merchants.add(connection, merchant, terms, url=f"https://{merchant}.example/hooks")
                server.keys[merchant] = made.token
        yield server
    finally:
        end_group(process)


def until(holds: Callable[[], bool], server: Server) -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.05)


def _lives(server: Server) -> bool:
    try:
        return server.get("/livez", key=None).status_code == 200
    except requests.ConnectionError:
        return False
