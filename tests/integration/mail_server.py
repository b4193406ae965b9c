"""A real mail server for tests: aiosmtpd in a thread, which answers by script and keeps what it took."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers import free_ports

USER: Final = "trueup"
PASSWORD: Final = "correct-horse"
_MAKE: Final = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Of 127.0.0.1, and vouched for by nobody but itself."""

    file: Path
    key: Path

    def shown(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.file, self.key)
        return context

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if shutil.which("openssl") is None:
        pytest.skip("the certificate is made with openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    name = ("-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*_MAKE, *name, "-keyout", made.key, "-out", made.file], check=True, capture_output=True)
    return made


@dataclass(slots=True)
class Taken:
    """A mail that the server took, with how it came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    login: str | None
    peer: object


@dataclass(slots=True)
class MailServer:
    """Answers each mail with the next of `answers`, and 250 when there is none."""

    port: int = 0
    answers: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)  # the Message-ID of every mail that came this far
    taken: list[Taken] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    changed: threading.Condition = field(default_factory=threading.Condition)
    _controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def begin(self, certificate: Certificate | None = None) -> None:
        """Listen; with a certificate, only to who encrypts and logs in."""
        if not self.port:
            [self.port] = free_ports(1)
        secured = certificate is not None
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=None if certificate is None else certificate.shown(),
            require_starttls=secured,
            authenticator=_authenticate if secured else None,
            auth_required=secured,
            auth_require_tls=secured,
        )
        self._controller.start()

    def end(self) -> None:
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.stop()

    def wait(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many mails were offered."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.offered) >= count, seconds), self.offered

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        raw = envelope.original_content or b""
        message = message_from_bytes(raw, policy=policy.default)
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer.startswith("250"):
            given: Any = session.auth_data
            login = given.login.decode() if isinstance(given, LoginPassword) else None
            self.taken.append(
                Taken(
                    sender=envelope.mail_from or "",
                    recipients=list(envelope.rcpt_tos),
                    message=message,
                    encrypted=session.ssl is not None,
                    login=login,
                    peer=session.peer,
                )
            )
        with self.changed:
            self.offered.append(message["Message-ID"])
            self.changed.notify_all()
        self.meanwhile()
        return answer


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A server that listens; ended at the end."""
    server = MailServer()
    server.begin()
    yield server
    with suppress(AssertionError):
        server.end()


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and given == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False, auth_data=given)
