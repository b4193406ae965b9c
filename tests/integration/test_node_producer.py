"""A producer in another language, with Celery's protocol and nothing else: the example that the guide shows."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine

from adapters.persistence import merchants
from adapters.persistence.columns import run
from tests.faults.provider import Simulator
from tests.integration.celery_processes import ROOT, SOON, Broker, Running, a_worker, start
from tests.servers import free_ports

EXAMPLE: Final = ROOT / "docs" / "examples" / "producer.mjs"
NODE: Final = shutil.which("node")
PROVIDERS: Final = """
[providers.acme]
base_url = "{url}/acme"
cadence = {{ stages = [[0.2, 100000]], jitter = 0.0 }}
"""
ORDER: Final = {
    "merchant": "shop",
    "order": "Ä 1003",  # its characters are fewer than its bytes
    "provider": "acme",
    "reference": "pay_3",
    "amount": "12.30",
    "currency": "EUR",
}

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed: Debian has it as `nodejs`")


def produce(*arguments: str, script: Path = EXAMPLE) -> "subprocess.CompletedProcess[str]":
    assert NODE is not None
    return subprocess.run(
        [NODE, str(script), *arguments], check=False, capture_output=True, text=True, timeout=SOON, cwd="/"
    )


@pytest.fixture
def broker(valkey_url: str) -> Iterator[Broker]:
    broker = Broker(valkey_url)
    broker.empty()
    yield broker
    broker.close()


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path)
    yield simulator
    simulator.running.end()


@pytest.fixture
def settings(simulator: Simulator, database_url: str, tmp_path: Path) -> dict[str, str]:
    providers = tmp_path / "providers.toml"
    providers.write_text(PROVIDERS.format(url=simulator.url))
    return {
        "TRUEUP_DATABASE_URL": database_url,
        "TRUEUP_PROVIDERS": str(providers),
        "TRUEUP_HOME": str(tmp_path / "home"),
        "TRUEUP_SWEEP_SECONDS": "0.2",
    }


@pytest.fixture
def worker(broker: Broker, settings: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    yield from a_worker(broker, tmp_path, app="workers.app", **settings)


@pytest.fixture
def beat(broker: Broker, settings: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    home = tmp_path / "beat"
    home.mkdir()
    beat = start(broker, home, "beat", "--pidfile=", app="workers.app", **settings)
    yield beat
    beat.end()


class TestTheExampleForNode:
    def test_registers_an_order_that_a_worker_polls(
        self, engine: Engine, broker: Broker, simulator: Simulator, worker: Running, beat: Running
    ) -> None:
        with engine.begin() as connection:
            merchants.add(connection, "shop", {"name": "Shop", "email": None}, url="https://shop.example/")
        simulator.add([a_payment()])

        sent = produce(broker.url, "intake.register_order", json.dumps(ORDER))

        assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
        polled = "SELECT o.reference FROM orders o WHERE o.status = 'PAID'"
        assert rows(engine, polled) == [("Ä 1003",)], worker.log()[-3000:] + beat.log()[-1000:]
        assert simulator.calls("acme") >= 1
        with engine.connect() as connection:
            assert run(connection, "SELECT count(*) FROM refused_messages", {}).scalar_one() == 0

    def test_is_run_by_a_link_too(self, tmp_path: Path) -> None:
        link = tmp_path / "producer.mjs"
        link.symlink_to(EXAMPLE)

        assert produce(script=link).returncode == 2

    def test_says_why_nothing_was_sent(self, broker: Broker) -> None:
        for arguments, status, said in (
            ((), 2, "usage"),
            ((broker.url, "intake.register_order", "{"), 1, "JSON"),
            ((broker.url, "orders.register_order", "{}"), 2, "begins with intake. or sanity."),
            ((broker.url, "intake", "{}"), 2, "begins with intake. or sanity."),
            ((f"redis://127.0.0.1:{free_ports(1)[0]}/0", "intake.register_order", "{}"), 1, "ECONNREFUSED"),
            ((re.sub("//.*@", "//:wrong@", broker.url), "intake.register_order", "{}"), 1, "WRONGPASS"),
        ):
            done = produce(*arguments)
            assert done.returncode == status, (arguments, done.stderr)
            assert said in done.stderr
        assert broker.depth("intake") == broker.depth("orders") == 0


def a_payment() -> dict[str, object]:
    named = {name: ORDER[name] for name in ("provider", "reference", "amount", "currency")}
    return {**named, "script": [{"status": "paid"}]}


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of the query as soon as there are some."""
    end = time.monotonic() + SOON
    while True:
        with engine.connect() as connection:
            found = [tuple(row) for row in run(connection, query, {})]
        if found or time.monotonic() > end:
            return found
        time.sleep(0.05)
