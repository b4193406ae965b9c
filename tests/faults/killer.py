"""The workers' app, and deaths at points that no provider can choose: `celery -A tests.faults.killer worker`.

Whoever decides about an order called deadly dies, each time. Besides, the first process that comes with a cancel or a
void to the point named in TEST_DIE_AT dies there, and leaves the file TEST_DIED.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from domain.model.due_work import Claimed, Work
from domain.model.order import Order
from domain.rules.reconciliation import reconcile
from domain.usecases import ask_providers, drain, poll_orders
from domain.usecases.drain import Answered
from tests.faults.processes import CLAIMED, DECIDED, SAVED
from workers.app import app

__all__ = ["app"]

_EFFECTS = frozenset({Work.CANCEL, Work.VOID})

_begin = ask_providers.AskProviders.begin
_save = ask_providers.AskProviders.save
_save_whole = drain.Drain._save_whole


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(point: str, rows: Sequence[Claimed]) -> None:
    if os.environ.get("TEST_DIE_AT") != point or all(row.work not in _EFFECTS for row in rows):
        return
    try:
        Path(os.environ["TEST_DIED"]).touch(exist_ok=False)
    except FileExistsError:
        return
    _die()


def _reconcile(order: Order, *args: Any, **more: Any) -> Any:
    if order.reference.startswith("deadly"):
        _die()
    return reconcile(order, *args, **more)


def _begin_or_die(step: Any, lane: Any, rows: Sequence[tuple[Claimed, Any]]) -> None:
    _die_once(CLAIMED, [row for row, _ in rows])
    _begin(step, lane, rows)


def _save_or_die(step: Any, uow: Any, claim: Any, wave: Sequence[Answered]) -> Any:
    errors = _save(step, uow, claim, wave)
    _die_once(DECIDED, [answered.row for answered in wave])
    return errors


def _save_whole_and_die(self: Any, wave: Sequence[Answered]) -> None:
    _save_whole(self, wave)
    _die_once(SAVED, [answered.row for answered in wave])


for _of, _name, _mine in (
    (poll_orders, "reconcile", _reconcile),
    (ask_providers.AskProviders, "begin", _begin_or_die),
    (ask_providers.AskProviders, "save", _save_or_die),
    (drain.Drain, "_save_whole", _save_whole_and_die),
):
    setattr(_of, _name, _mine)
