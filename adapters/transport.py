"""HTTP calls under way, many at once in one thread, over libcurl's multi interface.

libcurl is told of ready sockets one by one (`socket_action`), because walking over every call whenever one of them
moves costs more than all else together once hundreds of slow calls are under way. Connections and libcurl's handles
are used again and again. A handle keeps what it was told, so only what differs from its last call is set.
"""

import select
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec
import pycurl

AddressGuard: TypeAlias = Callable[[str], bool]
Kind: TypeAlias = Literal["connect", "timeout", "broken", "garbled", "too_large", "forbidden"]

MEBIBYTE: Final = 1024 * 1024
LONGEST_SENSIBLE_WAIT: Final = timedelta(days=30)
_ABSURD_DIGITS: Final = 9  # seconds with more digits are cut, and still far beyond what is sensible

# What libcurl calls it, and what we make of it. Every other code means that no connection came about or it broke.
KINDS: Final[dict[int, Kind]] = {
    pycurl.E_URL_MALFORMAT: "forbidden",
    pycurl.E_UNSUPPORTED_PROTOCOL: "forbidden",
    pycurl.E_COULDNT_RESOLVE_HOST: "connect",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_SSL_CONNECT_ERROR: "connect",
    pycurl.E_PEER_FAILED_VERIFICATION: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_FILESIZE_EXCEEDED: "too_large",
    8: "garbled",  # CURLE_WEIRD_SERVER_REPLY, which pycurl gives an older name
}

# epoll where there is one; poll has the same face, counts in milliseconds, and gives its bits the same values
_POLLER: Final[Any] = getattr(select, "epoll", None) or select.poll
_TICKS_A_SECOND: Final = 1 if hasattr(select, "epoll") else 1000
_READABLE: Final = select.POLLIN
_WRITABLE: Final = select.POLLOUT
_READ_AT_ONCE: Final = 1000
_INTERESTS: Final = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}


