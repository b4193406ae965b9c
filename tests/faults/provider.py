"""The simulated provider as a process: its controls, and its ledger, by which a run is judged."""

import json
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.processes import Running

_READY = "simulator listening on "


class Simulator:
    def __init__(self, home: Path) -> None:
        self.running = Running.start(["-m", "adapters.simulator"], log=home / "simulator.log", settings={})
        self.running.wait_for(_READY)
        self.url = self.running.said().partition(_READY)[2].split()[0]

    def add(self, payments: Sequence[Mapping[str, object]]) -> None:
        self._call("POST", "payments", payments)

    def rules(self, *rules: Mapping[str, object]) -> None:
        self._call("PUT", "rules", list(rules))

    def customer(self, provider: str, reference: str, action: str) -> None:
        self._call("POST", f"customer/{reference}", {"provider": provider, "action": action})

    def hold(self, **calls: object) -> None:
        """Hold the calls that match, until they are let go."""
        self._call("POST", "barrier/the-one", {"action": "arm", **calls})

    def held(self) -> int:
        return int(self._call("POST", "barrier/the-one", {"action": "status"})["held"])

    def let_go(self) -> None:
        self._call("POST", "barrier/the-one", {"action": "release"})

    def calls(self, provider: str) -> int:
        """Return how often this provider was called in any way."""
        return sum(self._call("GET", f"ledger?provider={provider}")["calls"].values())

    def effects(self) -> Mapping[str, list[tuple[str, str]]]:
        """Return {reference: [(key, result) of each cancel and void, in the order in which they came]}."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for entry in self._call("GET", "ledger")["entries"]:
            if entry["operation"] in {"cancel", "void"}:
                found[entry["reference"]].append((entry["key"], entry["result"]))
        return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_simulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")
