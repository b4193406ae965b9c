"""The transport against a server that misbehaves in every way; the server serves the other suites too."""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.notifications.addresses import is_public
from adapters.transport import Failure, Request, Response, Transport

PATIENCE = 10.0
Then = Literal["keep", "close", "reset", "hang"]


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """Bytes as they go over the wire, and what becomes of the connection then."""

    wire: bytes
    then: Then = "keep"


def an_answer(status: int, body: bytes = b"", *, kind: str | None = "application/json", **headers: str) -> Reply:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Type: {kind}"] if kind else []
    return Reply("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


SILENCE = Reply(b"", "hang")
CUT = Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"refer', "close")
DROPPED = Reply(b"", "close")
RESET = Reply(b"", "reset")
NO_HTTP = Reply(b"hello, I am a mail server\r\n", "close")


@dataclass
class Endpoint:
    """A server on loopback; `reply` says what each request gets."""

    reply: Callable[[Received], Reply]
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._stopped = threading.Event()
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            stream = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with stream, stream.makefile("rb") as lines:
                while (received := self._read(lines)) is not None:
                    self.received.append(received)
                    reply = self.reply(received)
                    stream.sendall(reply.wire)
                    if reply.then == "hang":
                        self._stopped.wait()
                    if reply.then == "reset":
                        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if reply.then != "keep":
                        return

    @staticmethod
    def _read(lines: Any) -> Received | None:
        first = lines.readline().decode().split()
        if not first:
            return None
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Received(first[0], first[1], headers, lines.read(int(headers.get("content-length", "0"))))


@contextmanager
def serving(reply: Reply | Callable[[Received], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    endpoint = Endpoint(reply if callable(reply) else lambda _received: reply, tls)
    try:
        yield endpoint
    finally:
        endpoint.stop()


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


def call(transport: Transport, request: Request) -> Response | Failure:
    transport.start(request, "the tag")
    [(tag, end)] = transport.collect(PATIENCE)
    assert tag == "the tag"
    assert transport.under_way == 0
    return end


def get(url: str, **terms: Any) -> Request:
    return Request("GET", url, **terms)


class TestAnAnswer:
    def test_comes_with_its_status_its_body_and_its_headers(self, transport: Transport) -> None:
        reply = an_answer(404, b"{}", kind="Application/Problem+JSON; charset=utf-8", Retry_After="7")

        with serving(reply) as endpoint:
            end = call(transport, get(endpoint.url))

        assert isinstance(end, Response)
        assert (end.status, end.body, end.content_type) == (404, b"{}", "application/problem+json")
        assert end.retry_after == timedelta(seconds=7)

    def test_may_be_a_redirect_which_nobody_follows(self, transport: Transport) -> None:
        with serving(an_answer(302, Location="/elsewhere")) as endpoint:
            end = call(transport, get(endpoint.url))

        assert end.status == 302
        assert len(endpoint.received) == 1

    def test_does_not_come_through_a_proxy_of_the_environment(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

        with serving(an_answer(200)) as endpoint:
            assert call(transport, get(endpoint.url)).status == 200

    @pytest.mark.parametrize(
        "given",
        ["-5", "1.5", "soon", "٣", "1,2", "Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 99 Foo 2026 00:00:00 GMT", ""],
    )
    def test_asks_for_no_delay_where_it_is_not_sensible(self, given: str) -> None:
        lines = (f"Retry-After: {given}\r\n".encode(), b"Date: Fri, 02 Jan 2026 00:00:00 GMT\r\n")

        assert Response(503, b"", lines).retry_after is None

    @pytest.mark.parametrize("given", ["2592001", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
    def test_asks_for_a_month_where_it_asks_for_more(self, given: str) -> None:
        lines = (f"Retry-After: {given}\r\n".encode(), b"Date: Fri, 02 Jan 2026 00:00:00 GMT\r\n")

        assert Response(503, b"", lines).retry_after == timedelta(days=30)

    def test_asks_for_as_many_seconds_as_it_says_whatever_zeros_stand_before_them(self) -> None:
        assert Response(503, b"", (b"Retry-After: 00000000000005\r\n",)).retry_after == timedelta(seconds=5)
        assert Response(503, b"", (b"Retry-After: 000\r\n",)).retry_after == timedelta()

    def test_asks_for_a_delay_with_a_date_against_its_own(self) -> None:
        lines = (b"retry-after: Fri, 02 Jan 2026 00:01:30 GMT\r\n", b"DATE: Fri, 02 Jan 2026 00:00:00 GMT\r\n")

        assert Response(503, b"", lines).retry_after == timedelta(seconds=90)


class TestACallThatFails:
    @pytest.mark.parametrize(
        ("reply", "kind", "status"),
        [
            (CUT, "broken", 200),
            (DROPPED, "broken", None),
            (RESET, "broken", None),
            (NO_HTTP, "garbled", None),
            (SILENCE, "timeout", None),
            (Reply(CUT.wire, "hang"), "timeout", 200),
            (Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "close"), "broken", 200),
        ],
    )
    def test_says_how(self, transport: Transport, reply: Reply, kind: str, status: int | None) -> None:
        with serving(reply) as endpoint:
            end = call(transport, get(endpoint.url, timeout=0.3))

        assert isinstance(end, Failure)
        assert (end.kind, end.status) == (kind, status), end.why

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/"])
    def test_says_that_there_was_no_connection(self, transport: Transport, url: str) -> None:
        end = call(transport, get(url))

        assert isinstance(end, Failure)
        assert end.kind == "connect"

    @pytest.mark.parametrize(
        "reply",
        [
            an_answer(200, b"x" * 1001),
            Reply(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "hang"),
            Reply(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 3 * (b"1f4\r\n" + b"x" * 500 + b"\r\n"),
                "hang",
            ),
        ],
        ids=["announced", "until the end", "in chunks"],
    )
    def test_takes_no_more_bytes_than_it_may(self, transport: Transport, reply: Reply) -> None:
        with serving(reply) as endpoint:
            end = call(transport, get(endpoint.url, max_bytes=1000))

        assert isinstance(end, Failure)
        assert (end.kind, end.status) == ("too_large", 200)

    @pytest.mark.parametrize(
        "request_",
        [
            get("file:///etc/passwd"),
            get("gopher://127.0.0.1/"),
            get("http://127.0.0.1:1/", headers=("X-Key: a\r\nX-Other: b",)),
            get("http://127.0.0.1:1/\r\nHost: b"),
            get("nonsense://"),
            get("http://\0"),
        ],
        ids=str,
    )
    def test_was_none_that_may_be_made(self, transport: Transport, request_: Request) -> None:
        end = call(transport, request_)

        assert isinstance(end, Failure)
        assert end.kind == "forbidden"


class TestAGuardOfAddresses:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1"])
    def test_sees_the_address_that_is_really_used(self, transport: Transport, host: str) -> None:
        with serving(an_answer(200)) as endpoint:
            end = call(transport, get(f"http://{host}:{endpoint.port}/", address_guard=is_public))

        assert isinstance(end, Failure)
        assert end.kind == "forbidden"
        assert endpoint.connections == 0

    def test_lets_pass_what_it_likes_and_is_gone_with_its_call(self, transport: Transport) -> None:
        seen: list[str] = []

        def guard(address: str) -> bool:
            seen.append(address)
            return True

        with serving(an_answer(200, Connection="close")) as endpoint:
            guarded = call(transport, get(endpoint.url, address_guard=guard))
            free = call(transport, get(endpoint.url))

        assert (guarded.status, free.status) == (200, 200)
        assert seen == ["127.0.0.1"]


class TestATransport:
    def test_uses_a_connection_again_whatever_the_method(self, transport: Transport) -> None:
        with serving(an_answer(200, b"{}")) as endpoint:
            for request in (
                get(endpoint.url),
                Request("POST", endpoint.url, ("Content-Type: text/x",), b"body"),
                Request("POST", endpoint.url),
                get(endpoint.url, headers=("X-Last: yes",)),
            ):
                assert call(transport, request).status == 200

        assert endpoint.connections == 1
        assert [(r.method, r.body, r.headers.get("content-type")) for r in endpoint.received] == [
            ("GET", b"", None),
            ("POST", b"body", "text/x"),
            ("POST", b"", None),
            ("GET", b"", None),
        ]
        assert endpoint.received[-1].headers["x-last"] == "yes"

    def test_opens_another_connection_where_the_old_one_was_dropped(self, transport: Transport) -> None:
        with serving(Reply(an_answer(200).wire, "close")) as endpoint:
            assert [call(transport, get(endpoint.url)).status for _ in range(3)] == [200, 200, 200]

        assert endpoint.connections == 3

    @pytest.mark.parametrize(("once", "sent"), [(True, 1), (False, 2)])
    def test_sends_a_call_a_second_time_by_itself_unless_it_is_told_not_to(
        self,
        transport: Transport,
        once: bool,  # noqa: FBT001
        sent: int,
    ) -> None:
        with serving(lambda received: RESET if received.method == "POST" else an_answer(200)) as endpoint:
            assert call(transport, get(endpoint.url)).status == 200
            end = call(transport, Request("POST", endpoint.url, once=once))
            assert call(transport, get(endpoint.url)).status == 200

        assert isinstance(end, Failure)
        assert [received.method for received in endpoint.received] == ["GET", *["POST"] * sent, "GET"]

    def test_keeps_the_connection_of_a_call_that_is_sent_once(self, transport: Transport) -> None:
        with serving(an_answer(200)) as endpoint:
            for once in (False, True, False):
                assert call(transport, Request("POST", endpoint.url, once=once)).status == 200

        assert endpoint.connections == 2

    def test_lets_a_silent_call_delay_only_itself(self, transport: Transport) -> None:
        with serving(lambda received: SILENCE if received.path == "/silent" else an_answer(200)) as endpoint:
            transport.start(get(f"{endpoint.url}/silent", timeout=PATIENCE), "silent")
            for number in range(20):
                transport.start(get(f"{endpoint.url}/{number}"), number)
            ended: list[Any] = []
            while len(ended) < 20:
                ended += [tag for tag, _ in transport.collect(PATIENCE)]

            assert sorted(ended) == list(range(20))
            assert transport.under_way == 1
            assert transport.collect(0.01) == []
            transport.close()

        assert transport.under_way == 0

    def test_works_again_after_it_was_closed(self, transport: Transport) -> None:
        with serving(an_answer(200)) as endpoint:
            call(transport, get(endpoint.url))
            transport.close()

            assert call(transport, get(endpoint.url)).status == 200

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
    def test_believes_no_certificate_that_nobody_vouches_for(self, transport: Transport, tmp_path: Path) -> None:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)

        with serving(an_answer(200), tls) as endpoint:
            end = call(transport, get(f"https://localhost:{endpoint.port}/"))

        assert isinstance(end, Failure)
        assert end.kind == "connect"
        assert "certificate" in end.why