class Request(msgspec.Struct, frozen=True):
    """One call. `headers` are lines (`Accept: ...`); the same tuple for every call is the cheapest.

    `timeout` bounds the whole call, `connect_timeout` the looking up of the name and the connection; in seconds.
    `address_guard` says whether an address may be connected to. It sees the one really used, whatever the name
    resolved to before.

    `once` keeps libcurl from sending it a second time by itself, as it does where a connection that was used before
    breaks without an answer. It gets a new connection, which is what it costs.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: tuple[str, ...] = ()
    body: bytes | None = None
    timeout: float = 15.0
    connect_timeout: float = 5.0
    max_bytes: int = MEBIBYTE
    address_guard: AddressGuard | None = None
    once: bool = False


class Response(msgspec.Struct, frozen=True, gc=False):
    """A whole answer, whatever its status."""

    status: int
    body: bytes
    header_lines: tuple[bytes, ...] = ()

    def header(self, name: str) -> str | None:
        """Return the last header of this name, parsed only now that somebody wants it."""
        wanted = name.lower().encode()
        for line in reversed(self.header_lines):
            key, _, value = line.partition(b":")
            if key.strip().lower() == wanted:
                return value.strip().decode("latin-1")
        return None

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty where none was given."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> timedelta | None:
        """How long we are asked to wait, a month at most: seconds or an HTTP date (RFC 9110, 10.2.3); else None.

        A date is measured against the answer's own `Date`, so that no clock of ours has a say where both are given.
        """
        value = self.header("retry-after") or ""
        if value.isascii() and value.isdecimal():
            wait = timedelta(seconds=int(value.lstrip("0")[:_ABSURD_DIGITS] or "0"))
        else:
            try:
                until = _http_date(value)
                wait = until - (_http_date(dated) if (dated := self.header("date")) else datetime.now(UTC))
            except (ValueError, OverflowError):
                return None
        return min(wait, LONGEST_SENSIBLE_WAIT) if wait >= timedelta() else None


def _http_date(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Failure(msgspec.Struct, frozen=True):
    """No whole answer. `status` is there if the answer had begun; `garbled` is an answer that is no HTTP."""

    kind: Kind
    why: str
    status: int | None = None


class _Slot:
    """A handle of libcurl's, with what it was told last and what it has received."""

    __slots__ = (
        "bare",
        "body",
        "curl",
        "guard",
        "header_lines",
        "headers",
        "method",
        "once",
        "refused",
        "tag",
        "terms",
    )

    def __init__(self) -> None:
        self.curl = curl = pycurl.Curl()
        self.body: list[bytes] = []
        self.header_lines: list[bytes] = []
        self.headers: tuple[str, ...] = ()
        self.method = "GET"
        self.once = False
        self.bare = True
        self.guard: AddressGuard | None = None
        self.terms: tuple[float, float, int] | None = None
        self.refused: str | None = None
        self.tag: Any = None
        curl.setopt(pycurl.WRITEFUNCTION, self.body.append)  # no Python frame for a line or a piece
        curl.setopt(pycurl.HEADERFUNCTION, self.header_lines.append)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # none, not even from the environment
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.PATH_AS_IS, 1)  # a reference may be called `..`
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # a connection that breaks takes one call along
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.TCP_KEEPIDLE, 30)
        curl.setopt(pycurl.TCP_KEEPINTVL, 15)

    def prepare(self, request: Request) -> None:
        """Set what differs from the last call.

        Raises:
            ValueError: a header or the URL holds what would end it early.
            pycurl.error: libcurl does not take a value.
        """
        curl = self.curl
        curl.setopt(pycurl.URL, request.url if request.url.isascii() else request.url.encode())
        terms = (request.timeout, request.connect_timeout, request.max_bytes)
        if terms != self.terms:
            self.terms = None
            curl.setopt(pycurl.TIMEOUT_MS, max(1, round(request.timeout * 1000)))
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(request.connect_timeout * 1000)))
            curl.setopt(pycurl.MAXFILESIZE, request.max_bytes)
            self.terms = terms
        if request.method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, request.body or b"")
        elif self.method != "GET":
            curl.setopt(pycurl.HTTPGET, 1)
        self.method = request.method
        if request.once is not self.once:
            curl.setopt(pycurl.FRESH_CONNECT, request.once)
            self.once = request.once
        bare = request.body is None
        if request.headers is not self.headers or bare is not self.bare:
            self._set_headers(request.headers, bare=bare)
        if request.address_guard != self.guard:
            self._set_guard(request.address_guard)

    def received(self) -> Response:
        return Response(self.curl.getinfo(pycurl.RESPONSE_CODE), b"".join(self.body), tuple(self.header_lines))

    def failed(self, code: int, why: str) -> Failure:
        status = self.curl.getinfo(pycurl.RESPONSE_CODE) or None
        if self.refused is not None:
            return Failure("forbidden", f"the address {self.refused} may not be connected to", status)
        kind = KINDS.get(code, "broken")
        if code == pycurl.E_UNSUPPORTED_PROTOCOL and "HTTP/0.9" in why:
            kind = "garbled"
        return Failure(kind, why or f"libcurl's error {code}", status)

    def clear(self) -> None:
        self.body.clear()
        self.header_lines.clear()
        self.refused = self.tag = None

    def _set_headers(self, headers: tuple[str, ...], *, bare: bool) -> None:
        if any("\n" in line or "\r" in line or "\0" in line for line in headers):
            raise ValueError("a header holds the end of a line")
        lines = [line.encode() for line in headers]
        if bare:
            lines.append(b"Content-Type:")  # libcurl would call the empty body of a POST a form
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self.headers, self.bare = headers, bare

    def _set_guard(self, guard: AddressGuard | None) -> None:
        if guard is None:
            self.curl.unsetopt(pycurl.OPENSOCKETFUNCTION)
        else:
            self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        self.guard = guard

    def _open_socket(self, _purpose: int, address: Any) -> Any:
        host = str(address.addr[0])
        if self.guard is None or not self.guard(host):
            self.refused = host
            return pycurl.SOCKET_BAD
        return _Opened(socket.socket(address.family, address.socktype, address.protocol))


