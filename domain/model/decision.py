"""A decision: what follows from an answer or a command, as one value with optional parts.

A new kind of decision adds a part, never a branch: the store writes each part for a whole wave at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claimed, Due
from domain.model.event import Event
from domain.model.order import CanceledBy, Order, OrderStatus
from domain.model.transaction import Attempt, Intent, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of an order's status: one row of history and one event (I1)."""

    sequence: int
    previous: OrderStatus | None
    status: OrderStatus
    reason: str | None = None
    canceled_by: CanceledBy | None = None


class EntryKind(StrEnum):
    """What the timeline keeps beside the changes of status."""

    CHECKOUT_COMPLETED = "checkout_completed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_DROPPED = "cancel_dropped"
    ATTEMPT = "attempt"
    OPERATION = "operation"
    TRANSACTION = "transaction"  # the parent moved
    INTENT = "intent"
    EFFECT_CONFIRMED = "effect_confirmed"
    EFFECT_REFUSED = "effect_refused"
    EFFECT_IN_DOUBT = "effect_in_doubt"
    EFFECT_OVERTAKEN = "effect_overtaken"  # a cancel in doubt, by an authorization
    STALE = "stale"
    CONTRADICTION = "contradiction"
    UNKNOWN_STATUS = "unknown_status"
    WATCH_ENDED = "watch_ended"
    REVERSAL_OPENED = "reversal_opened"
    REVERSAL_ENDED = "reversal_ended"
    HELD = "held"  # what the provider says must wait for the reversal
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    kind: EntryKind
    detail: Mapping[str, str | None] = field(default_factory=dict)


class CommandState(StrEnum):
    """How far a command of the inbox is."""

    WAITING = "waiting"  # for its order, until `waits_until`
    ACCEPTED = "accepted"  # it is being carried out, step by step
    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """What became of a command. Of one that is refused, `field` names what of it stands in the way."""

    command: int
    state: CommandState
    reason: str | None = None
    field: str = "order"
    is_repeat: bool = False  # what it wants stood already, and nothing was changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows for one order. `order` is as it shall be; where it equals `before`, nothing of it is written."""

    before: Order
    order: Order
    actor: str
    moves: tuple[Move, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    operations: tuple[Operation, ...] = ()
    intents: tuple[Intent, ...] = ()
    openings: tuple[CaseOpening, ...] = ()
    closures: frozenset[CaseKind] = frozenset()
    closure_note: str | None = None
    closed_with: str | None = None  # the action by which a person closes cases; None: the facts do
    entries: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = ()
    outcomes: tuple[CommandOutcome, ...] = ()
    due: Due | None = None  # None: nothing is owed any more, or a case owes it
    row: Claimed | None = None  # the claim that this decision answers; None for a command, which re-plans from outside
    keep_due: bool = False  # a command that leaves the plan as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the lane learnt from a wave, for its breaker and its pace."""

    lane: int
    intelligible: int
    failed: int
    pause_until: datetime | None = None
