"""The simulator's controls and the receiver's log, over HTTP, as anybody would use them."""

import http.client
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

_PATIENCE: Final = 20.0
_MOST_PAYMENTS: Final = 1000


class Remote:
    """A server of the demo's own on the loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what it answers, or None for an empty answer.

        Raises:
            RuntimeError: it refused.
            OSError: it does not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            sent = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:200].decode(errors='replace')}")
        return msgspec.json.decode(answer) if answer else None


class Simulator(Remote):
    def set_rules(self, seed: int, rules: Sequence[Mapping[str, Any]]) -> None:
        self.call("PUT", "/_simulator/rules", {"seed": seed, "rules": rules})

    def add(self, payments: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(payments), _MOST_PAYMENTS):
            self.call("POST", "/_simulator/payments", payments[start : start + _MOST_PAYMENTS])

    def turn(self, provider: str, reference: str, status: str) -> None:
        """Let something become true that is the merchant's and the provider's own business."""
        wanted = {"provider": provider, "action": "pays", "status": status, "even_if_canceled": True}
        self.call("POST", f"/_simulator/customer/{reference}", wanted)

    def calls(self) -> Mapping[str, int]:
        answer: dict[str, Any] = self.call("GET", "/_simulator/ledger?limit=1")
        calls: dict[str, int] = answer["calls"]
        return calls

    def ledger(self) -> list[dict[str, Any]]:
        """Return all that truly happened."""
        answer: dict[str, Any] = self.call("GET", "/_simulator/ledger")
        entries: list[dict[str, Any]] = answer["entries"]
        return entries


class Receiver(Remote):
    """Remembers what it has fetched of the log."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.entries: list[dict[str, Any]] = []

    def set_secrets(self, secrets: Mapping[str, str]) -> None:
        self.call("PUT", "/_receiver/secrets", secrets)

    def news(self) -> Sequence[dict[str, Any]]:
        """Return what has come since the last look."""
        answer: dict[str, Any] = self.call("GET", f"/_receiver/log?after={len(self.entries)}")
        fresh: list[dict[str, Any]] = answer["entries"]
        self.entries += fresh
        return fresh
