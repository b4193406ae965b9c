"""Whether this process lives, whether it is ready, and its figures. For machines of one's own: no key is asked for."""

from collections.abc import Callable
from typing import Any, Final

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from adapters.http import models
from adapters.http.desk import Desk, Here
from adapters.persistence import queries
from adapters.persistence.migrate import is_new_enough

router = APIRouter(tags=["health"])
log = structlog.get_logger(__name__)

_NOT_READY: Final = 503


@router.get("/livez", operation_id="isAlive", response_model=models.Alive)
async def is_alive() -> Any:
    """Say that this process answers; nothing else is asked."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    operation_id="isReady",
    response_model=models.Ready,
    responses={_NOT_READY: {"model": models.Ready, "description": "Something that is needed is missing."}},
)
def is_ready(desk: Here) -> Response:
    """Say whether database, schema and broker are there."""
    checks = {"database": _database, "schema": _schema, "broker": _broker}
    found = {name: "ok" if _holds(name, check, desk) else "missing" for name, check in checks.items()}
    ready = all(state == "ok" for state in found.values())
    return JSONResponse({"ready": ready, **found}, status_code=200 if ready else _NOT_READY)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def show_metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    return Response(request.app.state.requests.text(), media_type=CONTENT_TYPE_LATEST)


def _holds(name: str, check: Callable[[Desk], bool], desk: Desk) -> bool:
    try:
        return check(desk)
    except SQLAlchemyError as error:
        log.warning("ready.missing", what=name, error=type(error).__name__)
        return False


def _database(desk: Desk) -> bool:
    with desk.reading() as connection:
        return queries.now(connection) is not None


def _schema(desk: Desk) -> bool:
    return is_new_enough(desk.engine)


def _broker(desk: Desk) -> bool:
    return desk.application.reaches_broker()
