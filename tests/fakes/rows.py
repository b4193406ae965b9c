"""The rows of the store, as a test reads them from either implementation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.model.due_work import Lane
from domain.model.mail import Audience, Correspondent
from domain.model.master_data import Entry, Place
from domain.model.merchant import Endpoint, Merchant
from domain.model.order import Order
from domain.model.rejection import Rejection, Retrigger
from domain.model.reversal import Reversal
from domain.model.transaction import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    subject: int
    lane: int
    kind: str
    due_at: datetime
    step: int = 0
    generation: int = 0
    claims: int = 0
    lease: int | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    id: int
    kind: str
    subject: int
    merchant: str | None
    order_id: int | None
    known: str
    provider_says: str | None
    amount_at_risk: Decimal | None
    currency: str | None
    deadline: datetime | None = None
    opened_by: str = "system"
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One step of a case."""

    case_id: int
    kind: str
    actor: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    id: int
    event: str
    type: str
    merchant: str
    order_id: int | None
    sequence: int | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    order_id: int
    sequence: int
    previous: str | None
    status: str
    reason: str | None
    canceled_by: str | None
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    order_id: int
    kind: str
    detail: Mapping[str, str | None]
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    id: int
    merchant: str
    name: str
    key: str
    content: str
    body: Mapping[str, Any]
    order: str | None
    state: str
    reason: str | None
    actor: str
    trace: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    name: str
    merchant: str | None
    order: str | None
    body: str
    errors: list[dict[str, str]]
    channel: str
    times: int
    command: int | None = None
    refused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    id: int
    endpoint: int
    order_id: int | None
    single_event: int | None
    cursor: int = 0
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    stream: int
    event_row: int
    state: str
    tries: int
    status: int | None
    error: str | None
    first_tried_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    id: int
    message_id: str
    event: str
    audience: Audience
    merchant: str | None
    case_id: int | None
    order_id: int | None
    recipient: str | None
    sender: str | None
    sender_name: str | None
    subject: str
    text: str
    html: str
    created_at: datetime
    state: str = "waiting"
    tries: int = 0
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt at a reversal."""

    reversal_id: int
    at: datetime
    asked: str
    key: str | None
    answer: Mapping[str, str | None]
    decided: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """What was decided about a rejected transaction."""

    by: str
    note: str | None = None
    retrigger: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One rejected transaction in one retrigger."""

    retrigger: int
    rejection: int
    outcome: str | None = None
    why: str | None = None


@dataclass(slots=True)
class Tables:
    """Everything that is stored. Rows are values, so a copy of the containers is a snapshot."""

    merchants: dict[str, Merchant] = field(default_factory=dict)
    lanes: dict[int, Lane] = field(default_factory=dict)
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    lane_of_endpoint: dict[int, int] = field(default_factory=dict)
    due: dict[int, DueRow] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    bills: dict[int, Mapping[str, object] | None] = field(default_factory=dict)
    intents: dict[tuple[int, int], Intent] = field(default_factory=dict)
    reversals: dict[int, Reversal] = field(default_factory=dict)
    reversal_intents: dict[tuple[int, int], Intent] = field(default_factory=dict)
    reversal_attempts: list[AttemptRow] = field(default_factory=list)
    entries: dict[Place, Entry] = field(default_factory=dict)
    versions: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # who put each version
    rejections: dict[int, Rejection] = field(default_factory=dict)
    decisions: dict[int, DecisionRow] = field(default_factory=dict)
    needs: dict[int, frozenset[tuple[str, str, str]]] = field(default_factory=dict)  # (kind, key, option)
    retriggers: dict[int, Retrigger] = field(default_factory=dict)
    items: dict[tuple[int, int], ItemRow] = field(default_factory=dict)
    counts: dict[int, Mapping[str, int]] = field(default_factory=dict)  # of each retrigger, by outcome
    swept: list[datetime] = field(default_factory=list)
    history: dict[tuple[int, int], HistoryRow] = field(default_factory=dict)
    timeline: list[TimelineRow] = field(default_factory=list)
    events: dict[int, EventRow] = field(default_factory=dict)
    streams: dict[int, StreamRow] = field(default_factory=dict)
    deliveries: dict[tuple[int, int], DeliveryRow] = field(default_factory=dict)
    cases: dict[int, CaseRow] = field(default_factory=dict)
    correspondents: dict[str, Correspondent] = field(default_factory=dict)
    mails: dict[int, MailRow] = field(default_factory=dict)
    case_entries: list[EntryRow] = field(default_factory=list)
    failing_since: dict[int, datetime] = field(default_factory=dict)  # of endpoints
    inbox: dict[int, InboxRow] = field(default_factory=dict)
    refused: dict[str, RefusedRow] = field(default_factory=dict)

    def snapshot(self) -> "Tables":
        return Tables(**{name: getattr(self, name).copy() for name in Tables.__slots__})
