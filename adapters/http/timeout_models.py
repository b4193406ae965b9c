"""What HTTP answers about timed-out transactions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from adapters.http.models import Money, NextAction
from domain.model.case import CaseKind
from domain.model.order import OrderStatus
from domain.model.reversal import LastAnswer, TimeoutCause
from domain.model.transaction import ReversalOutcome


class TimeoutKept(BaseModel):
    """The report is kept. `repeat` says that this payment was reported before, and that nothing happened now."""

    merchant: str
    provider: str
    reference: str
    repeat: bool


class Timeout(BaseModel):
    merchant: str
    provider: str
    reference: str
    order: str | None = Field(description="The order whose payment it is; else what the report called it.")
    order_status: OrderStatus | None = Field(description="Only where the payment is an order's own.")
    amount: Money
    currency: str
    response_code: str
    cause: TimeoutCause | None
    occurred_at: datetime
    settles_at: datetime = Field(description="Until then it can be voided.")
    reported_at: datetime
    outcome: ReversalOutcome | None = Field(description="How its undoing ended; null while it is open.")
    ended_at: datetime | None
    attempts: int = Field(description="Queries that were answered with a record.")
    on_record: bool = Field(description="The provider has had a record of it at some time.")
    last_answer: LastAnswer | None
    last_asked_at: datetime | None
    provider_says: str | None


class TimeoutAttempt(BaseModel):
    """One attempt: what was asked, what the answer said, and what followed."""

    at: datetime
    asked: str = Field(description="`inquiry` or `void`.")
    key: str | None = Field(description="The idempotency key of a void.")
    answer: Mapping[str, str | None]
    decided: str
    next_at: datetime | None


class TimeoutIntent(BaseModel):
    """A void that was meant: recorded with its key before it is sent."""

    number: int
    key: str
    confirmed: bool
    refused_in: str | None
    in_doubt_once: bool
    created_at: datetime
    answered_at: datetime | None


class TimeoutCase(BaseModel):
    id: int
    kind: CaseKind
    known: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


class TimeoutDetail(Timeout):
    attempts_made: Sequence[TimeoutAttempt] = Field(description="Every attempt, the oldest first.")
    voids: Sequence[TimeoutIntent]
    cases: Sequence[TimeoutCase]
    next_action: NextAction | None = Field(description="Null where it has ended, or waits for a person.")
