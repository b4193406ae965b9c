"""What a command makes of an order that is known. One function for each command, one table of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from domain.model.command import (
    CancelOrder,
    CheckoutCompleted,
    OrderCommand,
    PollOrder,
    RecordAttempt,
    RecordOperation,
    ResolveOrder,
)
from domain.model.decision import CommandState, EntryKind
from domain.model.due_work import Due, Work
from domain.model.errors import DomainError
from domain.model.money import InvalidAmount, total_of
from domain.model.order import CanceledBy, CancelRequest, Order, OrderStatus, Resolution
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Operation, OperationKind, OperationState, ParentState
from domain.rules import order_lifecycle, refunds
from domain.rules.case_actions import Action
from domain.rules.deadlines import live_deadline
from domain.rules.draft import Draft
from domain.rules.order_lifecycle import CLOSED, OPEN
from domain.rules.planning import POLLED
from domain.rules.reading import put_attempt
from domain.rules.transaction_lifecycle import ATTEMPTS, OPERATIONS


class CommandRefused(DomainError):
    """The command cannot be carried out; `field` names what of it stands in the way."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def apply_command(draft: Draft, command: OrderCommand, policy: ProviderPolicy, *, inbox: int) -> CommandState:
    """Carry a command out on the draft; return whether it is applied or goes on (`ACCEPTED`).

    Raises:
        CommandRefused: the order's state or what is known of it does not allow the command.
    """
    return COMMANDS[type(command)](draft, command, policy, inbox)


def bring_forward(draft: Draft) -> None:
    """Ask the provider now, in whatever phase the order is; an order that owes nothing is asked once."""
    order = draft.order
    if order.status in OPEN and (order.cancel_request is not None or _deadline_has_passed(draft)):
        draft.due = Due(work=Work.CLOSE, at=draft.now)
    elif order.status in POLLED:
        draft.due = Due(work=Work.POLL, at=draft.now)
    else:
        draft.due = Due(work=Work.WATCH, at=draft.now)


def _deadline_has_passed(draft: Draft) -> bool:
    deadline = live_deadline(draft.order)
    return deadline is not None and deadline.at <= draft.now


def _checkout_completed(draft: Draft, command: CheckoutCompleted, _policy: ProviderPolicy, _inbox: int) -> CommandState:
    if draft.order.checkout_completed_at is None:
        at = command.at or draft.now
        draft.order = replace(draft.order, checkout_completed_at=at)
        draft.note(EntryKind.CHECKOUT_COMPLETED, at=at.isoformat())
        if draft.order.status in OPEN:
            bring_forward(draft)
            return CommandState.APPLIED
    draft.keep_due = True
    return CommandState.APPLIED


def _cancel(draft: Draft, command: CancelOrder, _policy: ProviderPolicy, inbox: int) -> CommandState:
    order, request = draft.order, draft.order.cancel_request
    if order.status is OrderStatus.CANCELED:
        _same_cancel(command, order.canceled_by, order.reason, "the order is CANCELED already")
        draft.keep_due = True
        return CommandState.APPLIED
    if request is not None:
        _same_cancel(command, request.by, request.reason, "the order is being canceled already")
        draft.keep_due = True
        return CommandState.APPLIED
    if order.status not in OPEN:
        raise CommandRefused("order", f"the order is {order.status}")
    draft.order = replace(
        order, cancel_request=CancelRequest(by=command.by, reason=command.reason, command=inbox, at=draft.now)
    )
    draft.note(EntryKind.CANCEL_REQUESTED, by=command.by, reason=command.reason)
    draft.due = Due(work=Work.CLOSE, at=draft.now)
    return CommandState.ACCEPTED


def _same_cancel(command: CancelOrder, by: CanceledBy | None, reason: str | None, stands: str) -> None:
    """Let pass who asks again for what stands: nobody's word is lost without their hearing of it.

    Raises:
        CommandRefused: it was canceled by somebody else, or for another reason; a reason that is left out is none.
    """
    known = f"{stands}, by {by}{'' if reason is None else f': {reason}'}; that stands"
    if command.by is not by:
        raise CommandRefused("by", known)
    if command.reason not in (None, reason):
        raise CommandRefused("reason", known)


def _record_attempt(draft: Draft, command: RecordAttempt, _policy: ProviderPolicy, _inbox: int) -> CommandState:
    order = draft.order
    known = {attempt.id: attempt for attempt in order.transaction.attempts}
    old = known.get(command.id)
    if old is not None and command.state is not old.state and command.state not in ATTEMPTS[old.state]:
        raise CommandRefused("attempt.state", f"attempt {command.id!r} is {old.state} already")
    allowed = order.attempts_allowed
    if old is None and allowed and len(known) >= allowed:
        raise CommandRefused("attempt.id", f"the order allows {allowed} attempt(s), and {len(known)} are known")
    if not put_attempt(draft, command.id, command.state, reason=command.reason, at=command.at):
        draft.keep_due = True
        return CommandState.APPLIED
    draft.note(EntryKind.ATTEMPT, id=command.id, state=command.state, reason=command.reason)
    if order.status in POLLED or order.status in CLOSED:
        bring_forward(draft)
    else:
        draft.keep_due = True
    return CommandState.APPLIED


