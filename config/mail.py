"""Mail servers and addresses, as settings name them."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from config.urls import checked_url

# Submission (RFC 6409), and submission over TLS (RFC 8314): relaying from server to server, port 25, has to be named.
_PORTS: Final = {"smtp": 587, "smtps": 465}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_STARTTLS: Final = ("offered", "always", "never")

# RFC 5322's dot-atom before the @, no quoted forms; after it the name of a host, in any script.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[^\W_](?:[\w-]*[^\W_])?"
_ADDRESS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST_ADDRESS: Final = 254

StartTls = Literal["offered", "always", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mails are handed in: `smtps://` speaks TLS at once, `smtp://` after STARTTLS."""

    host: str
    port: int
    tls: bool = False
    starttls: StartTls = "offered"
    user: str | None = None
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `smtp://user:password@host:port?starttls=always`; a login and the query may be left out.

        Raises:
            ValueError: with a reason that does not repeat the URL, which may hold a password.
        """
        url = urlsplit(checked_url(text, tuple(_PORTS)))
        asked = dict(parse_qsl(url.query))
        wish = asked.pop("starttls", "offered")
        if asked or wish not in _STARTTLS:
            raise ValueError(f"after ? only starttls is known, which is one of {', '.join(_STARTTLS)}")
        if url.path.strip("/"):
            raise ValueError("should have no path")
        return cls(
            host=url.hostname or "",
            port=url.port or _PORTS[url.scheme],
            tls=url.scheme == "smtps",
            starttls="always" if wish == "always" else "never" if wish == "never" else "offered",
            user=None if url.username is None else unquote(url.username),
            password=unquote(url.password or ""),
        )

    @property
    def needs_starttls(self) -> bool:
        """Whether nothing may be said before STARTTLS: so it was asked for, or a password would be seen on the way."""
        if self.tls or self.starttls == "never":
            return False
        return self.starttls == "always" or (self.user is not None and self.host not in _LOOPBACK)


def checked_address(text: str) -> str:
    """Return the address of a mailbox.

    Raises:
        ValueError: it is none, or one that no mail server takes.
    """
    if len(text) > _LONGEST_ADDRESS or not _ADDRESS.fullmatch(text):
        raise ValueError("is no address like ops@shop.example")
    return text
