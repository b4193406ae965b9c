"""Acting at providers, and seeing to it that what was meant has happened."""

# mypy: allow-untyped-decorators

from workers.app import app
from workers.application import StoreUnavailable, application


@app.task(name="reversals.drain", throws=(StoreUnavailable,))
def drain(**_later: object) -> int:
    """Cancel, void, and ask what came of it, until nothing is due or the time budget is spent."""
    return application().drain("reversals")
