"""The HTTP application: parse, one call inward, render."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from adapters.http import page
from adapters.http.desk import Desk
from adapters.http.document import document_of
from adapters.http.envelope import Envelope
from adapters.http.metrics import Requests, StoreFigures
from adapters.http.parameters import parameters_of
from adapters.http.problems import HANDLERS
from adapters.http.routes import (
    cases,
    endpoints,
    events,
    health,
    master_data,
    operators,
    order_commands,
    orders,
    provider_events,
    rejected,
    timeouts,
)

# One file a resource; a new one is a line here.
ROUTERS: Final = (
    orders.router,
    order_commands.router,
    timeouts.router,
    rejected.router,
    master_data.router,
    cases.router,
    events.router,
    endpoints.router,
    provider_events.router,
    operators.router,
    health.router,
)


def make_app(desk: Desk | None = None, *, threads: int = 10) -> FastAPI:
    """Return the application. Without a desk it serves nobody, and is good for its document only."""

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        # As many at once as there are connections: who comes next waits here, and not for the pool.
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield

    requests = Requests()
    app = FastAPI(
        title="Trueup",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=living,
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Envelope, requests=requests)
    _serve_document(app)
    app.state.requests = requests
    if desk is not None:
        app.state.desk = desk
        requests.registry.register(StoreFigures(desk.engine))
    return app


def _serve_document(app: FastAPI) -> None:
    document = document_of(app)
    app.state.parameters = parameters_of(document)
    shown = page.page_of(document)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Any:
        return document

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(shown, headers={"Content-Security-Policy": page.POLICY})
