"""A decision while it is being made: the order as it shall be, and what goes with it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import CommandOutcome, CommandState, Decision, Entry, EntryKind, Move
from domain.model.due_work import Claimed, Due
from domain.model.event import Event
from domain.model.money import difference
from domain.model.order import CanceledBy, Order, OrderStatus, Reason, Resolution
from domain.model.transaction import Attempt, Intent, Operation, Transaction
from domain.rules import order_lifecycle
from domain.rules.events import status_changed
from domain.rules.lifecycle import advance

# The cases of an order that facts close: once it has reached an end, nobody needs to decide them.
CLOSED_BY_FACTS: Final = frozenset({CaseKind.POLLING_EXHAUSTED, CaseKind.CANCEL_IN_DOUBT, CaseKind.STUCK})
SETTLED_BY_HAND: Final = frozenset({CaseKind.LATE_PAYMENT, CaseKind.AMOUNT_MISMATCH})


@dataclass(slots=True, kw_only=True)
class Draft:
    """Collects the parts of one decision. Rules read `order` as it stands after what they did so far."""

    before: Order
    order: Order
    actor: str
    now: datetime
    row: Claimed | None = None
    due: Due | None = None
    keep_due: bool = False
    moves: list[Move] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    openings: list[CaseOpening] = field(default_factory=list)
    closures: set[CaseKind] = field(default_factory=set)
    closure_note: str | None = None
    closed_with: str | None = None
    resolution: Resolution | None = None  # of an order that is RESOLVED, where a command asks for it
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    outcomes: list[CommandOutcome] = field(default_factory=list)

    @classmethod
    def of(cls, order: Order, *, actor: str, now: datetime, row: Claimed | None = None) -> "Draft":
        return cls(before=order, order=order, actor=actor, now=now, row=row)

    @property
    def transaction(self) -> Transaction:
        return self.order.transaction

    def learn(self, **changes: Any) -> None:
        """Set fields of the transaction."""
        self.order = replace(self.order, transaction=replace(self.order.transaction, **changes))

    def note(self, entry: EntryKind, **detail: str | None) -> None:
        self.entries.append(Entry(kind=entry, detail=detail))

    def record_intent(self, intent: Intent) -> None:
        """Keep an effect's intent, new or with its outcome."""
        self.learn(intent=intent)
        self.intents = [*(kept for kept in self.intents if kept.key != intent.key), intent]

    def settle(self, kind: CaseKind, note: str) -> None:
        """Let the facts close the case of this kind, if one is open."""
        self.closures.add(kind)
        self.closure_note = self.closure_note or note

    def end_watch(self) -> None:
        self.order = replace(self.order, watching=False)
        self.due = None

    def move(
        self,
        signal: order_lifecycle.Signal,
        *,
        reason: str | None = None,
        canceled_by: CanceledBy | None = None,
    ) -> None:
        """Move the order along an edge of its table; a signal that leads home changes nothing.

        Raises:
            IllegalTransition: the order's status does not list the signal.
        """
        before = self.order.status
        status = advance(order_lifecycle.TRANSITIONS, before, signal)
        if status is before:
            return
        self.order = replace(
            self.order,
            status=status,
            reason=reason,
            canceled_by=canceled_by,
            sequence=self.order.sequence + 1,
            changed_at=self.now,
            watching=status in order_lifecycle.CLOSED,
        )
        move = Move(
            sequence=self.order.sequence, previous=before, status=status, reason=reason, canceled_by=canceled_by
        )
        self.moves.append(move)
        self.events.append(status_changed(self.order, move))
        if status not in order_lifecycle.OPEN:
            self._settle_open_ends(status)

    def _settle_open_ends(self, status: OrderStatus) -> None:
        """An order that has left its open states answers the command that wanted it canceled, and closes its cases."""
        self.closures |= CLOSED_BY_FACTS
        self.closure_note = f"the order is {status}"
        refused = status not in order_lifecycle.CLOSED
        self.answer_cancel(CommandState.REFUSED if refused else CommandState.APPLIED, f"the order is {status}")
        if status is OrderStatus.UNRESOLVED:
            self.openings.append(_unresolved(self.order))
        if status is OrderStatus.RESOLVED:
            self.closures |= SETTLED_BY_HAND

    def answer_cancel(self, state: CommandState, reason: str) -> None:
        """End the request to cancel the order, if there is one, and answer the command that made it."""
        request = self.order.cancel_request
        self.order = replace(self.order, cancel_request=None)
        if request is not None and request.command is not None:
            self.outcomes.append(CommandOutcome(command=request.command, state=state, reason=reason))

    @property
    def changes_nothing(self) -> bool:
        """Whether what was asked for stood already."""
        return self.keep_due and not self.entries and self.order == self.before

    def decide(self) -> Decision:
        return Decision(
            before=self.before,
            order=self.order,
            actor=self.actor,
            moves=tuple(self.moves),
            attempts=tuple(self.attempts),
            operations=tuple(self.operations),
            intents=tuple(self.intents),
            openings=tuple(self.openings),
            closures=frozenset(self.closures),
            closure_note=self.closure_note,
            closed_with=self.closed_with,
            entries=tuple(self.entries),
            events=tuple(self.events),
            outcomes=tuple(self.outcomes),
            due=self.due,
            row=self.row,
            keep_due=self.keep_due,
        )


def kind_of_case(order: Order) -> CaseKind:
    """Return the kind of case that an UNRESOLVED order has."""
    return CaseKind.LATE_PAYMENT if order.reason == Reason.DELAYED else CaseKind.AMOUNT_MISMATCH


def _unresolved(order: Order) -> CaseOpening:
    received = order.transaction.amount_received
    money = order.currency.render
    at_risk = order.amount if received is None else received
    kind = kind_of_case(order)
    late = kind is CaseKind.LATE_PAYMENT
    got = "an authorization is held" if received is None else f"{money(received)} {order.currency.code} was received"
    return CaseOpening(
        kind=kind,
        known=f"{got} for an order of {money(order.amount)} {order.currency.code}: {order.reason}",
        provider_says=order.transaction.provider_status,
        amount_at_risk=at_risk if late else abs(difference(at_risk, order.amount)),
    )
