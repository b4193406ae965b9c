"""The life of an order, and which of its states owe something."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from domain.model.order import OrderStatus as S
from domain.model.transaction import ParentState


class Signal(StrEnum):
    """What can happen to an order."""

    SEEN = "seen"  # the customer has started, or a payment is seen and not final
    PAID = "paid"  # in full and in time
    PAID_ODDLY = "paid_oddly"  # over, under or late
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REFUND_ASKED = "refund_asked"
    REFUND_ENDED = "refund_ended"  # rejected, or done in part
    REFUNDED = "refunded"  # all that was received is back
    RESOLVED = "resolved"


_OPEN: Final = MappingProxyType({
    Signal.SEEN: S.PENDING, Signal.PAID: S.PAID, Signal.PAID_ODDLY: S.UNRESOLVED,
    Signal.FAILED: S.FAILED, Signal.CANCELED: S.CANCELED, Signal.EXPIRED: S.EXPIRED,
})  # fmt: skip
_CLOSED: Final = MappingProxyType({Signal.PAID_ODDLY: S.UNRESOLVED})

TRANSITIONS: Final[Mapping[S, Mapping[Signal, S]]] = MappingProxyType({
    S.NEW: _OPEN,
    S.PENDING: _OPEN,
    S.PAID: {Signal.PAID: S.PAID, Signal.REFUND_ASKED: S.REFUND_PENDING, Signal.REFUNDED: S.REFUNDED},
    S.UNRESOLVED: {Signal.RESOLVED: S.RESOLVED},
    S.RESOLVED: {Signal.RESOLVED: S.RESOLVED},
    S.EXPIRED: _CLOSED,
    S.CANCELED: _CLOSED,
    S.FAILED: _CLOSED,
    S.REFUND_PENDING: {
        Signal.REFUND_ASKED: S.REFUND_PENDING, Signal.REFUND_ENDED: S.PAID, Signal.REFUNDED: S.REFUNDED,
    },
    S.REFUNDED: {Signal.REFUNDED: S.REFUNDED},
})  # fmt: skip

# The parent drives the order. PAID is missing: amount and time decide between PAID and UNRESOLVED.
FROM_PARENT: Final[Mapping[ParentState, Signal | None]] = MappingProxyType(
    {
        ParentState.CREATED: None,
        ParentState.PENDING: Signal.SEEN,
        ParentState.ATTEMPTED: Signal.SEEN,
        ParentState.AUTHORIZED: Signal.SEEN,
        ParentState.COD: Signal.SEEN,
        ParentState.FAILED: Signal.FAILED,
        ParentState.CANCELED: Signal.CANCELED,
        ParentState.INVALID: Signal.CANCELED,
        ParentState.EXPIRED: Signal.EXPIRED,
    }
)


class Owes(StrEnum):
    """What a status still owes, so that nothing goes dark (I2)."""

    ALWAYS = "always"  # a due row, or an open case
    WATCH = "watch"  # until its watch for late money ends
    CASE = "case"  # its own case
    NOTHING = "nothing"


OWES: Final[Mapping[S, Owes]] = MappingProxyType(
    {
        S.NEW: Owes.ALWAYS,
        S.PENDING: Owes.ALWAYS,
        S.PAID: Owes.NOTHING,
        S.UNRESOLVED: Owes.CASE,
        S.RESOLVED: Owes.NOTHING,
        S.EXPIRED: Owes.WATCH,
        S.CANCELED: Owes.WATCH,
        S.FAILED: Owes.WATCH,
        S.REFUND_PENDING: Owes.ALWAYS,
        S.REFUNDED: Owes.NOTHING,
    }
)

OPEN: Final = frozenset({S.NEW, S.PENDING})
CLOSED: Final = frozenset(status for status, owes in OWES.items() if owes is Owes.WATCH)
