"""The workers' Celery application on a stub of ours: it notes what reaches it, and fails as it is told.

`celery -A tests.integration.stub_workers worker` runs it; TEST_NOTES is the file of notes.
"""

import base64
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config.settings import Settings
from workers import store
from workers.app import app
from workers.application import PROCESS, StoreUnavailable

__all__ = ["app"]

NOTES = "TEST_NOTES"
vars(store)["PAUSES"] = (0.2, 0.3)


class Stub:
    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.pid = os.getpid()

    def drain(self, queue: str, *, budget: float | None = None) -> int:
        self.note("drain", queue=queue, budget=budget)
        return 0

    def intake(self, name: str, args: Sequence[object], kwargs: Mapping[str, Any], *, trace: str) -> None:
        self.fail_while("away")
        if kwargs.get("order") == "kills":
            self.note("killed", name=name)
            os.kill(os.getpid(), signal.SIGKILL)
        if kwargs.get("order") == "hangs" and not self.notes.with_suffix(".awake").exists():
            self.note("hangs")
            time.sleep(20)
        if kwargs.get("order") == "slow":
            self.note("slow")
            time.sleep(3)
        if kwargs.get("order") == "bug":
            raise ZeroDivisionError
        size = len(json.dumps(kwargs))
        self.note("intake", name=name, args=list(args), kwargs=kwargs if size < 10_000 else size, trace=trace)

    def refuse_raw(self, name: str, body: bytes, why: str) -> None:
        self.fail_while("away")
        self.note("refused", name=name, body=base64.b64encode(body).decode(), why=why)

    def close(self) -> None:
        self.note("closed")

    def fail_while(self, state: str) -> None:
        if self.notes.with_suffix(f".{state}").exists():
            self.note(state)
            raise StoreUnavailable

    def note(self, what: str, **facts: object) -> None:
        assert os.getpid() == self.pid, "a child uses what its parent opened"
        line = json.dumps({"what": what, "pid": os.getpid(), **facts})
        with self.notes.open("a") as notes:
            notes.write(f"{line}\n")


def open_stub(_settings: Settings) -> Stub:
    stub = Stub(Path(os.environ[NOTES]))
    stub.note("opened")
    return stub


PROCESS.opener = open_stub
