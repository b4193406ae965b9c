"""The life of a payment transaction: parent, attempts, operations."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from domain.model.answer import ProviderStatus
from domain.model.transaction import AttemptState as A
from domain.model.transaction import OperationState as O
from domain.model.transaction import ParentState as S


class Signal(StrEnum):
    """What can be learnt of a parent."""

    CREATED = "created"
    PENDING = "pending"
    ATTEMPTED = "attempted"  # an attempt ended without payment, and another is allowed
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PAID = "paid"
    DECLINED = "declined"
    CANCELED = "canceled"
    VOIDED = "voided"
    EXPIRED = "expired"
    INVALID = "invalid"
    COD = "cod"


_OPEN: Final = MappingProxyType({
    Signal.AUTHORIZED: S.AUTHORIZED, Signal.PAID: S.PAID, Signal.COD: S.COD, Signal.DECLINED: S.FAILED,
    Signal.CANCELED: S.CANCELED, Signal.VOIDED: S.CANCELED, Signal.EXPIRED: S.EXPIRED, Signal.INVALID: S.INVALID,
})  # fmt: skip


def _closed(home: S) -> Mapping[Signal, S]:
    """A closed parent: every other ending is a repeat, and only money moves it (late money, I5)."""
    endings = (Signal.DECLINED, Signal.CANCELED, Signal.VOIDED, Signal.EXPIRED, Signal.INVALID)
    return MappingProxyType({**dict.fromkeys(endings, home), Signal.AUTHORIZED: S.AUTHORIZED, Signal.PAID: S.PAID})


# One row for each state: everything that may still be learnt there, and where it leads.
# A signal that leads home again is a repeat, which providers send freely; what is missing is stale or a contradiction.
TRANSITIONS: Final[Mapping[S, Mapping[Signal, S]]] = MappingProxyType({
    S.CREATED: {**_OPEN, Signal.CREATED: S.CREATED, Signal.PENDING: S.PENDING, Signal.ATTEMPTED: S.ATTEMPTED},
    S.PENDING: {**_OPEN, Signal.PENDING: S.PENDING, Signal.ATTEMPTED: S.ATTEMPTED},
    S.ATTEMPTED: {
        # Another attempt is allowed, so one that is declined ends nothing.
        **_OPEN, Signal.ATTEMPTED: S.ATTEMPTED, Signal.PENDING: S.ATTEMPTED, Signal.DECLINED: S.ATTEMPTED,
    },
    S.AUTHORIZED: {
        Signal.AUTHORIZED: S.AUTHORIZED, Signal.CAPTURED: S.AUTHORIZED, Signal.PAID: S.PAID, Signal.VOIDED: S.CANCELED,
        # A hold that lapses or is released at the provider leaves nothing to collect.
        Signal.CANCELED: S.CANCELED, Signal.EXPIRED: S.EXPIRED, Signal.INVALID: S.INVALID, Signal.DECLINED: S.FAILED,
        Signal.ATTEMPTED: S.ATTEMPTED,
    },
    S.COD: {
        Signal.COD: S.COD, Signal.PAID: S.PAID, Signal.CANCELED: S.CANCELED, Signal.VOIDED: S.CANCELED,
        Signal.EXPIRED: S.EXPIRED, Signal.INVALID: S.INVALID, Signal.DECLINED: S.FAILED,
        Signal.ATTEMPTED: S.ATTEMPTED,
    },
    S.PAID: {Signal.PAID: S.PAID},
    S.FAILED: _closed(S.FAILED),
    S.CANCELED: _closed(S.CANCELED),
    S.EXPIRED: _closed(S.EXPIRED),
    S.INVALID: _closed(S.INVALID),
})  # fmt: skip

# The provider's words, read for the parent. A refund leaves the parent PAID; its own story is an operation's.
READING: Final[Mapping[ProviderStatus, Signal]] = MappingProxyType(
    {
        ProviderStatus.CREATED: Signal.CREATED,
        ProviderStatus.PENDING: Signal.PENDING,
        ProviderStatus.ATTEMPTED: Signal.ATTEMPTED,
        ProviderStatus.AUTHORIZED: Signal.AUTHORIZED,
        ProviderStatus.PAID: Signal.PAID,
        ProviderStatus.DECLINED: Signal.DECLINED,
        ProviderStatus.CANCELED: Signal.CANCELED,
        ProviderStatus.EXPIRED: Signal.EXPIRED,
        ProviderStatus.INVALID: Signal.INVALID,
        ProviderStatus.COD: Signal.COD,
        ProviderStatus.VOIDED: Signal.VOIDED,
        ProviderStatus.REFUND_PENDING: Signal.PAID,
        ProviderStatus.REFUND_REJECTED: Signal.PAID,
        ProviderStatus.REFUNDED: Signal.PAID,
    }
)

# What an attempt may become. ERROR closes nothing: the customer may still have paid.
ATTEMPTS: Final[Mapping[A, frozenset[A]]] = MappingProxyType(
    {
        A.PENDING: frozenset({A.SUCCESS, A.FAILED, A.CANCELED, A.ERROR, A.COD}),
        A.ERROR: frozenset({A.SUCCESS, A.FAILED, A.CANCELED, A.COD}),
        A.COD: frozenset({A.SUCCESS, A.FAILED, A.CANCELED}),
        A.SUCCESS: frozenset(),
        A.FAILED: frozenset(),
        A.CANCELED: frozenset(),
    }
)

OPERATIONS: Final[Mapping[O, frozenset[O]]] = MappingProxyType(
    {
        O.QUEUED: frozenset({O.DONE, O.REJECTED}),
        O.DONE: frozenset(),
        O.REJECTED: frozenset(),
    }
)

# The attempt that a parent's change belongs to ends in the state that says the same.
ATTEMPT_OF: Final[Mapping[S, A]] = MappingProxyType(
    {
        S.AUTHORIZED: A.SUCCESS,
        S.PAID: A.SUCCESS,
        S.COD: A.COD,
        S.FAILED: A.FAILED,
    }
)

HOLDS_MONEY: Final = frozenset({S.AUTHORIZED, S.PAID})
CUSTOMER_IS_DONE: Final = frozenset({S.AUTHORIZED, S.COD, S.PAID})
CLOSED: Final = frozenset({S.FAILED, S.CANCELED, S.EXPIRED, S.INVALID})
