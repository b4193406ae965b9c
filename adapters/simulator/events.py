"""What the provider tells unasked: that something about a payment has changed. It tells once, and never again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
from aiohttp import web
from standardwebhooks import Webhook

from adapters.simulator.book import Book
from adapters.simulator.clock import Clock
from adapters.simulator.ledger import Entry
from adapters.simulator.scripts import DEFAULT_PROVIDER, Provider

LOOKING_FOR_CHANGES: Final = 0.02
PATIENCE: Final = aiohttp.ClientTimeout(total=10)


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a provider's events go; signed by Standard Webhooks where there is a secret, nowhere without a URL."""

    url: str | None
    provider: Provider = DEFAULT_PROVIDER
    secret: str | None = None

    def __post_init__(self) -> None:
        if self.secret:
            Webhook(self.secret)  # a ValueError now is better than silence later


class Events:
    def __init__(self, book: Book, clock: Clock) -> None:
        self._book = book
        self._now = clock
        self._endpoints: dict[str, Endpoint] = {}
        self._told = 0
        self._wanted = asyncio.Event()

    def send_to(self, endpoint: Endpoint) -> None:
        """Tell of every change from now on, or of none any more."""
        if not self._endpoints:
            self._book.advance(self._now())
            self._told = len(self._book.ledger.entries)
        self._endpoints.pop(endpoint.provider, None)
        if endpoint.url:
            self._endpoints[endpoint.provider] = endpoint
        (self._wanted.set if self._endpoints else self._wanted.clear)()

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=PATIENCE) as session, asyncio.TaskGroup() as calls:
            while await self._wanted.wait():
                self._book.advance(self._now())
                entries = self._book.ledger.entries
                for entry in entries[self._told :]:
                    endpoint = self._endpoints.get(entry.provider)
                    if endpoint and entry.operation == "state":
                        calls.create_task(_tell(session, endpoint, entry))
                self._told = len(entries)
                await asyncio.sleep(LOOKING_FOR_CHANGES)


async def _tell(session: aiohttp.ClientSession, endpoint: Endpoint, entry: Entry) -> None:
    body = msgspec.json.encode({"reference": entry.reference})
    headers = {"Content-Type": "application/json", "webhook-id": f"event-{entry.id}"}
    headers["webhook-timestamp"] = str(int(time.time()))
    if endpoint.secret:
        sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        headers["webhook-signature"] = Webhook(endpoint.secret).sign(headers["webhook-id"], sent_at, body.decode())
    # An event is a hint: nobody may count on it, so a lost one is nobody's trouble
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.post(endpoint.url or "", data=body, headers=headers):
            pass
