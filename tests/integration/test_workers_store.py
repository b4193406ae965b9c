"""What producers send, from either broker into the database, through workers as they are delivered."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, create_engine, text

from adapters.embedded import ensure, stop
from adapters.persistence.migrate import upgrade
from config.messaging import INTAKE
from tests.integration.celery_processes import SOON, Broker, Running, a_worker

pytest_plugins = ("tests.servers",)

ORDER = {
    "merchant": "shop",
    "order": "A-1",
    "provider": "acme",
    "reference": "pay_1",
    "amount": "10.00",
    "currency": "EUR",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("pg")
    try:
        yield ensure(home, postgres=True, valkey=False, durable=False).database_url
    finally:
        stop(home, ["postgres"])


@pytest.fixture(autouse=True)
def store(database: str) -> Iterator[Engine]:
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE merchants, orders, refused_messages CASCADE"))
        connection.execute(text("INSERT INTO merchants (id, name) VALUES ('shop', 'Shop')"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["valkey", "rabbitmq"])
def worker(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[Running]:
    providers = tmp_path / "providers.toml"
    providers.write_text('[providers.acme]\nadapter = "rest"\nbase_url = "http://127.0.0.1:1"\n')
    broker = Broker(request.getfixturevalue(f"{request.param}_url"))
    broker.empty()
    yield from a_worker(
        broker, tmp_path, app="workers.app", TRUEUP_DATABASE_URL=database, TRUEUP_PROVIDERS=str(providers)
    )
    broker.close()


def rows(store: Engine, query: str, count: int = 1) -> list[tuple[object, ...]]:
    """Return the rows of the query as soon as there are so many."""
    end = time.monotonic() + SOON
    while True:
        with store.connect() as connection:
            found = [tuple(row) for row in connection.execute(text(query))]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.05)


class TestAMessage:
    def test_becomes_an_order(self, worker: Running, store: Engine) -> None:
        worker.broker.send("intake.register_order", **ORDER)
        worker.broker.send("intake.register_order", **ORDER)
        # Two, for one alone is kept as a message of its own is: until the next sweep, and no beat runs here.
        several = [{**ORDER, "order": f"A-{number}", "reference": f"p{number}"} for number in (2, 3)]
        worker.broker.send("intake.register_orders", merchant="shop", orders=several)

        found = rows(store, "SELECT reference, status FROM orders ORDER BY reference", 3)
        assert found == [("A-1", "NEW"), ("A-2", "NEW"), ("A-3", "NEW")], worker.log()[-3000:]

    def test_is_kept_with_its_reasons_where_it_does_not_hold(self, worker: Running, store: Engine) -> None:
        worker.broker.send("intake.register_order", **{**ORDER, "amount": 10.0, "currency": ""})
        worker.broker.send("intake.register_order", "shop")
        worker.broker.send("intake.no_such_task")
        worker.broker.send_raw(b"\x00\xff garbage")

        found = rows(store, "SELECT name, merchant, body, errors FROM refused_messages ORDER BY id", 4)
        assert [row[0] for row in found] == [
            "intake.register_order",
            "intake.register_order",
            "intake.no_such_task",
            "intake.register_order",
        ]
        errors = json.dumps([row[3] for row in found])
        for said in (
            "amount",
            "should be a string",
            "currency",
            "is empty",
            "positional",
            "no task is called",
            "not JSON",
        ):
            assert said in errors
        assert found[3][2] == "\\x00\\xff garbage"

    def test_is_kept_although_it_is_none(self, worker: Running, store: Engine) -> None:
        if not worker.broker.url.startswith("redis"):
            worker.broker.send_raw(b"garbage")
        else:
            with redis.Redis.from_url(worker.broker.url) as client:
                client.lpush(INTAKE, b"garbage")

        assert rows(store, "SELECT body FROM refused_messages") == [("garbage",)]
