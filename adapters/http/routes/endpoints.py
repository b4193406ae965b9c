"""Endpoints: where a merchant's callbacks go, as the merchant itself or an operator arranges them."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from adapters.administration.acting import Person
from adapters.administration.endpoints import (
    EndpointChange,
    Endpoints,
    NewEndpoint,
    SecretsStand,
    UnknownEndpoint,
)
from adapters.administration.merchants import Unusable
from adapters.http.addresses import PREFIX
from adapters.http.answering import Single
from adapters.http.cursors import page, place_of
from adapters.http.desk import Anybody, Desk, Here, Merchant, Scope
from adapters.http.endpoint_models import Endpoint, EndpointDetail, EndpointMade, EndpointTried, SecretMade
from adapters.http.fieldless import FIELDLESS
from adapters.http.models import Page
from adapters.http.ownership import Fields
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, TOO_MANY, Problem, invalid
from adapters.http.requests import NO_FIELDS, body_with
from adapters.http.routing import USUAL, Cursor, Id, Limit, problems, resource, taking
from adapters.persistence import endpoints
from adapters.persistence.keys import UnknownMerchant
from domain.model.command import FieldError
from domain.model.due_work import Work

router = resource("endpoints")

_CREATED: Final = 201
# A try of an endpoint that is silent keeps a thread; others' requests need the rest of them.
_TRIES: Final = threading.BoundedSemaphore(2)
_LONGEST_TRY: Final = 5.0


def arranging_of(request: Request, desk: Here, scope: Scope, caller: Anybody) -> Endpoints:
    return Endpoints(
        engine=desk.engine,
        person=Person(actor=caller.actor, trace=request.scope["trace"]),
        allow_hosts=desk.application.settings.callback_allow_hosts,
        merchant=scope,
    )


Arranging = Annotated[Endpoints, Depends(arranging_of)]


@router.get("/endpoints", operation_id="listEndpoints", response_model=Page[Endpoint])
def show_all(desk: Here, scope: Scope, limit: Limit = USUAL, cursor: Cursor = None) -> Any:
    """List endpoints, the oldest first; secrets cannot be shown again."""
    after = place_of(cursor, parts=1) or (0,)
    with desk.reading() as connection:
        rows = endpoints.listed(connection, merchant=scope, after=after[0], limit=limit + 1)
    return page(rows, limit, key=("id",), item=dict)


@router.get("/endpoints/{id}", operation_id="getEndpoint", response_model=EndpointDetail, responses=problems(404))
def show(desk: Here, scope: Scope, id: Id) -> Any:  # noqa: A002 - the address's own name
    """Show one endpoint, with the last steps that anybody took about it."""
    return _shown(desk, id, scope)


@router.post(
    "/endpoints",
    operation_id="addEndpoint",
    status_code=_CREATED,
    responses={_CREATED: {"model": EndpointMade}, **taking()},
    openapi_extra=body_with(NewEndpoint),
)
def add(arranging: Arranging, merchant: Merchant, fields: Fields, once: Single) -> Response:
    """Make one more endpoint; its secret is shown this once. It hears what happens from now on."""

    def work() -> Response:
        try:
            with _said_plainly():
                made = arranging.add(merchant, fields)
        except UnknownMerchant as error:
            raise invalid("merchant", str(error)) from None
        address = {"Location": f"{PREFIX}/endpoints/{made.id}"}
        answer = {"endpoint": made.id, "callback_secret": made.secret}
        return JSONResponse(answer, status_code=_CREATED, headers=address)

    return once(work, kept=_without_secret)


@router.patch(
    "/endpoints/{id}",
    operation_id="changeEndpoint",
    response_model=Endpoint,
    responses=taking(404),
    openapi_extra=body_with(EndpointChange),
)
def change(desk: Here, arranging: Arranging, fields: Fields, id: Id) -> Any:  # noqa: A002
    """Change what is named; another filter holds for what happens from now on."""
    with _said_plainly():
        arranging.change(id, fields)
    return _shown(desk, id, arranging.merchant)


@router.delete("/endpoints/{id}", operation_id="removeEndpoint", status_code=204, responses=problems(404))
def remove(arranging: Arranging, id: Id) -> Response:  # noqa: A002
    """Send nothing there any more, not even what waits; what was tried stays on record."""
    with _said_plainly():
        arranging.remove(id)
    return Response(status_code=204)


@router.post(
    "/endpoints/{id}/enable",
    operation_id="enableEndpoint",
    response_model=Endpoint,
    responses=taking(404),
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def enable(desk: Here, arranging: Arranging, once: Single, id: Id) -> Response:  # noqa: A002
    """Let what waited go; the endpoint's case is closed."""
    return once(lambda: _switched(desk, arranging, id, on=True))


