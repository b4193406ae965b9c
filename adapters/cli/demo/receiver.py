"""The merchants' side: verifies every callback, turns some away at first, and keeps a log of what came and when."""

import argparse
import asyncio
import hashlib
import signal
import time
from typing import Any, Final

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

_TURNED_AWAY: Final = 0.03


class Receiver:
    """Knows each merchant's secret, and nothing else of who calls."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._secrets: dict[str, Webhook] = {}
        self._turned_away: set[str] = set()
        self._accepted: set[tuple[str, str]] = set()
        self._log: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/callbacks/{merchant}", self.take),
            web.put("/_receiver/secrets", self.learn_secrets),
            web.get("/_receiver/log", self.log, allow_head=False),
        ]

    async def learn_secrets(self, request: web.Request) -> web.Response:
        self._secrets = {merchant: Webhook(secret) for merchant, secret in (await request.json()).items()}
        return web.Response(status=204)

    async def log(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", 0))
        return web.json_response({"entries": self._log[after:]})

    async def take(self, request: web.Request) -> web.Response:
        merchant = request.match_info["merchant"]
        body = await request.read()
        key = request.headers.get("webhook-id", "")
        entry: dict[str, Any] = {"at": time.time(), "merchant": merchant, "id": key}
        said = self._verified(merchant, body, request)
        if said is None:
            self._log.append({**entry, "outcome": "unverified"})
            return web.Response(status=401)
        outcome = self._outcome(merchant, key)
        self._log.append({**entry, "outcome": outcome, "type": said["type"], "said": said["data"]})
        return web.Response(status=500 if outcome == "turned_away" else 204)

    def _verified(self, merchant: str, body: bytes, request: web.Request) -> dict[str, Any] | None:
        secret = self._secrets.get(merchant)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            said = secret.verify(body, headers) if secret else None
        except WebhookVerificationError:
            return None
        # What is signed is believed; who it is for and which event it is must say the same inside and outside.
        fits = said and said["data"]["merchant"] == merchant and said["data"]["event"] == headers["webhook-id"]
        return said if fits else None

    def _outcome(self, merchant: str, key: str) -> str:
        if (merchant, key) in self._accepted:
            return "repeated"
        if key not in self._turned_away and self._dice(key) < _TURNED_AWAY:
            self._turned_away.add(key)
            return "turned_away"
        self._accepted.add((merchant, key))
        return "accepted"

    def _dice(self, key: str) -> float:
        thrown = hashlib.blake2b(f"{self._seed}|{key}".encode(), digest_size=7).digest()
        return int.from_bytes(thrown) / 2**56


async def _serve(seed: int) -> None:
    stopped = asyncio.Event()
    for stop in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(stop, stopped.set)
    app = web.Application()
    app.add_routes(Receiver(seed).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(f"receiver listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="adapters.cli.demo.receiver", description=__doc__)
    options.add_argument("--seed", type=int, default=0)
    asyncio.run(_serve(options.parse_args().seed))
