"""Mails over SMTP, against a real server."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from email.headerregistry import Address

import pytest

from adapters.notifications.email import SmtpCalls, message_of
from config.mail import MailServer as Server
from domain.model.mail import Mail, MailAnswer, MailEnd
from tests.builders import a_mail
from tests.integration.mail_server import PASSWORD, USER, Certificate, MailServer
from tests.servers import free_ports

SENDER = "trueup@pay.example"
Open = Callable[..., SmtpCalls]


@pytest.fixture
def calls() -> Iterator[Open]:
    opened: list[SmtpCalls] = []

    def open_(server: MailServer | str, **given: object) -> SmtpCalls:
        url = server if isinstance(server, str) else server.url
        given = {"sender": SENDER, "operator": "ops@pay.example", "timeout_seconds": 20.0} | given
        opened.append(SmtpCalls(Server.parse(url), **given))  # type: ignore[arg-type] # options of its own names
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def tried(calls: SmtpCalls, *mails: Mail) -> list[MailAnswer]:
    """Send these at once; return what became of each, in their order."""
    for mail in mails:
        calls.send(mail)
    answers: dict[int, MailAnswer] = {}
    while calls.under_way():
        answers |= {mail.id: answer for mail, answer in calls.collect(1.0)}
    return [answers[mail.id] for mail in mails]


def ends(answers: Sequence[MailAnswer]) -> list[MailEnd]:
    return [answer.end for answer in answers]


class TestAMail:
    def test_comes_as_text_and_as_html_under_its_own_name(self, mail_server: MailServer, calls: Open) -> None:
        mail = a_mail(subject="Case 7: Geld kam spät", text="What we know: 12 €\n", html="<p>12 €</p>\n")

        [answer] = tried(calls(mail_server), mail)

        [taken] = mail_server.taken
        message = taken.message
        body = {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in message.iter_parts()}
        assert answer.end is MailEnd.ACCEPTED
        assert message.get_content_type() == "multipart/alternative"
        assert body == {"text/plain": "What we know: 12 €\n", "text/html": "<p>12 €</p>\n"}
        assert message["Subject"] == "Case 7: Geld kam spät"
        assert message["Message-ID"] == mail.message_id
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Date"].datetime == mail.created_at
        assert message["From"].addresses == (Address("Trueup", addr_spec=SENDER),)
        assert (taken.sender, taken.recipients) == (SENDER, ["ops@shop.example"])

    def test_looks_as_its_merchant_wants_and_bounces_to_us(self, mail_server: MailServer, calls: Open) -> None:
        tried(calls(mail_server), a_mail(sender="shop@shop.example", sender_name="Der Läden, GmbH <x>"))

        [taken] = mail_server.taken
        assert taken.message["From"].addresses == (Address("Der Läden, GmbH <x>", addr_spec="shop@shop.example"),)
        assert taken.sender == SENDER

    def test_of_the_system_goes_to_the_operator(self, mail_server: MailServer, calls: Open) -> None:
        tried(calls(mail_server), a_mail(recipient=None))

        assert mail_server.taken[0].recipients == ["ops@pay.example"]

    def test_of_the_system_is_kept_if_nobody_is_named(self, mail_server: MailServer, calls: Open) -> None:
        [answer] = tried(calls(mail_server, operator=None), a_mail(recipient=None))

        assert (answer.end, mail_server.offered) == (MailEnd.KEPT, [])
        assert "TRUEUP_OPERATOR_EMAIL" in str(answer.why)

    @pytest.mark.parametrize(
        "hostile",
        [
            {"sender_name": "Shop\r\nBcc: thief@evil.example"},
            {"subject": "Hello\r\nBcc: thief@evil.example\r\n\r\nbody"},
            {"recipient": "ops@shop.example\r\nRCPT TO:<thief@evil.example>"},
            {"recipient": "ops@shop.example> <thief@evil.example"},
            {"recipient": "öps@shop.example"},
            {"sender": "a@b@c.example"},
            {"sender": "@"},
        ],
    )
    def test_that_would_say_more_than_one_line_is_refused_before_it_is_sent(
        self, mail_server: MailServer, calls: Open, hostile: dict[str, str]
    ) -> None:
        [answer] = tried(calls(mail_server), a_mail(**hostile))

        assert answer.end is MailEnd.REFUSED
        assert mail_server.taken == []

    def test_to_a_host_in_another_script_goes_by_the_name_in_the_dns(self) -> None:
        message = message_of(a_mail(recipient="ops@läden.example"), sender=SENDER, recipient="ops@läden.example")

        assert message["To"] == "ops@xn--lden-loa.example"


class TestTheServersWord:
    @pytest.mark.parametrize(
        ("said", "end"),
        [
            ("451 try again later", MailEnd.LATER),
            ("452 too much", MailEnd.LATER),
            ("550 no such mailbox", MailEnd.REFUSED),
            ("554 spam", MailEnd.REFUSED),
            ("421 going away", MailEnd.UNREACHED),
            ("530 authentication required", MailEnd.UNREACHED),
        ],
    )
    def test_decides_what_becomes_of_a_mail(
        self, mail_server: MailServer, calls: Open, said: str, end: MailEnd
    ) -> None:
        mail_server.answers = [said]
        opened = calls(mail_server)
        mail = a_mail()

        [first] = tried(opened, mail)
        [second] = tried(opened, mail)

        assert (first.end, first.status, first.why) == (end, int(said[:3]), said)
        assert second.end is MailEnd.ACCEPTED
        assert mail_server.offered == [mail.message_id] * 2


class TestManyMails:
    def test_share_a_few_connections(self, mail_server: MailServer, calls: Open) -> None:
        mails = [a_mail(id=n, message_id=f"<mail-{n}@trueup>") for n in range(30)]

        answers = tried(calls(mail_server, connections=3), *mails)

        assert set(ends(answers)) == {MailEnd.ACCEPTED}
        assert sorted(mail_server.offered) == sorted(mail.message_id for mail in mails)
        assert len({str(taken.peer) for taken in mail_server.taken}) <= 3

    def test_survive_a_server_that_was_away_between_them(self, mail_server: MailServer, calls: Open) -> None:
        opened = calls(mail_server)
        [before] = tried(opened, a_mail())
        mail_server.end()
        [meanwhile] = tried(opened, a_mail())
        mail_server.begin()

        [after] = tried(opened, a_mail())

        assert ends([before, meanwhile, after]) == [MailEnd.ACCEPTED, MailEnd.UNREACHED, MailEnd.ACCEPTED]


class TestAnEncryptedServer:
    @pytest.fixture
    def secured(self, mail_server: MailServer, certificate: Certificate) -> MailServer:
        mail_server.end()
        mail_server.begin(certificate)
        return mail_server

    def test_is_spoken_to_after_starttls_and_with_a_login(
        self, secured: MailServer, calls: Open, certificate: Certificate
    ) -> None:
        opened = calls(f"smtp://{USER}:{PASSWORD}@127.0.0.1:{secured.port}", tls=certificate.trusted())

        [answer] = tried(opened, a_mail())

        [taken] = secured.taken
        assert (answer.end, taken.encrypted, taken.login) == (MailEnd.ACCEPTED, True, USER)

    def test_that_nobody_vouches_for_is_told_nothing(self, secured: MailServer, calls: Open) -> None:
        [answer] = tried(calls(f"smtp://{USER}:{PASSWORD}@127.0.0.1:{secured.port}"), a_mail())

        assert (answer.end, secured.offered) == (MailEnd.UNREACHED, [])
        assert "CERTIFICATE_VERIFY_FAILED" in str(answer.why)

    def test_that_does_not_know_us_says_nothing_of_the_mail(
        self, secured: MailServer, calls: Open, certificate: Certificate
    ) -> None:
        opened = calls(f"smtp://{USER}:wrong@127.0.0.1:{secured.port}", tls=certificate.trusted())

        [answer] = tried(opened, a_mail())

        assert (answer.end, answer.status) == (MailEnd.UNREACHED, 535)
        assert "wrong" not in str(answer.why)


class TestAPlainServer:
    def test_is_told_nothing_where_starttls_is_needed(self, mail_server: MailServer, calls: Open) -> None:
        [answer] = tried(calls(f"{mail_server.url}?starttls=always"), a_mail())

        assert (answer.end, mail_server.offered) == (MailEnd.UNREACHED, [])

    def test_never_sees_a_password(self) -> None:
        assert Server.parse("smtp://me:secret@mail.example").needs_starttls
        assert not Server.parse("smtp://me:secret@mail.example?starttls=never").needs_starttls
        assert not Server.parse("smtps://me:secret@mail.example").needs_starttls


class TestASilentServer:
    def test_is_let_go_in_time(self, calls: Open) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            opened = calls(f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.5)
            began = time.monotonic()

            [answer] = tried(opened, a_mail())

        assert answer.end is MailEnd.UNREACHED
        assert time.monotonic() - began < 10

    def test_is_no_hindrance_where_nobody_listens(self, calls: Open) -> None:
        [port] = free_ports(1)

        [answer] = tried(calls(f"smtp://127.0.0.1:{port}"), replace(a_mail(), id=1))

        assert (answer.end, answer.status) == (MailEnd.UNREACHED, None)
