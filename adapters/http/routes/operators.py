"""What is for operators: what waits, what was refused, and the merchants themselves."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse
from starlette.responses import Response

from adapters.administration.merchants import (
    Made,
    MerchantChange,
    MerchantExists,
    NewMerchant,
    UnknownMerchant,
    Unusable,
    add_merchant,
    change_merchant,
)
from adapters.http import models
from adapters.http.answering import Body, Single
from adapters.http.cursors import page, place_of
from adapters.http.desk import Here, Operator
from adapters.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem
from adapters.http.requests import body_with
from adapters.http.routing import USUAL, Cursor, Limit, Word, operators_only, resource, taking
from adapters.http.routing import Name as MerchantName
from adapters.persistence import listings, queries
from domain.model.command import FieldError

router = resource("operators")

_CREATED = 201


@router.get("/backlog", operation_id="getBacklog", response_model=models.Backlog, openapi_extra=dict(operators_only))
def show_backlog(desk: Here, _operator: Operator) -> Any:
    """Show what is due and what waits, by kind of work and lane, and what stands in its way."""
    with desk.reading() as connection:
        return queries.backlog(connection)


@router.get(
    "/messages/refused",
    operation_id="listRefusedMessages",
    response_model=models.Page[models.RefusedMessage],
    openapi_extra=dict(operators_only),
)
def show_refused(
    desk: Here,
    _operator: Operator,
    merchant: Annotated[Word | None, Query()] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Any:
    """List messages that were not accepted, the youngest first."""
    before = place_of(cursor, parts=1)
    with desk.reading() as connection:
        rows = listings.refused(connection, limit=limit + 1, before=before, merchant=merchant)
    return page(rows, limit, key=("id",), item=dict)


@router.post(
    "/merchants",
    operation_id="addMerchant",
    status_code=_CREATED,
    responses={_CREATED: {"model": models.MerchantMade}, **taking()},
    openapi_extra={**operators_only, **body_with(NewMerchant)},
)
def add(desk: Here, _operator: Operator, body: Body, once: Single) -> Response:
    """Make a merchant; its key and its callback secret are shown this once."""

    def work() -> Response:
        try:
            made = add_merchant(desk.engine, body, allow_hosts=desk.application.settings.callback_allow_hosts)
        except Unusable as error:
            raise Problem(INVALID, errors=error.errors) from None
        except MerchantExists as error:
            raise Problem(CONFLICT, errors=(FieldError(field="merchant", reason=str(error)),)) from None
        return JSONResponse(_shown(made), status_code=_CREATED)

    return once(work, kept=_without_secrets)


@router.patch(
    "/merchants/{merchant}",
    operation_id="changeMerchant",
    response_model=models.MerchantChanged,
    responses=taking(404),
    openapi_extra={**operators_only, **body_with(MerchantChange)},
)
def change(desk: Here, _operator: Operator, body: Body, merchant: MerchantName) -> Any:
    """Change what is named; orders that are known keep the terms they came with."""
    try:
        secret = change_merchant(
            desk.engine, merchant, body, allow_hosts=desk.application.settings.callback_allow_hosts
        )
    except Unusable as error:
        raise Problem(INVALID, errors=error.errors) from None
    except UnknownMerchant:
        raise Problem(NOT_FOUND) from None
    return {"merchant": merchant, "callback_secret": secret}


def _shown(made: Made) -> Mapping[str, str | None]:
    return {"merchant": made.merchant, "api_key": made.api_key, "callback_secret": made.callback_secret}


def _without_secrets(answer: Response) -> bytes:
    """Return what may be kept of the answer: a secret stands nowhere but with its owner."""
    merchant = json.loads(bytes(answer.body))["merchant"]
    return json.dumps({"merchant": merchant, "api_key": None, "callback_secret": None}).encode()
