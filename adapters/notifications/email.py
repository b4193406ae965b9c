"""Mails over SMTP: the standard library's client, in a few threads that keep their connection while there is work.

A drain waits for many answers at once and has no event loop; a mail is a dozen turns of one conversation. So threads
around `smtplib`, and no further library.
"""

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from itertools import count
from queue import Empty, SimpleQueue
from typing import Final

from config.mail import MailServer, checked_address
from domain.model.mail import Mail, MailAnswer, MailEnd

__all__ = ["KeptCalls", "SmtpCalls", "message_of"]

CONNECTIONS: Final = 4
TIMEOUT_SECONDS: Final = 30.0
_TURN_SECONDS: Final = 15.0  # for one turn of the conversation
_IDLE_SECONDS: Final = 5.0  # so long a connection waits for the next mail
_CLOSING_SECONDS: Final = 1.0

# What a server says of itself or of our login, whatever the mail.
_OF_THE_SERVER: Final = frozenset({421, 454, 530, 534, 535, 538})
_PASSING: Final = range(400, 500)
_LASTING: Final = range(500, 600)
_LONGEST_REASON: Final = 300


class KeptCalls:
    """A `domain.ports.notifier.MailCalls` where no mail server is set: mails are kept and shown."""

    def __init__(self) -> None:
        self._begun: list[Mail] = []

    def send(self, mail: Mail) -> None:
        self._begun.append(mail)

    def collect(self, timeout: float) -> Sequence[tuple[Mail, MailAnswer]]:  # noqa: ARG002 - there is nothing to wait for
        begun, self._begun = self._begun, []
        return [(mail, _kept("TRUEUP_SMTP_URL is not set")) for mail in begun]

    def under_way(self) -> int:
        return len(self._begun)

    def close(self) -> None:
        self._begun.clear()