def _record_operation(draft: Draft, command: RecordOperation, _policy: ProviderPolicy, _inbox: int) -> CommandState:
    order = draft.order
    try:
        amount = order.currency.amount(command.amount)
    except InvalidAmount as error:
        raise CommandRefused("operation.amount", str(error)) from None
    if not amount:
        raise CommandRefused("operation.amount", "an amount is greater than zero")
    old = next((known for known in order.transaction.operations if known.id == command.id), None)
    if old is not None:
        if old.kind is not command.kind or old.amount != amount:
            raise CommandRefused(
                "operation", f"operation {command.id!r} is known as a {old.kind} of {order.currency.render(old.amount)}"
            )
        if old.state is command.state:
            draft.keep_due = True
            return CommandState.APPLIED
        if command.state not in OPERATIONS[old.state]:
            raise CommandRefused("operation.state", f"operation {command.id!r} is {old.state} already")
    operation = Operation(
        id=command.id, kind=command.kind, state=command.state, amount=amount, at=command.at or draft.now
    )
    counted = old is not None and operation.kind is not OperationKind.VOID  # the sums hold it since it was queued
    if operation.state is not OperationState.REJECTED and not counted:
        GUARDS[operation.kind](order, operation)
    refunds.put(draft, operation)
    draft.note(
        EntryKind.OPERATION, id=command.id, kind=command.kind, state=command.state, amount=order.currency.render(amount)
    )
    refunds.follow_refunds(draft)
    if draft.order.status in POLLED:
        bring_forward(draft)
    elif draft.moves:
        draft.due = None
    else:
        draft.keep_due = True
    return CommandState.APPLIED


def _resolve(draft: Draft, command: ResolveOrder, _policy: ProviderPolicy, _inbox: int) -> CommandState:
    if draft.order.status is OrderStatus.RESOLVED:
        _same_resolution(command, draft.resolution)
        draft.keep_due = True
        return CommandState.APPLIED
    if draft.order.status is not OrderStatus.UNRESOLVED:
        raise CommandRefused("order", f"the order is {draft.order.status}, not UNRESOLVED")
    draft.move(order_lifecycle.Signal.RESOLVED, reason=draft.order.reason)
    draft.closure_note = command.note
    draft.closed_with = Action.RESOLVE
    draft.note(EntryKind.NOTE, note=command.note, by=command.by)
    return CommandState.APPLIED


def _same_resolution(command: ResolveOrder, known: Resolution | None) -> None:
    """Let pass who says again how the order was settled.

    Raises:
        CommandRefused: it was settled otherwise; a name that is left out is nobody else's.
    """
    already = "the order is RESOLVED already"
    if known is None:
        raise CommandRefused("note", f"{already}; that stands")
    by = "without a name" if known.by is None else f"by {known.by}"
    if command.note != known.note:
        raise CommandRefused("note", f"{already}: {known.note!r}, {by}; that stands")
    if command.by not in (None, known.by):
        raise CommandRefused("by", f"{already}, {by}; that stands")


def _poll(draft: Draft, _command: PollOrder, _policy: ProviderPolicy, _inbox: int) -> CommandState:
    bring_forward(draft)
    return CommandState.APPLIED


COMMANDS: Final[Mapping[type, Callable[[Draft, Any, ProviderPolicy, int], CommandState]]] = MappingProxyType({
    CheckoutCompleted: _checkout_completed,
    CancelOrder: _cancel,
    RecordAttempt: _record_attempt,
    RecordOperation: _record_operation,
    ResolveOrder: _resolve,
    PollOrder: _poll,
})  # fmt: skip


_LIVE: Final = (OperationState.QUEUED, OperationState.DONE)


def _sum(order: Order, kind: OperationKind, *states: OperationState) -> Decimal:
    return refunds.total(order.transaction.operations, kind, *states)


def _exceeds(amount: Decimal, more: Decimal, limit: Decimal) -> bool:
    return total_of((amount, more)) > limit


def _guard_capture(order: Order, operation: Operation) -> None:
    if order.transaction.state is not ParentState.AUTHORIZED:
        raise CommandRefused("operation.kind", f"a capture needs an authorization; it is {order.transaction.state}")
    if _sum(order, OperationKind.VOID, *_LIVE):
        raise CommandRefused("operation.kind", "the authorization is being voided")
    captured = _sum(order, OperationKind.CAPTURE, *_LIVE)
    if _exceeds(captured, operation.amount, order.amount):
        raise CommandRefused(
            "operation.amount",
            _too_much(order, operation, captured, order.amount, "captured"),
        )


def _guard_refund(order: Order, operation: Operation) -> None:
    transaction = order.transaction
    if transaction.state not in (ParentState.AUTHORIZED, ParentState.PAID):
        raise CommandRefused("operation.kind", f"a refund needs money that was taken; it is {transaction.state}")
    taken = _sum(order, OperationKind.CAPTURE, OperationState.DONE)
    if transaction.state is ParentState.PAID:
        taken = refunds.received_of(order)
    given = max(_sum(order, OperationKind.REFUND, *_LIVE), transaction.amount_refunded)
    if _exceeds(given, operation.amount, taken):
        raise CommandRefused("operation.amount", _too_much(order, operation, given, taken, "refunded or queued"))


def _too_much(order: Order, operation: Operation, so_far: Decimal, of: Decimal, done: str) -> str:
    money = order.currency.render
    return f"{money(operation.amount)} is too much: {money(so_far)} of {money(of)} is {done} already"


def _guard_void(order: Order, _operation: Operation) -> None:
    if order.transaction.state is not ParentState.AUTHORIZED:
        raise CommandRefused("operation.kind", f"a void needs an authorization; it is {order.transaction.state}")
    if _sum(order, OperationKind.CAPTURE, *_LIVE):
        raise CommandRefused("operation.kind", "something was captured already: refund it")


# I6: captured <= authorized, refunded + queued <= captured or paid, a void only where nothing was captured.
GUARDS: Final[Mapping[OperationKind, Callable[[Order, Operation], None]]] = MappingProxyType({
    OperationKind.CAPTURE: _guard_capture,
    OperationKind.REFUND: _guard_refund,
    OperationKind.VOID: _guard_void,
})  # fmt: skip
