"""The workers' app with one order that kills whoever decides about it: `celery -A tests.faults.killer worker`."""

import os
import signal
from typing import Any

from domain.model.order import Order
from domain.rules.reconciliation import reconcile
from domain.usecases import poll_orders
from workers.app import app

__all__ = ["app"]


def _die_of_one(order: Order, *args: Any, **more: Any) -> Any:
    if order.reference.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return reconcile(order, *args, **more)


setattr(poll_orders, "reconcile", _die_of_one)  # noqa: B010 - a module is no place that mypy lets one write to
