"""Trying rejected transactions again."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="retriggers.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Try again what retriggers ask for, until nothing is left of them or the time budget is spent."""
    return application().drain("retriggers")
