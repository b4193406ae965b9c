"""What is wrong with a request: problem+json (RFC 9457) with a stable `type`, whoever found it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from adapters.bootstrap import Conflict, StoreUnavailable
from adapters.http.lingering import Lingering
from adapters.messages.reasons import reason_of
from domain.model.command import FieldError

MEDIA_TYPE: Final = "application/problem+json"
_URN: Final = "urn:trueup:problem:"
_LONGEST_FIELD: Final = 200
_MOST_ERRORS: Final = 100
_SUMMED_UP: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """One row for each kind of problem: what clients match on, the status that goes with it, and what it means.

    `detail` is said where nothing closer is known.
    """

    name: str
    status: int
    title: str
    detail: str

    @property
    def type(self) -> str:
        return f"{_URN}{self.name}"


MALFORMED: Final = Kind("malformed-body", 400, "The body cannot be read as JSON", "The body should be JSON in UTF-8.")
GARBLED: Final = Kind(
    "malformed-request",
    400,
    "The request is no HTTP that can be understood without a doubt",
    "Its first line, a header, or the parts of its body are not what HTTP/1.1 makes of them.",
)
UNAUTHENTICATED: Final = Kind(
    "unauthenticated", 401, "A key is needed, and none that is live was given", "Authorization should be: Bearer KEY."
)
BAD_SIGNATURE: Final = Kind(
    "bad-signature", 401, "The event is not signed as its provider signs", "webhook-signature is not that of the body."
)
FORBIDDEN: Final = Kind("forbidden", 403, "This key may not do that", "Another key is needed.")
NOT_FOUND: Final = Kind(
    "not-found", 404, "There is no such thing here", "The address names nothing that this key may see."
)
NOT_ALLOWED: Final = Kind(
    "method-not-allowed", 405, "This address does not take that method", "Allow names the methods that it takes."
)
TOO_SLOW: Final = Kind("body-too-slow", 408, "The body did not arrive in time", "Send the body at once.")
CONFLICT: Final = Kind("conflict", 409, "What is known stands against it", "The same is known otherwise.")
IN_FLIGHT: Final = Kind(
    "idempotency-key-in-flight", 409, "A request under this key is still under way", "Ask again in a moment."
)
TOO_LARGE: Final = Kind("body-too-large", 413, "The body is too large", "Send less at a time.")
UNSUPPORTED: Final = Kind(
    "unsupported-media-type",
    415,
    "The body should be application/json in UTF-8",
    "Content-Type should be application/json, and Content-Encoding be left out.",
)
INVALID: Final = Kind("invalid-fields", 422, "Some fields cannot be used", "`errors` names each.")
REUSED: Final = Kind(
    "idempotency-key-reused", 409, "This key was used for another request", "Use a new key for another request."
)
TOO_MANY: Final = Kind(
    "too-many-requests", 429, "This key has made too many requests", "Retry-After says how many seconds to wait."
)
INTERNAL: Final = Kind("internal-error", 500, "Something here is broken", "`trace` finds it in the operator's log.")
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "The database does not answer; nothing is known to be kept",
    "The same request may be made again.",
)

KINDS: Final = (
    MALFORMED, GARBLED, UNAUTHENTICATED, BAD_SIGNATURE, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TOO_SLOW, CONFLICT,
    IN_FLIGHT, TOO_LARGE, UNSUPPORTED, INVALID, REUSED, TOO_MANY, INTERNAL, UNAVAILABLE,
)  # fmt: skip
_OF_STATUS: Final[Mapping[int, Kind]] = MappingProxyType({kind.status: kind for kind in reversed(KINDS)})


class Problem(Exception):
    """Ends a request with an answer that says what is wrong, and which fields of it."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def wrong(kind: Kind, field: str, reason: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    """Return what is wrong with one field, parameter or header."""
    return Problem(kind, errors=(FieldError(field=field, reason=reason),), headers=headers)


def invalid(field: str, reason: str) -> Problem:
    return wrong(INVALID, field, reason)


def answer_of(problem: Problem, *, trace: str | None = None) -> Response:
    """Return the problem as it is sent."""
    kind = problem.kind
    detail = problem.detail or _summary(problem.errors) or kind.detail
    body: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail}
    if problem.errors:
        body["errors"] = [{"field": one.field, "reason": one.reason} for one in problem.errors]
    if trace is not None:
        body["trace"] = trace
    form = Lingering if problem.headers.get("Connection") == "close" else JSONResponse
    return form(body, status_code=kind.status, headers=problem.headers, media_type=MEDIA_TYPE)


def _summary(errors: Sequence[FieldError]) -> str | None:
    """Say the first few errors in one line; `errors` has all of them."""
    if not errors:
        return None
    said = [f"{one.field}: {one.reason}" for one in errors[:_SUMMED_UP]]
    left = len(errors) - len(said)
    return "; ".join([*said, f"and {left} more"] if left else said)


def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer_of(error, trace=_trace(request))


def on_invalid(request: Request, error: Exception) -> Response:
    """Say of parameters what the framework found wrong, in our words."""
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldError(field=".".join(map(str, one["loc"][1:]))[:_LONGEST_FIELD], reason=reason_of(one))
        for one in error.errors()[:_MOST_ERRORS]
    ]
    return answer_of(Problem(INVALID, errors=errors), trace=_trace(request))


def on_http(request: Request, error: Exception) -> Response:
    """Say in our form what the router found wrong."""
    assert isinstance(error, HTTPException)
    kind = _OF_STATUS.get(error.status_code, INTERNAL)
    if kind is not NOT_ALLOWED:
        return answer_of(Problem(kind, headers=error.headers), trace=_trace(request))
    allowed = ", ".join(_allowed(request))
    problem = Problem(kind, f"It takes {allowed}.", headers={**(error.headers or {}), "Allow": allowed})
    return answer_of(problem, trace=_trace(request))


def on_store_away(request: Request, error: Exception) -> Response:
    """Say that the database is away, where that is what the error says; anything else is a bug and stays loud."""
    if isinstance(error, DBAPIError) and not (error.connection_invalidated or isinstance(error, OperationalError)):
        return on_bug(request, error)
    log.warning("store.away", error=str(error).splitlines()[0])
    return answer_of(Problem(UNAVAILABLE, headers={"Retry-After": "2"}), trace=_trace(request))


def on_bug(request: Request, error: Exception) -> Response:
    log.error("http.failed", exc_info=error)
    return answer_of(Problem(INTERNAL), trace=_trace(request))


HANDLERS: Final[Mapping[type[Exception], Any]] = MappingProxyType({
    Problem: on_problem,
    RequestValidationError: on_invalid,
    HTTPException: on_http,
    StoreUnavailable: on_store_away,
    Conflict: on_store_away,
    PoolTimeout: on_store_away,
    DBAPIError: on_store_away,
})  # fmt: skip


def _allowed(request: Request) -> Sequence[str]:
    """Return the methods of every route at this address; the router itself names the first route's only."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]):
            found |= route.methods or set()
    # The envelope answers HEAD wherever there is a GET.
    return sorted(found | {"HEAD"} if "GET" in found else found)


def _trace(request: Request) -> str | None:
    trace = request.scope.get("trace")
    return None if trace is None else str(trace)
