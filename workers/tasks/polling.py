"""Asking providers, and acting there."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="polling.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Do what is due at the providers until nothing is, or the time budget is spent.

    Never retries by itself: what is left stays due, and the next sweep finds it.
    """
    return application().drain("polling")
