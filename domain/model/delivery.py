"""Deliveries: one event on its way to one endpoint, and what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.model.case import CaseOpening
from domain.model.due_work import Claimed, Due


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The next event of a stream, and what is known of its delivery."""

    stream: int
    event_row: int
    event: str
    body: bytes
    url: str
    secrets: tuple[str, ...]
    endpoint: int
    merchant: str
    order_id: int | None
    first_tried_at: datetime | None
    tries: int
    more: bool  # another event waits behind this one
    waits: tuple[timedelta, ...] | None = None  # the endpoint's own schedule of tries
    failing_since: datetime | None = None  # the endpoint's first failure since anything was delivered there
    troubled: bool = False  # the stream or its endpoint has an open case


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDecision:
    """What follows from one try: the cursor moves on, or the same event is due again.

    `opening` tells of an event given up, `endpoint_opening` of an endpoint that only fails: both are of the endpoint's
    case. What `settles` may close it, and closes the stream's own, for something was delivered.
    """

    row: Claimed
    head: Head
    delivered: bool
    status: int | None
    error: str | None
    due: Due | None  # the next try; None where nothing waits behind a delivered or given-up event
    given_up: bool = False
    why_disabled: str | None = None  # the endpoint is disabled by it
    opening: CaseOpening | None = None
    endpoint_opening: CaseOpening | None = None
    settles: bool = False

    @property
    def disable(self) -> bool:
        return self.why_disabled is not None


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
    whole: bool = True  # the answer came to its end, or there was none
    milliseconds: int = 0
