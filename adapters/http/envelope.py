"""What is about every request: its trace, its log line, its figures, and an answer whatever happens inside."""

import re
import secrets
import time
from collections import Counter
from typing import Any, Final
from urllib.parse import unquote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.metrics import Requests
from adapters.http.problems import GARBLED, Problem, answer_of, on_bug, wrong

# No name of ours may hold a control character, so this one stands for a slash inside a name.
_SLASH: Final = "\x1f"
_ESCAPED_SLASH: Final = re.compile(r"%2f", re.IGNORECASE)
# As proxies log it: the caller has left, and there is nobody to answer.
_HUNG_UP: Final = 499
_HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))

log = structlog.get_logger(__name__)


def unmasked(text: str) -> str:
    """Return a part of the path with the slashes that were escaped in it."""
    return text.replace(_SLASH, "/")


class Envelope:
    """The outermost of our own: nothing inside it ends without an answer, and all it counts has bounded labels."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _keep_slashes(scope)
        scope["trace"] = secrets.token_hex(8)
        # HEAD is answered as GET is; that no body follows is the server's part.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        answer = _Answer(send, scope["trace"])
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(trace=scope["trace"]):
            try:
                doubt = _doubt_of(inner)
                await (self._app if doubt is None else _refusal(doubt, scope["trace"]))(inner, receive, answer)
            except ClientDisconnect:
                answer.status = _HUNG_UP
            except Exception as error:  # noqa: BLE001 - the last one: the caller gets an answer, the log the error
                response = on_bug(Request(inner), error)
                if not answer.status:
                    await response(inner, receive, answer)
            self._count(route_of(inner), scope["method"], answer.status, time.monotonic() - began)

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.count(route, method, status, seconds)
        log.info("http.answered", route=route, status=status, milliseconds=round(seconds * 1000))


def route_of(scope: Scope) -> str:
    """Return the route's own pattern: what a client puts into an address is no label."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path or "none"


def _doubt_of(scope: Scope) -> Problem | None:
    """Say what of the headers a proxy before us may have read otherwise: who calls, or where the request ends."""
    times = Counter(name for name, _ in scope["headers"])
    if times[b"authorization"] > 1:
        return wrong(GARBLED, "Authorization", "is there twice")
    if times[b"content-length"] and times[b"transfer-encoding"]:
        reason = "is there beside Transfer-Encoding, and only one of them can say where the body ends"
        return wrong(GARBLED, "Content-Length", reason)
    return None


def _refusal(doubt: Problem, trace: str) -> Response:
    """Return the answer to a request in doubt: what follows it on the connection may be a part of it."""
    answer = answer_of(doubt, trace=trace)
    answer.headers["Connection"] = "close"
    return answer


def _keep_slashes(scope: Scope) -> None:
    """Let `%2F` be part of a name, which the server has made a slash of by now."""
    raw: bytes | None = scope.get("raw_path")
    if raw is not None and b"%2" in raw:
        path = raw.decode("latin-1").partition("?")[0]
        scope["path"] = unquote(_ESCAPED_SLASH.sub(_SLASH, path))


class _Answer:
    """Passes an answer on with the headers that every one has, and remembers its status."""

    def __init__(self, send: Send, trace: str) -> None:
        self._send = send
        self._trace = trace
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[Any] = list(message.get("headers", []))
            known = {name.lower() for name, _ in headers}
            more = (*_HEADERS, (b"trueup-trace", self._trace.encode()))
            message = {**message, "headers": [*headers, *((n, v) for n, v in more if n not in known)]}
        await self._send(message)