class SmtpCalls:
    """A `domain.ports.notifier.MailCalls` over SMTP.

    `sender` is the address that mails come from, and to which failures go; `operator` gets what concerns the system.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        sender: str | None = None,
        operator: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connections: int = CONNECTIONS,
    ) -> None:
        self._server = server
        self._sender = sender or f"trueup@{_own_name()}"
        self._operator = operator
        self._tls = tls
        self._timeout = timeout_seconds
        self._connections = connections
        self._lock = threading.Lock()
        self._tokens = count(1)
        self._begun: dict[int, tuple[Mail, float]] = {}
        self._threads: set[threading.Thread] = set()
        self._asked: SimpleQueue[tuple[int, Mail, str] | None] = SimpleQueue()
        self._ended: SimpleQueue[tuple[int, MailAnswer]] = SimpleQueue()

    def send(self, mail: Mail) -> None:
        """Begin a try. One that nobody would get ends with the next `collect`."""
        token = next(self._tokens)
        self._begun[token] = (mail, time.monotonic())
        recipient = mail.recipient or self._operator
        if recipient is None:
            self._ended.put((token, _kept("TRUEUP_OPERATOR_EMAIL is not set")))
            return
        self._asked.put((token, mail, recipient))
        with self._lock:
            if len(self._threads) < min(self._connections, len(self._begun)):
                thread = threading.Thread(target=self._work, name="trueup-mail", daemon=True)
                self._threads.add(thread)
                thread.start()

    def collect(self, timeout: float) -> Sequence[tuple[Mail, MailAnswer]]:
        """Wait up to `timeout` seconds for at least one try to end; return all that have ended."""
        ended: list[tuple[Mail, MailAnswer]] = []
        wait = min(timeout, max(self._next_overdue() - time.monotonic(), 0.0))
        with suppress(Empty):
            while True:
                token, answer = self._ended.get(timeout=0.0 if ended else wait) if wait else self._ended.get_nowait()
                begun = self._begun.pop(token, None)
                if begun is not None:
                    ended.append((begun[0], answer))
                    wait = 0.0
        return ended + self._overdue()

    def under_way(self) -> int:
        return len(self._begun)

    def close(self) -> None:
        """End every connection; what is under way is let go."""
        self._begun.clear()
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._asked.put(None)
        for thread in threads:
            thread.join(_CLOSING_SECONDS)

    def _next_overdue(self) -> float:
        return min((began for _, began in self._begun.values()), default=time.monotonic()) + self._timeout

    def _overdue(self) -> list[tuple[Mail, MailAnswer]]:
        """Let go of tries that take longer than their lease allows for; what still comes of them is not looked at."""
        late = [token for token, (_, began) in self._begun.items() if time.monotonic() - began >= self._timeout]
        why = f"no end within {self._timeout:g} s"
        return [(self._begun.pop(token)[0], MailAnswer(end=MailEnd.UNREACHED, why=why)) for token in late]

    def _work(self) -> None:
        """Send what is asked for, over one connection, until there is nothing more for a while."""
        session = _Session(self._server, self._tls, min(_TURN_SECONDS, self._timeout))
        try:
            while (asked := self._next()) is not None:
                token, mail, recipient = asked
                if token in self._begun:
                    self._ended.put((token, session.attempt(mail, sender=self._sender, recipient=recipient)))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            session.close()

    def _next(self) -> tuple[int, Mail, str] | None:
        while True:
            try:
                return self._asked.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._asked.empty():
                        # Whoever asks from here on starts a thread of its own.
                        self._threads.discard(threading.current_thread())
                        return None


class _Session:
    """One connection to the mail server, opened when it is needed and again when it was lost."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext | None, timeout: float) -> None:
        self._server = server
        self._tls = tls
        self._timeout = timeout
        self._smtp: smtplib.SMTP | None = None

    def attempt(self, mail: Mail, *, sender: str, recipient: str) -> MailAnswer:
        """Hand in one mail; whatever goes wrong is the answer."""
        try:
            message = message_of(mail, sender=sender, recipient=recipient)
            envelope = _ascii(sender), _ascii(recipient)
        except (ValueError, MessageError) as error:
            return MailAnswer(end=MailEnd.REFUSED, why=f"it cannot be written: {error}")
        try:
            smtp = self._opened()
        except (OSError, ValueError, smtplib.SMTPException) as error:
            return self._lost(error)
        try:
            smtp.sendmail(envelope[0], [envelope[1]], message.as_bytes())
        except smtplib.SMTPRecipientsRefused as error:
            [(status, said)] = error.recipients.values()
            return self._refused(status, said)
        except smtplib.SMTPResponseException as error:
            return self._refused(error.smtp_code, error.smtp_error)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            return self._lost(error)
        return MailAnswer(end=MailEnd.ACCEPTED, status=250)

    def close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()

    def _opened(self) -> smtplib.SMTP:
        if self._smtp is not None and _lives(self._smtp):
            return self._smtp
        self._drop()
        server = self._server
        if server.tls:
            tls = self._tls or ssl.create_default_context()
            self._smtp = smtplib.SMTP_SSL(
                server.host, server.port, local_hostname=_own_name(), timeout=self._timeout, context=tls
            )
        else:
            self._smtp = smtplib.SMTP(server.host, server.port, local_hostname=_own_name(), timeout=self._timeout)
            self._start_tls(self._smtp)
        if server.user is not None:
            self._smtp.login(server.user, server.password)
        return self._smtp

    def _start_tls(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if self._server.needs_starttls or (self._server.starttls == "offered" and smtp.has_extn("starttls")):
            smtp.starttls(context=self._tls or ssl.create_default_context())
            smtp.ehlo()

    def _refused(self, status: int, said: bytes | str) -> MailAnswer:
        why = said.decode(errors="replace") if isinstance(said, bytes) else said
        why = f"{status} {' '.join(why.split())}"[:_LONGEST_REASON]
        if status in _OF_THE_SERVER or status not in (*_PASSING, *_LASTING):
            self._drop()
            return MailAnswer(end=MailEnd.UNREACHED, status=status, why=why)
        return MailAnswer(end=MailEnd.LATER if status in _PASSING else MailEnd.REFUSED, status=status, why=why)

    def _lost(self, error: Exception) -> MailAnswer:
        self._drop()
        status = error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]
        return MailAnswer(end=MailEnd.UNREACHED, status=status, why=why)

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()


def message_of(mail: Mail, *, sender: str, recipient: str) -> EmailMessage:
    """Return the mail as it goes over the wire; the library encodes every name, and refuses a line end in a header.

    Raises:
        ValueError: a part of it cannot stand in a header.
    """
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = mail.message_id
    message["Date"] = mail.created_at
    message["From"] = Address(display_name=mail.sender_name or "Trueup", addr_spec=_ascii(mail.sender or sender))
    message["To"] = Address(addr_spec=_ascii(recipient))
    message["Subject"] = mail.subject
    # RFC 3834: no answering machine answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _kept(why: str) -> MailAnswer:
    return MailAnswer(end=MailEnd.KEPT, why=why)


def _ascii(address: str) -> str:
    """Return the address as every mail server takes it, its host in the form of the DNS.

    Raises:
        ValueError: it is no address.
    """
    box, _, host = checked_address(address).rpartition("@")
    return f"{box}@{host.encode('idna').decode()}"


def _lives(smtp: smtplib.SMTP) -> bool:
    try:
        return bool(smtp.noop()[0] == 250)  # noqa: PLR2004 - SMTP's own
    except (OSError, smtplib.SMTPException):
        return False


@cache
def _own_name() -> str:
    """The machine as it introduces itself; the library would ask the DNS for it, and may wait."""
    name = socket.gethostname()
    try:
        checked_address(f"trueup@{name}")
    except ValueError:
        return "localhost"
    return name if "." in name and name.isascii() else "localhost"