class _Opened:
    """A socket for libcurl, which keeps a duplicate of it and drops ours."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened
        self.fileno = opened.fileno

    def __del__(self) -> None:
        self._opened.close()


class Transport:
    """A window of calls, for one thread of one process.

    Nothing is opened before the first call, so it may be made before a fork and used after it. Connections are kept by
    host: give calls to one host either always the same guard or never one.

    `connections_per_host` bounds what is open to one host at a time (a call that waits for its turn spends its time),
    `idle_connections` how many connections are kept in all.
    """

    def __init__(self, *, connections_per_host: int = 512, idle_connections: int = 512) -> None:
        self._connections_per_host = connections_per_host
        self._idle_connections = idle_connections
        self._multi: Any = None
        self._poller: Any = None
        self._watched: set[int] = set()
        self._due: float | None = None  # when libcurl wants to look at its clock, on ours
        self._live: dict[Any, _Slot] = {}
        self._free: list[_Slot] = []
        self._stillborn: list[tuple[Any, Response | Failure]] = []

    @property
    def under_way(self) -> int:
        """How many calls have begun and not been collected."""
        return len(self._live) + len(self._stillborn)

    def start(self, request: Request, tag: Any) -> None:
        """Begin a call; `tag` comes back with its end. It moves on only inside `collect`."""
        if self._multi is None:
            self._open()
        slot = self._free.pop() if self._free else _Slot()
        try:
            slot.prepare(request)
        except (ValueError, pycurl.error) as error:
            self._stillborn.append((tag, Failure("forbidden", f"not a request: {error}")))
            return  # the handle may be half set, so it goes
        slot.tag = tag
        self._live[slot.curl] = slot
        self._multi.add_handle(slot.curl)

    def collect(self, timeout: float) -> list[tuple[Any, Response | Failure]]:
        """Wait up to `timeout` seconds for at least one call to end; return (tag, end) of all that have ended."""
        ended, self._stillborn = self._stillborn, []
        if not self._live:
            return ended
        until = time.monotonic() + timeout
        wait = 0.0
        while True:
            self._move(wait)
            self._reap(ended)
            left = until - time.monotonic()
            if ended or left <= 0 or not self._live:
                return ended
            wait = left

    def close(self) -> None:
        """Break off what is under way and close every connection."""
        if self._multi is None:
            return
        for slot in (*self._live.values(), *self._free):
            if slot.tag is not None:
                self._multi.remove_handle(slot.curl)
            slot.curl.close()
        self._multi.close()
        if hasattr(self._poller, "close"):
            self._poller.close()
        self._multi = self._poller = self._due = None
        self._live.clear()
        self._free.clear()
        self._watched.clear()
        self._stillborn.clear()

    def _open(self) -> None:
        self._poller = _POLLER()
        self._multi = multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, 0)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self._connections_per_host)
        multi.setopt(pycurl.M_MAXCONNECTS, self._idle_connections)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def _move(self, wait: float) -> None:
        """Let libcurl act on the sockets that are ready within `wait` seconds, then on its clock."""
        act = self._multi.socket_action
        if self._due is not None:
            wait = min(wait, max(0.0, self._due - time.monotonic()))
        for descriptor, ready in self._poller.poll(wait * _TICKS_A_SECOND):
            if ready == _READABLE:
                act(descriptor, pycurl.CSELECT_IN)
            else:  # what is neither of both is an error or the other side's going, and reading tells which
                act(descriptor, (ready & _WRITABLE and pycurl.CSELECT_OUT) | (ready & ~_WRITABLE and pycurl.CSELECT_IN))
        if self._due is not None and self._due <= time.monotonic():
            self._due = None
            act(pycurl.SOCKET_TIMEOUT, 0)

    def _reap(self, ended: list[tuple[Any, Response | Failure]]) -> None:
        more = 1
        while more:
            more, done, failed = self._multi.info_read(_READ_AT_ONCE)
            for curl in done:
                self._retire(curl, ended)
            for curl, code, why in failed:
                self._retire(curl, ended, code, why)

    def _retire(self, curl: Any, ended: list[tuple[Any, Response | Failure]], code: int = 0, why: str = "") -> None:
        slot = self._live.pop(curl)
        ended.append((slot.tag, slot.failed(code, why) if code else slot.received()))
        self._multi.remove_handle(curl)
        slot.clear()
        self._free.append(slot)

    def _on_socket(self, interest: int, descriptor: int, _multi: Any, _assigned: Any) -> None:
        if interest == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._poller.unregister(descriptor)
        elif descriptor in self._watched:
            self._poller.modify(descriptor, _INTERESTS[interest])
        else:
            self._poller.register(descriptor, _INTERESTS[interest])
            self._watched.add(descriptor)

    def _on_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
