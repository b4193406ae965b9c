"""Checks of addresses, and the form in which they may be shown."""

import re
from collections.abc import Collection
from typing import Final, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

HIDDEN: Final = "***"
_SECRET_QUERY: Final = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class Address(NamedTuple):
    """Where a process listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, where an IPv6 host stands in brackets.

        Raises:
            ValueError: it is not of this form, or the port is not 1 to 65535.
        """
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not is_host(bare) or (":" in bare and bare == host):
            raise ValueError("should be host:port, like 127.0.0.1:8080")
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):  # noqa: PLR2004 - TCP's own bounds
            raise ValueError("the port should be a number from 1 to 65535")
        return cls(bare, int(port))


def is_host(text: str) -> bool:
    """Whether it is a host's name or address alone, with no scheme, port or path."""
    return _HOST_NAME.fullmatch(text) is not None


def checked_url(text: str, schemes: Collection[str], *, without_host: Collection[str] = ()) -> str:
    """Return the URL if it has one of the schemes, a port that exists, and a host where one is needed.

    Raises:
        ValueError: with a reason that does not repeat the URL, which may hold a password.
    """
    url = _split(text)
    if url.scheme not in schemes:
        raise ValueError(f"should begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "://" not in text:
        raise ValueError(f"should have // after {url.scheme}:")
    if url.scheme in without_host:
        if not url.path.strip("/") and not url.hostname:
            raise ValueError("names neither a host nor a path")
    elif not url.hostname:
        raise ValueError("names no host")
    return text


def _split(text: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("should hold no blanks")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL: its host or port cannot be read") from None
    return url


def without_secrets(text: str) -> str:
    """Return the URL with every password in it hidden, in the user part and in the query."""
    url = urlsplit(text)
    user, at, place = url.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    query = urlencode(
        [(key, HIDDEN if _SECRET_QUERY.search(key) else value) for key, value in parse_qsl(url.query)], safe="*/:"
    )
    shown = url._replace(netloc=f"{name}{colon}{HIDDEN if colon else ''}{at}{place}", query=query)
    # `urlunsplit` forgets the empty host of `postgresql:///name` for schemes that it does not know.
    rest = shown._replace(scheme="", netloc="").geturl().removeprefix("//")
    return f"{shown.scheme}://{shown.netloc}{rest}"
