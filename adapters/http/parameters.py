"""The query of a request: parameters that the document names, each once, and whose things they ask about."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request

from adapters.http.desk import Anybody
from adapters.http.problems import FORBIDDEN, INVALID, Problem, wrong
from adapters.messages.fields import instant
from adapters.messages.refusing import showable
from domain.model.command import FieldError

Parameters = Mapping[str, frozenset[str]]  # {operation: the parameters that its query may hold}

_MOST_ERRORS: Final = 100
_LONGEST_NAME: Final = 80
# One row for each span of time that a query may hold: where it begins, and where it ends.
_SPANS: Final = (("from", "to"),)


def parameters_of(document: Mapping[str, Any]) -> Parameters:
    """Return what the document lets the query of each operation hold."""
    return {
        operation["operationId"]: frozenset(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for methods in document["paths"].values()
        for operation in methods.values()
    }


def check_query(request: Request) -> None:
    """Let pass what the operation takes, each parameter once, and no span of time that ends before it begins.

    Raises:
        Problem: something else was asked; a list that ignored it would look like an answer.
    """
    known = request.app.state.parameters[request.scope["route"].operation_id]
    query = request.query_params
    errors = [*_unknown(query, known), *_turned(query)]
    if errors:
        raise Problem(INVALID, errors=errors[:_MOST_ERRORS])


def check_caller(request: Request, caller: Anybody) -> None:
    """Let a merchant's key ask about its own merchant only, wherever it asks.

    Raises:
        Problem: `merchant` names another; whether such a one exists is not said.
    """
    named = request.query_params.getlist("merchant")
    if caller.merchant is not None and any(one != caller.merchant for one in named):
        raise wrong(FORBIDDEN, "merchant", "is not whose key this is, and may be left out")


def _unknown(query: QueryParams, known: frozenset[str]) -> Iterator[FieldError]:
    takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
    for name, times in Counter(name for name, _ in query.multi_items()).items():
        if name not in known:
            yield FieldError(field=showable(name)[:_LONGEST_NAME], reason=f"is no parameter of this address: {takes}")
        elif times > 1:
            yield FieldError(field=name, reason="is there twice")


def _turned(query: QueryParams) -> Iterator[FieldError]:
    for begins, ends in _SPANS:
        begin, end = _moment(query.get(begins)), _moment(query.get(ends))
        if begin is not None and end is not None and begin > end:
            yield FieldError(field=begins, reason=f"is later than `{ends}`")
            yield FieldError(field=ends, reason=f"is earlier than `{begins}`")


def _moment(text: str | None) -> datetime | None:
    """Return the instant, or nothing where there is none: what is wrong with it is said by its own rule."""
    try:
        return None if text is None else instant(text)
    except ValueError:
        return None