@router.post(
    "/endpoints/{id}/disable",
    operation_id="disableEndpoint",
    response_model=Endpoint,
    responses=taking(404),
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def disable(desk: Here, arranging: Arranging, once: Single, id: Id) -> Response:  # noqa: A002
    """Send nothing there; what happens waits, under a case, until it is enabled again."""
    return once(lambda: _switched(desk, arranging, id, on=False))


@router.post(
    "/endpoints/{id}/rotate-secret",
    operation_id="rotateSecret",
    response_model=SecretMade,
    responses=taking(404),
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def rotate(arranging: Arranging, once: Single, id: Id) -> Response:  # noqa: A002
    """Make a new secret, shown this once; every call is signed with the old one too until that is dropped."""

    def work() -> Response:
        with _said_plainly():
            secret = arranging.rotate(id)
        return JSONResponse({"endpoint": id, "callback_secret": secret})

    return once(work, kept=_without_secret)


@router.post(
    "/endpoints/{id}/finish-rotation",
    operation_id="finishRotation",
    response_model=Endpoint,
    responses=taking(404),
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def finish(desk: Here, arranging: Arranging, once: Single, id: Id) -> Response:  # noqa: A002
    """Drop the old secret; only the new one signs from now on."""
    return once(lambda: _arranged(desk, arranging, id, arranging.finish))


@router.post(
    "/endpoints/{id}/test",
    operation_id="sendTestEvent",
    response_model=EndpointTried,
    responses=taking(404),
    dependencies=[FIELDLESS],
    openapi_extra=NO_FIELDS,
)
def send_test(desk: Here, arranging: Arranging, once: Single, id: Id) -> Response:  # noqa: A002
    """Send a signed `endpoint.test` at once and say what came back, within five seconds. It is tried this once."""

    def work() -> Response:
        if not _TRIES.acquire(blocking=False):
            raise Problem(TOO_MANY, "Other endpoints are being tried.", headers={"Retry-After": "5"})
        try:
            with _said_plainly():
                answer = arranging.test(id, seconds=min(_LONGEST_TRY, desk.application.settings.callback_seconds))
        finally:
            _TRIES.release()
        return JSONResponse(EndpointTried.model_validate(answer).model_dump(mode="json"))

    return once(work)


def _switched(desk: Desk, arranging: Endpoints, endpoint: int, *, on: bool) -> Response:
    answer = _arranged(desk, arranging, endpoint, lambda one: arranging.switch(one, on=on))
    desk.application.hint(Work.DELIVER)
    return answer


def _arranged(desk: Desk, arranging: Endpoints, endpoint: int, step: Callable[[int], None]) -> Response:
    with _said_plainly():
        step(endpoint)
    shown = Endpoint.model_validate(_shown(desk, endpoint, arranging.merchant))
    return JSONResponse(shown.model_dump(mode="json"))


def _shown(desk: Desk, endpoint: int, merchant: str | None) -> Mapping[str, Any]:
    with desk.reading() as connection:
        found = endpoints.listed(connection, merchant=merchant, endpoint=endpoint)
        if not found:
            raise Problem(NOT_FOUND)
        return {**found[0], "entries": endpoints.entries(connection, endpoint)}


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except UnknownEndpoint:
        raise Problem(NOT_FOUND) from None
    except Unusable as error:
        raise Problem(INVALID, errors=error.errors) from None
    except SecretsStand as error:
        raise Problem(CONFLICT, errors=(FieldError(field="secrets", reason=str(error)),)) from None


def _without_secret(answer: Response) -> bytes:
    """Return what may be kept of the answer: a secret stands nowhere but with its owner."""
    return json.dumps({**json.loads(bytes(answer.body)), "callback_secret": None}).encode()
