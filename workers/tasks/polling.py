"""Asking providers how payments are doing."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="polling.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Ask about what is due until nothing is, or the time budget is spent.

    Never retries by itself: what is left stays due, and the next sweep finds it.
    """
    return application().drain("polling")
