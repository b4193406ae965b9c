import asyncio
import signal
from pathlib import Path
from typing import Final

from aiohttp import web

from adapters.simulator.barriers import Barriers
from adapters.simulator.book import Book
from adapters.simulator.clock import Clock
from adapters.simulator.controls import Controls, refusals_as_answers
from adapters.simulator.events import Events
from adapters.simulator.faults import Rules
from adapters.simulator.ledger import Ledger
from adapters.simulator.provider import SimulatedProvider

CONTRACT: Final = Path(__file__).with_name("provider.openapi.yaml")
LARGEST_BODY: Final = 64 * 1024 * 1024
FAREWELL_SECONDS: Final = 0.1


def application(*, seed: int = 0) -> web.Application:
    clock = Clock()
    provider = SimulatedProvider(Book(Ledger()), Rules(seed, since=clock()), Barriers(), clock)
    app = web.Application(middlewares=[refusals_as_answers], client_max_size=LARGEST_BODY)
    events = Events(provider.book, clock)
    app.cleanup_ctx.append(events.running)
    app.add_routes(Controls(provider, events).routes())
    app.add_routes([web.get("/openapi.yaml", _contract)])
    app.add_routes(provider.routes())
    return app


async def _contract(_request: web.Request) -> web.Response:
    return web.Response(text=CONTRACT.read_text(), content_type="application/yaml")


def main(host: str, port: int, *, seed: int = 0) -> None:
    """Serve the provider's interface and its controls until SIGTERM or SIGINT; port 0 is any free one."""
    asyncio.run(_serve(host, port, seed))


async def _serve(host: str, port: int, seed: int) -> None:
    stopped = asyncio.Event()
    for stop in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(stop, stopped.set)
    # A call that was held or slow takes its effect even if its client has left: that is what is being simulated
    runner = web.AppRunner(
        application(seed=seed), access_log=None, shutdown_timeout=FAREWELL_SECONDS, handler_cancellation=False
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        bound = runner.addresses[0]
        print(f"simulator listening on http://{bound[0]}:{bound[1]}", flush=True)  # noqa: T201 - who started us waits for it
        await stopped.wait()
    finally:
        await runner.cleanup()
