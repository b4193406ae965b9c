"""What the routes of every resource have in common: the prefix, a page's parameters, and the problems they share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.convertors import IntegerConvertor, register_url_convertor

from adapters.http import models
from adapters.http.addresses import PREFIX
from adapters.http.cursors import MOST, USUAL
from adapters.http.envelope import unmasked
from adapters.http.parameters import check_caller, check_query
from adapters.http.problems import MEDIA_TYPE
from adapters.messages.fields import identifier, instant

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None, Query(max_length=200, pattern="^[A-Za-z0-9_-]*$", description="`next_cursor` of the page before.")
]
Name = Annotated[
    str,
    Path(min_length=1, max_length=128, description="The merchant's own name for the order; a slash in it as %2F."),
    AfterValidator(lambda text: identifier(unmasked(text))),
]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Word = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(identifier)]
Moment = Annotated[
    datetime,
    BeforeValidator(lambda text: instant(text) if isinstance(text, str) else text),
    Field(json_schema_extra={"format": "date-time"}),
]


class _Number(IntegerConvertor):
    """A number in an address, as the framework's own; but Python reads none of some thousand digits."""

    regex = "[0-9]{1,19}"


register_url_convertor("int", _Number())

_WORDS: Final = {
    400: "The body is no JSON, or the request is no plain HTTP.",
    401: "No live key was given.",
    403: "The key may not do that.",
    404: "It is not there, or it is another merchant's; or no merchant is called as an operator's `merchant` says.",
    408: "The body did not arrive in time.",
    409: "What is known stands against it, or a request under this `Idempotency-Key` is under way.",
    413: "The body is too large.",
    415: "The body is not `application/json` in UTF-8, or it is packed (`Content-Encoding`).",
    422: "Some fields or parameters cannot be used; `errors` names each.",
    429: "The key has made too many requests; `Retry-After` says how many seconds to wait.",
    500: "Something here is broken.",
    503: "The database does not answer.",
}
_EVERY: Final = (401, 403, 404, 422, 429, 500, 503)
_WITH_BODY: Final = (400, 408, 413, 415)

__all__ = [
    "USUAL",
    "Cursor",
    "Id",
    "Limit",
    "Moment",
    "Name",
    "Word",
    "open_resource",
    "operators_only",
    "problems",
    "resource",
    "taking",
]

operators_only: Final[Mapping[str, Any]] = {"x-operators-only": True}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how the document describes these statuses."""
    return {
        status: {"description": _WORDS[status], "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status in sorted(statuses)
    }


def resource(tag: str) -> APIRouter:
    """Return the router of one resource."""
    checks = [Depends(check_caller), Depends(check_query)]
    return APIRouter(prefix=PREFIX, tags=[tag], responses=problems(*_EVERY), dependencies=checks)


def open_resource(tag: str) -> APIRouter:
    """Return the router of a resource that asks for no key."""
    return APIRouter(prefix=PREFIX, tags=[tag], dependencies=[Depends(check_query)])


def taking(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems of a route that takes a body, and those beside them."""
    return problems(*_WITH_BODY, 409, *statuses)


_PROBLEM: Final = {"$ref": f"#/components/schemas/{models.Problem.__name__}"}
