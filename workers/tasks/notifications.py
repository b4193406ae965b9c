"""Telling merchants."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="notifications.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Deliver the callbacks that are due, until none is or the time budget is spent."""
    return application().drain("notifications")
