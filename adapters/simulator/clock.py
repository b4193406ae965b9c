import time
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """Seconds since the epoch that never run backwards, whatever is done to the machine's clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)
