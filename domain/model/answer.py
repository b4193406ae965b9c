"""What a provider can answer: a closed set, so that *could not ask* is never read as *not there* (I4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from domain.model.transaction import AttemptState


class ProviderStatus(StrEnum):
    """The words of the provider contract for the state of a payment."""

    CREATED = "created"
    PENDING = "pending"
    ATTEMPTED = "attempted"
    AUTHORIZED = "authorized"
    PAID = "paid"
    DECLINED = "declined"
    CANCELED = "canceled"
    EXPIRED = "expired"
    INVALID = "invalid"
    COD = "cod"
    VOIDED = "voided"
    REFUND_PENDING = "refund_pending"
    REFUND_REJECTED = "refund_rejected"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    id: str
    state: AttemptState
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The provider's record of one payment. `status` is its own word, which may be one that we do not know."""

    reference: str
    status: str
    amount: Decimal
    currency: str
    updated_at: datetime
    amount_received: Decimal | None = None
    amount_refunded: Decimal | None = None
    paid_at: datetime | None = None
    settled: bool = False
    network: str | None = None
    confirmations: int | None = None
    attempts: tuple[RecordedAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class NoRecord:
    """The provider says that it has no record of the payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The provider did nothing, because the payment is in a state that does not allow it."""

    payment_status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """We could not ask: no connection, no answer in time, a server's error, or told to slow down.

    `alarm` marks what no waiting mends: credentials refused, a request that it calls malformed.
    """

    why: str
    retry_after: timedelta | None = None
    alarm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unintelligible:
    """Something came back, and it does not say what we asked."""

    why: str


Answer: TypeAlias = Record | NoRecord | Refused | Unreachable | Unintelligible
Answers: TypeAlias = Mapping[str, Answer]  # {reference: answer}

INTELLIGIBLE = (Record, NoRecord, Refused)
