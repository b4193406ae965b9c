"""What we need to tell a merchant's endpoint something."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One try to deliver one event. `body` is exactly what was frozen when the event was made."""

    stream: int
    lane: int
    event: str  # the webhook-id, the same on every try
    url: str
    secrets: tuple[str, ...]  # each `whsec_...`; every live one signs
    body: bytes
    at: datetime  # the time of this try, which is signed too


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """What became of a try: delivered only on a 2xx. `status` is None where no answer came."""

    delivered: bool
    status: int | None = None
    why: str | None = None
    retry_after: timedelta | None = None
    gone: bool = False  # 410: the endpoint wants no more
    milliseconds: int = 0


class DeliveryCalls(Protocol):
    """A window of deliveries under way. It raises nothing: what fails is an answer."""

    def deliver(self, delivery: Delivery) -> None:
        """Begin a try. It ends within 15 seconds."""

    def collect(self, timeout: float) -> Sequence[tuple[Delivery, DeliveryAnswer]]:
        """Wait up to `timeout` seconds for at least one try to end; return all that have ended."""

    def under_way(self, lane: int) -> int:
        """How many tries in this lane have begun and not been collected."""
