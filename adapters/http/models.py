"""What HTTP answers with: one model for each thing, so that the document and the answers cannot drift."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from domain.model.case import CaseKind
from domain.model.event import EventType
from domain.model.master_data import MasterKind
from domain.model.order import CanceledBy, OrderStatus
from domain.model.rejection import RejectionStatus, RejectionType
from domain.model.transaction import AttemptState, OperationKind, OperationState, ParentState

T = TypeVar("T")

Money = Annotated[str, Field(description="In major units, with all the decimals of its currency.", examples=["12.30"])]


class Page(BaseModel, Generic[T]):
    items: Sequence[T]
    next_cursor: str | None = Field(description="Where the next page begins; null where there is none.")


RejectionId = Annotated[str, BeforeValidator(str), Field(description="As the callbacks call it.")]


class Reason(BaseModel):
    """One thing of a bill that its merchant's master data does not allow."""

    kind: MasterKind
    key: str
    message: str


class Rejected(BaseModel):
    """Why a transaction is no order, and where it waits or ended."""

    rejection: RejectionId
    status: RejectionStatus
    type: RejectionType = Field(description="Whether it could be mended when it was rejected.")
    reasons: Sequence[Reason]
    address: str


class Registered(BaseModel):
    """What became of each of many orders, in their order."""

    merchant: str
    orders: "Sequence[RegisteredOne]"


class RegisteredOne(BaseModel):
    order: str | None
    kept: bool
    repeat: bool
    location: str | None = Field(default=None, description="Where to look: at the order, or why it is none.")
    rejected: Rejected | None = Field(default=None, description="Why it is no order, where its bill is not allowed.")
    errors: "Sequence[FieldProblem]"


class Order(BaseModel):
    merchant: str
    order: str
    status: OrderStatus
    reason: str | None
    canceled_by: CanceledBy | None
    cancel_requested: bool = Field(description="Somebody asked to cancel it, and that is not settled yet.")
    amount: Money
    amount_received: Money | None
    amount_refunded: Money
    currency: str
    provider: str
    reference: str
    created_at: datetime
    registered_at: datetime
    changed_at: datetime


class Attempt(BaseModel):
    id: str
    state: AttemptState
    reason: str | None
    at: datetime | None


class Operation(BaseModel):
    id: str
    kind: OperationKind
    state: OperationState
    amount: Money
    at: datetime | None


class Transaction(BaseModel):
    provider: str
    reference: str
    state: ParentState
    provider_status: str | None
    amount_received: Money | None
    amount_refunded: Money
    secured_at: datetime | None
    confirmations: int | None
    settled: bool
    attempts: Sequence[Attempt]
    operations: Sequence[Operation]


class Deadlines(BaseModel):
    """When an unpaid order is closed: at the earliest of these that is live."""

    cancellation: datetime | None
    checkout: datetime | None
    payment_window: datetime | None
    live: datetime | None = Field(description="The one that counts now; null once the customer has done their part.")


class NextAction(BaseModel):
    action: str = Field(description="What is done next, like `poll`, `close` or `watch`.")
    at: datetime
    under_way: bool


class OrderDetail(Order):
    kind: str
    network: str | None
    customer: str | None
    checkout_completed_at: datetime | None
    deadlines: Deadlines
    transaction: Transaction
    next_action: NextAction | None = Field(description="Null where nothing is planned.")
    open_cases: Sequence[int]
    trimmed_to: datetime | None = Field(description="Up to then, what only tells of it was deleted: see retention.")


class TimelineEntry(BaseModel):
    at: datetime
    kind: str = Field(description="`status`, or what else was noted: `attempt`, `intent`, `stale`, ...")
    detail: Mapping[str, Any]
    actor: str
    trace: str | None


class Case(BaseModel):
    id: int
    kind: CaseKind
    merchant: str | None
    order: str | None
    known: str
    provider_says: str | None
    amount_at_risk: Money | None
    currency: str | None
    deadline: datetime | None = Field(description="Until when something can still be done, where there is such a time.")
    details: Mapping[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


class CaseDetail(Case):
    meaning: str
    actions: Mapping[str, str] = Field(description="What can be done now, each with what it does.")
    closed_by_facts_when: str | None
    entries: Sequence[Mapping[str, Any]] = Field(description="Every step of it.")


class Event(BaseModel):
    """An event as its callback has it, and its name."""

    event: str
    type: EventType
    timestamp: datetime
    data: Mapping[str, Any]


class Feed(BaseModel):
    items: Sequence[Event]
    next_cursor: str | None = Field(description="Where to go on, also when nothing has come; null before any event.")


class Callback(BaseModel):
    id: str = Field(description="The event's name, which is also the `webhook-id`.")
    type: EventType
    order: str | None
    url: str
    enabled: bool
    state: str = Field(description="`pending`, `delivered` or `failed`.")
    redelivery: bool = Field(description="It is delivered once more, because somebody asked for that.")
    tries: int
    status: int | None = Field(description="What the endpoint answered last.")
    error: str | None
    created_at: datetime
    last_tried_at: datetime | None


class Redelivery(BaseModel):
    deliveries: int = Field(description="How many deliveries were made due.")


class FieldProblem(BaseModel):
    field: str
    reason: str


class Problem(BaseModel):
    """What is wrong (RFC 9457). Match on `type`, which is stable."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, in words.")
    errors: Sequence[FieldProblem] | None = None
    trace: str | None = Field(default=None, description="Names this request in our logs.")


class RefusedMessage(BaseModel):
    id: int
    name: str
    merchant: str | None
    order: str | None
    body: str
    errors: Sequence[FieldProblem]
    channel: str = Field(description="How it came; `inbox` where it was kept as a command first, and refused later.")
    times: int
    received_at: datetime
    refused_at: datetime
    command: int | None = Field(description="Its id in the inbox, where it was kept first.")


class MerchantMade(BaseModel):
    """Key and secret are shown this once: they are null where the answer is given again."""

    merchant: str
    api_key: str | None
    callback_secret: str | None


class MerchantChanged(BaseModel):
    merchant: str
    callback_secret: str | None = Field(description="Only where the merchant had no endpoint before.")


class SanityQueue(BaseModel):
    """What waits in a merchant's sanity queue, since when, and how many retriggers are under way there."""

    merchant: str
    pending: int
    oldest: datetime | None
    oldest_seconds: float | None
    retriggers_open: int


class Backlog(BaseModel):
    work: Sequence[Mapping[str, Any]]
    lanes: Sequence[Mapping[str, Any]]
    cases: Sequence[Mapping[str, Any]]
    sanity_queues: Sequence[SanityQueue]
    commands_waiting: int
    messages_refused: int = Field(description="Commands that were kept first and refused later among them.")
    commands_refused: int = Field(description="Those of them that were kept first.")
    callback_streams_pending: int


class Alive(BaseModel):
    status: str


class Ready(BaseModel):
    ready: bool
    database: str
    schema_: str = Field(alias="schema")
    broker: str
