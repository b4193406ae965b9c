"""The order: what the customer bought, as the merchant sees it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from domain.model.money import Currency
from domain.model.transaction import Transaction


class OrderStatus(StrEnum):
    NEW = "NEW"
    PENDING = "PENDING"
    PAID = "PAID"
    UNRESOLVED = "UNRESOLVED"
    RESOLVED = "RESOLVED"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    REFUND_PENDING = "REFUND_PENDING"
    REFUNDED = "REFUNDED"


class CanceledBy(StrEnum):
    USER = "user"
    MERCHANT = "merchant"
    SYSTEM = "system"


class Reason(StrEnum):
    """Why an order has its status, where that alone does not say it; a merchant's own words may stand here too."""

    OVERPAID = "overpaid"
    UNDERPAID = "underpaid"
    DELAYED = "delayed"
    CANCELLATION_TIMEOUT = "cancellation_timeout"
    CHECKOUT_TIMEOUT = "checkout_timeout"
    PAYMENT_WINDOW = "payment_window"
    PROVIDER_CANCELED = "provider_canceled"
    INVALID = "invalid"
    DECLINED = "declined"
    REVERSED = "reversed"
    REFUND_REJECTED = "refund_rejected"
    REFUNDED_IN_PART = "refunded_in_part"


class PaymentKind(StrEnum):
    FIAT = "fiat"
    CRYPTO = "crypto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the customer has; resolved at registration from order, merchant and provider.

    Where no cancellation timeout is set, `window` closes the order as EXPIRED.
    """

    cancellation: timedelta | None
    checkout: timedelta | None
    window: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Somebody asked to cancel, and the provider has not settled it yet."""

    by: CanceledBy
    reason: str | None
    command: int | None  # the inbox row that is answered when the order ends
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How a person settled an UNRESOLVED order."""

    note: str
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order with the transaction that pays it; `version` counts saved changes, `sequence` those of status."""

    id: int
    merchant: str
    reference: str
    amount: Decimal
    currency: Currency
    kind: PaymentKind
    network: str | None
    created_at: datetime
    attempts_allowed: int  # 0: no limit
    timeouts: Timeouts
    tolerance: Decimal
    transaction: Transaction
    status: OrderStatus = OrderStatus.NEW
    reason: str | None = None
    canceled_by: CanceledBy | None = None
    checkout_completed_at: datetime | None = None
    cancel_request: CancelRequest | None = None
    changed_at: datetime  # of the last change of status
    watching: bool = False  # closed, and still looked at for late money
    version: int = 1
    sequence: int = 1
    customer: str | None = field(default=None)
