"""What waits for something else: commands whose order is not known yet."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="sweeps.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Try again what waits, until nothing is due or the time budget is spent."""
    return application().drain("sweeps")
