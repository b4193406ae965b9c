"""The payment transaction: the parent record of moving an order's money, with its attempts and operations."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.model.money import ZERO


class ParentState(StrEnum):
    CREATED = "CREATED"
    PENDING = "PENDING"
    ATTEMPTED = "ATTEMPTED"
    AUTHORIZED = "AUTHORIZED"
    PAID = "PAID"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    COD = "COD"


class AttemptState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    ERROR = "error"
    COD = "cod"


class OperationKind(StrEnum):
    CAPTURE = "capture"
    REFUND = "refund"
    VOID = "void"


class OperationState(StrEnum):
    QUEUED = "queued"
    DONE = "done"
    REJECTED = "rejected"


class ReversalOutcome(StrEnum):
    """How the undoing of a timed-out transaction ended."""

    DECLINED = "DECLINED"  # there was nothing to undo
    ALREADY_REVERSED = "ALREADY_REVERSED"
    VOIDED = "VOIDED"
    SETTLEMENT_PASSED = "SETTLEMENT_PASSED"
    EXHAUSTED = "EXHAUSTED"


class Effect(StrEnum):
    """What we can do at a provider. Both are idempotent under their key."""

    CANCEL = "cancel"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of the customer; `position` counts from 1 in the order in which attempts became known."""

    id: str
    state: AttemptState
    position: int
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A capture, a refund or a void under the transaction."""

    id: str
    kind: OperationKind
    state: OperationState
    amount: Decimal
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An effect that was decided on, recorded before it is asked for (I3).

    `refused_in` is the provider's status that refused it, `no_record` where the provider knew no such payment.
    An intent that is neither confirmed nor refused is in doubt, and only its own key may be sent again.
    """

    effect: Effect
    number: int
    key: str
    confirmed: bool = False
    refused_in: str | None = None
    asked: bool = False  # at least one call under this key got no intelligible answer

    @property
    def open(self) -> bool:
        return not self.confirmed and self.refused_in is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What is known of the payment. `provider_status` is the last word the provider used, allowed or not."""

    provider: str
    reference: str
    state: ParentState = ParentState.CREATED
    provider_status: str | None = None
    amount_received: Decimal | None = None
    amount_refunded: Decimal = ZERO  # the provider's own total
    secured_at: datetime | None = (
        None  # when the customer had done their part: paid, authorized, or seen on the network
    )
    confirmations: int | None = None
    settled: bool = False
    no_records: int = 0  # "no record" answers in a row since the deadline
    no_record_since: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    operations: tuple[Operation, ...] = ()
    intent: Intent | None = None  # the latest
    reversing: bool = False  # a timeout was reported for it, and its reversal is open
    reversal: ReversalOutcome | None = None  # how such a reversal ended
