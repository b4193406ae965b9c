"""Commands: what producers, merchants and operators ask for, already validated in form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from domain.model.errors import DomainError
from domain.model.master_data import Entry, MasterKind
from domain.model.order import CanceledBy, PaymentKind
from domain.model.reversal import TimeoutCause
from domain.model.transaction import AttemptState, OperationKind, OperationState


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOrder:
    name: ClassVar[str] = "intake.register_order"
    merchant: str
    order: str
    provider: str
    reference: str
    amount: str
    currency: str
    kind: PaymentKind = PaymentKind.FIAT
    network: str | None = None
    customer: str | None = None
    created_at: datetime | None = None
    cancellation_timeout: timedelta | None = None
    checkout_timeout: timedelta | None = None
    attempts_allowed: int = 1
    bill: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutCompleted:
    name: ClassVar[str] = "intake.checkout_completed"
    merchant: str
    order: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    name: ClassVar[str] = "intake.cancel_order"
    merchant: str
    order: str
    by: CanceledBy
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAttempt:
    name: ClassVar[str] = "intake.record_attempt"
    merchant: str
    order: str
    id: str
    state: AttemptState
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOperation:
    name: ClassVar[str] = "intake.record_operation"
    merchant: str
    order: str
    id: str
    kind: OperationKind
    state: OperationState
    amount: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOrder:
    name: ClassVar[str] = "intake.resolve_order"
    merchant: str
    order: str
    note: str
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOrder:
    """Ask the provider about the order now; it has no message, only HTTP and the command line."""

    name: ClassVar[str] = "intake.poll_order"
    merchant: str
    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTimeout:
    """A payment, cancel or void of the merchant's own got no adequate answer; `order` is a note on it."""

    name: ClassVar[str] = "intake.report_timeout"
    merchant: str
    provider: str
    reference: str
    response_code: str
    amount: str
    currency: str
    occurred_at: datetime
    settles_at: datetime | None = None
    order: str | None = None
    cause: TimeoutCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseNow:
    """Take an open reversal up again at once; it has no message, only HTTP and the command line."""

    name: ClassVar[str] = "intake.reverse_now"
    merchant: str
    provider: str
    reference: str
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutMasterData:
    """What the merchant's bills may name from now on; of each key the last that was said stands."""

    name: ClassVar[str] = "intake.put_master_data"
    merchant: str
    kind: MasterKind
    entries: tuple[Entry, ...]
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriggerRejected:
    """Try rejected transactions again, all that are pending if none are named; `retrigger` names the trying."""

    name: ClassVar[str] = "sanity.retrigger"
    merchant: str
    retrigger: str
    transactions: tuple[int, ...] | None = None
    dry_run: bool = False
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFailed:
    """These rejected transactions will never be mended: they fail for good."""

    name: ClassVar[str] = "sanity.mark_failed"
    merchant: str
    transactions: tuple[int, ...]
    note: str | None = None
    order: str | None = None


OrderCommand: TypeAlias = CheckoutCompleted | CancelOrder | RecordAttempt | RecordOperation | ResolveOrder | PollOrder
SanityCommand: TypeAlias = PutMasterData | RetriggerRejected | MarkFailed
Command: TypeAlias = RegisterOrder | OrderCommand | ReportTimeout | ReverseNow | SanityCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A command as it came in: `key` names it for its merchant, `content` is the hash of what it says.

    `body` is the message's own JSON object, kept so that it can be applied later and shown as it was.
    """

    command: Command
    key: str
    content: str
    body: Mapping[str, Any]
    actor: str
    trace: str


def differing(kept: Mapping[str, Any], came: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields in which two bodies of one message differ."""
    return tuple(sorted(field for field in kept.keys() | came.keys() if kept.get(field) != came.get(field)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    field: str
    reason: str


class UnreadableBody(DomainError):
    """What was kept of a message says no command any more; every field that is wrong has its reason."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMessage:
    """Input that was not accepted, kept with its reasons (I8)."""

    name: str
    merchant: str | None
    order: str | None
    body: str
    errors: tuple[FieldError, ...]
    channel: str  # message, http, cli
