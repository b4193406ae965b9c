"""Mails and callbacks share a queue and its time: neither starves the other, however slow one of them is."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from adapters.bootstrap import Application
from adapters.persistence.columns import run
from config.messaging import NOTIFICATIONS, POLLING
from config.settings import load
from tests.builders import a_record, money
from tests.integration.store import Store
from tests.integration.test_transport import SILENCE, an_answer, serving

# A call to who says nothing is longer than the time that the two have together.
CALL_SECONDS = 0.6
BUDGET = 0.3
# What failed is due again at once: there is no end of it.
AGAIN = (
    "UPDATE due_work SET due_at = now() WHERE kind IN ('deliver', 'mail')",
    "UPDATE lanes SET failures = 0, paused_until = NULL",
)


@pytest.fixture
def store(engine: Engine) -> Store:
    """A merchant who is to be told something by callback and by mail."""
    store = Store(engine)
    store.damage("UPDATE merchants SET email = 'ops@shop.example'")
    store.register("A-1")
    store.answer("A-1", a_record("paid", reference="pay-A-1", amount_received=money("150.00")))
    return store


@contextmanager
def application_of(database_url: str, home: Path, **more: str) -> Iterator[Application]:
    settings = {
        "TRUEUP_DATABASE_URL": database_url,
        "TRUEUP_BROKER_URL": "redis://127.0.0.1:1/0",
        "TRUEUP_HOME": str(home),
        "TRUEUP_CALLBACK_ALLOW_HOSTS": "127.0.0.1",
        "TRUEUP_CALLBACK_SECONDS": str(CALL_SECONDS),
        "TRUEUP_MAIL_SECONDS": str(CALL_SECONDS),
        "TRUEUP_MAIL_FROM": "trueup@pay.example",
        **more,
    }
    broker = settings["TRUEUP_BROKER_URL"]
    with closing(Application(load(settings), database_url=database_url, broker_url=broker)) as application:
        yield application


def mails(store: Store) -> set[str]:
    return {row[0] for row in store.ask("SELECT state FROM mails")}


def delivered(store: Store) -> int:
    return int(store.ask("SELECT count(*) FROM deliveries WHERE state = 'delivered'")[0][0])


class TestMails:
    def test_have_their_turn_beside_an_endpoint_that_says_nothing(
        self, store: Store, database_url: str, tmp_path: Path
    ) -> None:
        with serving(SILENCE) as shop, application_of(database_url, tmp_path) as application:
            store.damage(f"UPDATE endpoints SET url = '{shop.url}'")

            application.drain(NOTIFICATIONS, budget=BUDGET)
            before = mails(store)
            store.damage(*AGAIN)
            application.drain(NOTIFICATIONS, budget=BUDGET)

        assert (before, mails(store)) == ({"waiting"}, {"kept"})


class TestCallbacks:
    def test_have_their_turn_beside_a_mail_server_that_says_nothing(
        self, store: Store, database_url: str, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent, serving(an_answer(200)) as shop:
            store.damage(f"UPDATE endpoints SET url = '{shop.url}'")
            smtp = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
            with application_of(database_url, tmp_path, TRUEUP_SMTP_URL=smtp) as application:
                application.drain(NOTIFICATIONS, budget=0.0)  # the turn of callbacks passes: mails come first

                application.drain(NOTIFICATIONS, budget=BUDGET)
                before = delivered(store)
                store.damage(*AGAIN)
                application.drain(NOTIFICATIONS, budget=BUDGET)

        assert before == 0
        assert delivered(store) > 0
        assert mails(store) == {"waiting"}


class TestADrainThatFindsNothing:
    def test_keeps_the_plans_that_its_connection_has_prepared(
        self, store: Store, database_url: str, tmp_path: Path
    ) -> None:
        store.damage("DELETE FROM due_work")
        with application_of(database_url, tmp_path) as application:
            for _ in range(10):
                application.drain(POLLING)

            with application.engine.connect() as connection:
                prepared = run(connection, "SELECT statement FROM pg_prepared_statements").scalars().all()

        assert any("FROM lanes" in statement for statement in prepared)
