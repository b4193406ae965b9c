"""One model for each message: its fields as in `producer.md`, the command that it is, and the key that names it."""

import json
from abc import abstractmethod
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.messages.fields import (
    Amount,
    Count,
    Customer,
    Day,
    Free,
    Grounds,
    Identifier,
    Instant,
    Prose,
    Reference,
    Seconds,
    Word,
    identifier,
    instant,
)
from domain.model import command as commands
from domain.model.command import Command
from domain.model.order import CanceledBy, PaymentKind
from domain.model.reversal import TimeoutCause
from domain.model.transaction import AttemptState, OperationKind, OperationState


class Part(BaseModel):
    # What we do not know is ignored, so that a newer producer meets an older worker.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Message(Part):
    """What every message has. `key` names it for its merchant; None: it is named by what it says."""

    name: ClassVar[str]
    # The first of its key stands and later ones change nothing, whatever they say.
    first_stands: ClassVar[bool] = False
    # Of what was said last the whole stands, so saying it once more after something else is no repeat.
    last_stands: ClassVar[bool] = False
    # Whether producers send it; what only people do has no message, and each time is one of its own.
    is_sent: ClassVar[bool] = True

    merchant: Identifier

    @property
    def key(self) -> str | None:
        return None

    @abstractmethod
    def command(self) -> Command: ...


class Item(Part):
    """An entry that master data may know by its key; the rest of it is the merchant's own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Free] = Field(init=False)

    key: Identifier

    @model_validator(mode="before")
    @classmethod
    def _by_key_alone(cls, value: object) -> object:
        return {"key": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.__pydantic_extra__:
            identifier(name)
        return self


class Bill(Part):
    number: Identifier | None = None
    date: Day | None = None
    store: Item | None = None
    payment_methods: list[Item] = Field(default=[], max_length=10_000)
    line_items: list[Item] = Field(default=[], max_length=10_000)
    extended_fields: dict[Identifier, Free] = {}
    customer_extended_fields: dict[Identifier, Free] = {}
    source: dict[Identifier, Free] = {}


class OrderMessage(Message):
    """A message about one order."""

    order: Identifier


class RegisterOrder(OrderMessage):
    name: ClassVar[str] = commands.RegisterOrder.name

    provider: Identifier
    reference: Reference
    amount: Amount
    currency: Word
    kind: Literal["fiat", "crypto"] = "fiat"
    network: Word | None = None
    customer: Customer | None = None
    created_at: Instant | None = None
    cancellation_timeout: Seconds | None = None
    checkout_timeout: Seconds | None = None
    attempts_allowed: Count = 1
    bill: Bill | None = None

    @property
    def key(self) -> str:
        return self.order

    def command(self) -> Command:
        return commands.RegisterOrder(
            merchant=self.merchant,
            order=self.order,
            provider=self.provider,
            reference=self.reference,
            amount=self.amount,
            currency=self.currency,
            kind=PaymentKind(self.kind),
            network=self.network,
            customer=self.customer,
            created_at=_moment(self.created_at),
            cancellation_timeout=_seconds(self.cancellation_timeout),
            checkout_timeout=_seconds(self.checkout_timeout),
            attempts_allowed=self.attempts_allowed,
            bill=None if self.bill is None else self.bill.model_dump(exclude_unset=True),
        )


class CheckoutCompleted(OrderMessage):
    name: ClassVar[str] = commands.CheckoutCompleted.name
    first_stands: ClassVar[bool] = True

    at: Instant | None = None

    @property
    def key(self) -> str:
        return self.order

    def command(self) -> Command:
        return commands.CheckoutCompleted(merchant=self.merchant, order=self.order, at=_moment(self.at))


class CancelOrder(OrderMessage):
    name: ClassVar[str] = commands.CancelOrder.name

    by: Literal["user", "merchant"]
    reason: Grounds | None = None

    def command(self) -> Command:
        return commands.CancelOrder(
            merchant=self.merchant, order=self.order, by=CanceledBy(self.by), reason=self.reason
        )


class Attempt(Part):
    id: Identifier
    state: Literal["pending", "success", "failed", "canceled", "error", "cod"]
    reason: Prose | None = None
    at: Instant | None = None


class RecordAttempt(OrderMessage):
    name: ClassVar[str] = commands.RecordAttempt.name

    attempt: Attempt

    @property
    def key(self) -> str:
        return _joined(self.order, self.attempt.id, self.attempt.state)

    def command(self) -> Command:
        return commands.RecordAttempt(
            merchant=self.merchant,
            order=self.order,
            id=self.attempt.id,
            state=AttemptState(self.attempt.state),
            reason=self.attempt.reason,
            at=_moment(self.attempt.at),
        )


class Operation(Part):
    id: Identifier
    kind: Literal["capture", "refund", "void"]
    state: Literal["queued", "done", "rejected"]
    amount: Amount
    at: Instant | None = None


class RecordOperation(OrderMessage):
    name: ClassVar[str] = commands.RecordOperation.name

    operation: Operation

    @property
    def key(self) -> str:
        return _joined(self.order, self.operation.id, self.operation.state)

    def command(self) -> Command:
        return commands.RecordOperation(
            merchant=self.merchant,
            order=self.order,
            id=self.operation.id,
            kind=OperationKind(self.operation.kind),
            state=OperationState(self.operation.state),
            amount=self.operation.amount,
            at=_moment(self.operation.at),
        )


class ResolveOrder(OrderMessage):
    name: ClassVar[str] = commands.ResolveOrder.name

    note: Grounds
    by: Identifier | None = None

    def command(self) -> Command:
        return commands.ResolveOrder(merchant=self.merchant, order=self.order, note=self.note, by=self.by)


class PollOrder(OrderMessage):
    """No producer sends it; HTTP and the command line do, by the same way."""

    name: ClassVar[str] = commands.PollOrder.name
    is_sent: ClassVar[bool] = False

    def command(self) -> Command:
        return commands.PollOrder(merchant=self.merchant, order=self.order)


class ReportTimeout(Message):
    name: ClassVar[str] = commands.ReportTimeout.name
    first_stands: ClassVar[bool] = True

    provider: Identifier
    reference: Reference
    response_code: Literal["99", "797", "798", "799"]
    amount: Amount
    currency: Word
    occurred_at: Instant
    settles_at: Instant | None = None
    order: Identifier | None = None
    cause: Literal["no_response", "partial_response", "unintelligible_response"] | None = None

    @property
    def key(self) -> str:
        return _joined(self.provider, self.reference)

    def command(self) -> Command:
        return commands.ReportTimeout(
            merchant=self.merchant,
            provider=self.provider,
            reference=self.reference,
            response_code=self.response_code,
            amount=self.amount,
            currency=self.currency,
            occurred_at=instant(self.occurred_at),
            settles_at=_moment(self.settles_at),
            order=self.order,
            cause=None if self.cause is None else TimeoutCause(self.cause),
        )


class ReverseNow(Message):
    """No producer sends it; HTTP and the command line do, by the same way."""

    name: ClassVar[str] = commands.ReverseNow.name
    is_sent: ClassVar[bool] = False

    provider: Identifier
    reference: Reference

    def command(self) -> Command:
        return commands.ReverseNow(merchant=self.merchant, provider=self.provider, reference=self.reference)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def _seconds(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=count)


def _joined(*parts: str) -> str:
    # As a list in JSON, so that no part can run into the next.
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
