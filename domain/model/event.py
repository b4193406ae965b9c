"""Events: what happened, told to the merchant exactly as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    ORDER_STATUS_CHANGED = "order.status_changed"
    TRANSACTION_REJECTED = "transaction.rejected"
    TRANSACTION_REPROCESSED = "transaction.reprocessed"
    TRANSACTION_FAILED = "transaction.failed"
    REVERSAL_ENDED = "reversal.ended"
    CASE_OPENED = "case.opened"
    CASE_CLOSED = "case.closed"
    MESSAGE_REFUSED = "message.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of the outbox. `data` is the payload without `event`, which the store adds when it names the event."""

    type: EventType
    merchant: str
    order_id: int | None
    data: Mapping[str, Any]
