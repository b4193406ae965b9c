"""From a case to a mail server, through the store and the drain of a real process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from adapters.bootstrap import Application
from adapters.persistence.verify import verify
from config.messaging import NOTIFICATIONS
from config.settings import load
from domain.model.answer import Record
from tests.builders import a_record, money
from tests.integration.mail_server import MailServer
from tests.integration.store import Store
from tests.servers import end_group, free_ports

_TRUEUP = "from adapters.cli.main import main; main()"
HOSTILE = "A-1\r\nBcc: thief@evil.example <script>é"
# What is leased is soon anybody's again.
QUICK = {
    "TRUEUP_LEASE_SECONDS": "1",
    "TRUEUP_DRAIN_SECONDS": "0.5",
    "TRUEUP_WAVE_SECONDS": "0.1",
    "TRUEUP_MAIL_SECONDS": "5",
    "TRUEUP_MAIL_FROM": "trueup@pay.example",
}


def paid_too_much(order: str) -> Record:
    return a_record("paid", reference=f"pay-{order}", amount_received=money("150.00"))


class Desk:
    """A merchant who is mailed, and orders about which there is something to say."""

    def __init__(self, engine: Engine, database_url: str, home: Path) -> None:
        self.store = Store(engine)
        self.settings = {
            **QUICK,
            "TRUEUP_DATABASE_URL": database_url,
            "TRUEUP_BROKER_URL": "redis://127.0.0.1:1/0",
            "TRUEUP_HOME": str(home),
        }
        self.store.damage(
            "DELETE FROM endpoints",
            "UPDATE merchants SET email = 'ops@shop.example', mail_name = 'Der Läden'",
        )

    def open_case(self, order: str = "A-1") -> None:
        """Let too much be paid."""
        self.store.register(order)
        self.store.answer(order, paid_too_much(order))

    def drain(self, server: MailServer | None, **more: str) -> None:
        """Do in this process what is due of callbacks and mails."""
        settings = {**self.settings, **more} | ({} if server is None else {"TRUEUP_SMTP_URL": server.url})
        database, broker = settings["TRUEUP_DATABASE_URL"], settings["TRUEUP_BROKER_URL"]
        with closing(Application(load(settings), database_url=database, broker_url=broker)) as application:
            application.drain(NOTIFICATIONS, budget=5)

    def draining(self, server: MailServer) -> "subprocess.Popen[bytes]":
        """Do it in a process of its own, again and again."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")}
        return subprocess.Popen(
            [sys.executable, "-c", _TRUEUP, "drain", "--loop", "--queue", NOTIFICATIONS],
            env={**inherited, **self.settings, "TRUEUP_SMTP_URL": server.url},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def hurry(self) -> None:
        """Let the time come for which mails and their lane wait."""
        self.store.damage(
            "UPDATE due_work SET due_at = now() WHERE kind = 'mail' AND lease IS NULL",
            "UPDATE lanes SET paused_until = NULL WHERE family = 'mail'",
        )

    def mails(self) -> list[tuple[Any, ...]]:
        return self.store.ask("SELECT state, tries, message_id, error FROM mails ORDER BY id")

    def cases(self) -> list[str]:
        return [row[0] for row in self.store.ask("SELECT kind FROM cases ORDER BY id")]

    def lane(self) -> tuple[Any, ...]:
        [found] = self.store.ask("SELECT failures, paused_until > now() FROM lanes WHERE family = 'mail'")
        return found

    def breaches(self) -> list[str]:
        return [str(breach) for breach in verify(self.store.engine)]


@pytest.fixture
def desk(engine: Engine, database_url: str, tmp_path: Path) -> Desk:
    return Desk(engine, database_url, tmp_path)


class TestAMailOfACase:
    def test_arrives_once(self, desk: Desk, mail_server: MailServer) -> None:
        desk.open_case()

        desk.drain(mail_server)
        desk.drain(mail_server)

        [taken] = mail_server.taken
        [(state, tries, message_id, _)] = desk.mails()
        assert (state, tries) == ("sent", 1)
        assert taken.message["Message-ID"] == message_id
        assert taken.recipients == ["ops@shop.example"]
        assert parseaddr(str(taken.message["From"]))[1] == "trueup@pay.example"
        assert "A-1" in taken.message["Subject"]
        assert desk.breaches() == []

    def test_about_hostile_names_says_them_and_does_nothing_else(self, desk: Desk, mail_server: MailServer) -> None:
        desk.store.damage(
            "UPDATE merchants SET name = E'<b>Läden</b>\\r\\nBcc: a@evil.example',"
            " mail_name = E'\"Läden\" <a@evil.example>, x\\r\\nCc: b@evil.example',"
            " mail_link = 'https://shop.example/{order}'"
        )
        desk.store.register("A-1")
        desk.store.damage("UPDATE orders SET reference = E'" + HOSTILE.replace("\r\n", "\\r\\n") + "'")
        [(order,)] = desk.store.ask("SELECT reference FROM orders")

        desk.store.answer(order, paid_too_much("A-1"))
        desk.drain(mail_server)

        [taken] = mail_server.taken
        html = taken.message.get_body(("html",)).get_content()  # type: ignore[union-attr] # it has one
        assert taken.recipients == ["ops@shop.example"]
        assert [name for name in taken.message if name.lower() in ("bcc", "cc")] == []
        assert "<script>" not in html
        assert "<b>" not in html
        assert "thief@evil.example" in taken.message["Subject"]

    def test_that_is_put_off_comes_again_under_its_name(self, desk: Desk, mail_server: MailServer) -> None:
        mail_server.answers = ["451 greylisted"]
        desk.open_case()

        desk.drain(mail_server)
        before = desk.mails()
        desk.hurry()
        desk.drain(mail_server)

        [(state, tries, message_id, error)] = before
        assert (state, tries, error) == ("waiting", 1, "451 greylisted")
        assert mail_server.offered == [message_id] * 2
        assert [row[:2] for row in desk.mails()] == [("sent", 2)]
        assert desk.breaches() == []

    def test_that_is_refused_becomes_a_case_and_nothing_more(self, desk: Desk, mail_server: MailServer) -> None:
        mail_server.answers = ["550 no such mailbox"]
        desk.open_case()
        events = desk.store.ask("SELECT count(*) FROM events")

        desk.drain(mail_server, TRUEUP_OPERATOR_EMAIL="ops@pay.example")
        desk.hurry()
        desk.drain(mail_server, TRUEUP_OPERATOR_EMAIL="ops@pay.example")

        assert [row[0] for row in desk.mails()] == ["failed"]
        assert desk.cases() == ["AMOUNT_MISMATCH", "UNDELIVERABLE"]
        assert len(mail_server.offered) == 1
        assert desk.store.ask("SELECT count(*) FROM events") == events
        assert desk.store.ask("SELECT 1 FROM due_work WHERE kind = 'mail'") == []
        assert desk.breaches() == []

    def test_is_kept_where_no_server_is_set(self, desk: Desk) -> None:
        desk.open_case()

        desk.drain(None)

        [(state, tries, _, error)] = desk.mails()
        assert (state, tries) == ("kept", 0)
        assert "TRUEUP_SMTP_URL" in error
        assert desk.breaches() == []


class TestAServerThatIsAway:
    def test_is_left_alone_and_gets_everything_when_it_is_back(self, desk: Desk) -> None:
        server = MailServer(port=free_ports(1)[0])
        for number in range(6):
            desk.open_case(f"A-{number}")

        desk.drain(server)
        (failures, paused), before = desk.lane(), desk.mails()
        desk.hurry()
        server.begin()
        try:
            while any(state == "waiting" for state, *_ in desk.mails()):
                desk.drain(server)
                desk.hurry()
        finally:
            server.end()

        assert (failures >= 5, paused) == (True, True)
        assert {row[:2] for row in before} == {("waiting", 0)}
        assert sorted(server.offered) == sorted(row[2] for row in before)
        assert desk.lane()[0] == 0
        assert desk.breaches() == []


class TestAWorkerThatIsKilled:
    @pytest.fixture
    def running(self) -> Iterator[list["subprocess.Popen[bytes]"]]:
        started: list[subprocess.Popen[bytes]] = []
        yield started
        for process in started:
            end_group(process, first=signal.SIGKILL)

    def test_right_after_its_mail_was_taken_leaves_it_to_another_who_sends_it_under_the_same_name(
        self, desk: Desk, mail_server: MailServer, running: list["subprocess.Popen[bytes]"]
    ) -> None:
        desk.open_case()
        mail_server.meanwhile = lambda: running[0].kill() if len(mail_server.offered) == 1 else None

        running.append(desk.draining(mail_server))
        mail_server.wait(1)
        running[0].wait(30)
        between = desk.mails()
        running.append(desk.draining(mail_server))
        mail_server.wait(2, seconds=60)
        end_group(running[1])

        [(state, tries, message_id, _)] = between
        assert (state, tries) == ("waiting", 0)
        assert mail_server.offered == [message_id] * 2
        assert [row[:2] for row in desk.mails()] == [("sent", 1)]
        assert desk.cases() == ["AMOUNT_MISMATCH"]
        assert desk.breaches() == []
