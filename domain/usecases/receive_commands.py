"""Intake: commands are kept, then applied where they can be, in the same transaction."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final, TypeVar

from domain.model.command import (
    CheckoutCompleted,
    FieldError,
    MarkFailed,
    OrderCommand,
    PutMasterData,
    Received,
    RefusedMessage,
    RegisterOrder,
    ReportTimeout,
    ResolveOrder,
    RetriggerRejected,
    ReverseNow,
)
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import LaneFamily, Work
from domain.model.money import Currency
from domain.model.order import Order, OrderStatus
from domain.model.policy import ProviderPolicy
from domain.model.rejection import RejectionStatus
from domain.ports.persistence import Conflict, Keeper, Stored, UnitOfWork, UnitOfWorkFactory
from domain.ports.queue import Hints
from domain.rules.commands import CommandRefused, apply_command
from domain.rules.draft import Draft
from domain.rules.sanity import from_processing
from domain.rules.waiting import next_try
from domain.usecases.mend_rejected import MENDING
from domain.usecases.register_orders import Kept, RegisterOrders
from domain.usecases.report_timeouts import report_timeout, reverse_now

_TRIES: Final = 5
# These are about a payment, whether or not an order of ours names it.
_OF_REVERSALS: Final = (ReportTimeout, ReverseNow)
# And these about rejected transactions.
_MENDING: Final = (PutMasterData, RetriggerRejected, MarkFailed)
# What a command makes due, where it is not its order.
_MAKES_DUE: Final[Mapping[type, Work]] = MappingProxyType({
    ReportTimeout: Work.REVERSE,
    ReverseNow: Work.REVERSE,
    PutMasterData: Work.RETRIGGER,
    RetriggerRejected: Work.RETRIGGER,
    MarkFailed: Work.COMMAND,
})  # fmt: skip
# The field that names a command, where it is not its order.
_NAMED_BY: Final[Mapping[type, str]] = MappingProxyType({RetriggerRejected: "retrigger"})
T = TypeVar("T")


def again(unit_of_work: UnitOfWorkFactory, work: Callable[[UnitOfWork], T]) -> T:
    """Run a unit of work, and once more where somebody else was first.

    Raises:
        Conflict: it lost every time.
    """
    for attempt in range(_TRIES):
        try:
            with unit_of_work() as uow:
                result = work(uow)
                uow.commit()
                return result
        except Conflict:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What became of one command as it came in. Without an error it is kept; a repeat changed nothing."""

    repeat: bool = False
    conflict: bool = False
    error: FieldError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCommands:
    """Keep what came in, and carry it out. Handling a message twice has the effect of once (I7)."""

    unit_of_work: UnitOfWorkFactory
    policies: Mapping[str, ProviderPolicy]
    currencies: Callable[[str], Mapping[str, Currency]]  # provider -> {code: currency}
    register_orders: RegisterOrders
    keeper: Keeper
    hints: Hints
    channel: str = "message"

    def __call__(self, received: Sequence[Received], *, keep_refused: bool = True) -> Sequence[Reception]:
        """Keep and apply these commands, each standing or falling by itself; return what became of each.

        What is refused is kept too, unless its sender waits for the answer and is told it at once.
        """
        orders = [r for r in received if isinstance(r.command, RegisterOrder)]
        registered: Iterator[Reception] = iter(())
        if orders:
            register = partial(self._register, received=orders, keep_refused=keep_refused)
            registered = iter(again(self.unit_of_work, register))
        became = []
        for one in received:
            if isinstance(one.command, RegisterOrder):
                became.append(next(registered))
            else:
                carry = partial(self._carry_out, received=one, keep_refused=keep_refused)
                became.append(again(self.unit_of_work, carry))
                self.hints.hint(_MAKES_DUE.get(type(one.command), Work.CLOSE))
        self.hints.hint(Work.DELIVER)
        return became

    def keep(self, received: Received) -> None:
        """Keep one registration for the next drain of the inbox, which carries many out together.

        What cannot be kept so plainly, as what was said before, is looked at now.
        """
        if self.keeper(received):
            self.hints.hint(Work.COMMAND)
            return
        self([received])
        # What is kept is due in its merchant's lane, so the next one finds it there.
        again(self.unit_of_work, partial(_make_lane, merchant=received.command.merchant))

    def _register(self, uow: UnitOfWork, received: Sequence[Received], *, keep_refused: bool) -> Sequence[Reception]:
        merchants = uow.merchants.get_many(r.command.merchant for r in received)
        known = [r for r in received if r.command.merchant in merchants]
        stored = list(zip(known, uow.inbox.put(known), strict=True))
        fresh = [(r, s) for r, s in stored if not s.repeat and not s.conflict]
        refused = self.register_orders(uow, [_kept(r, s) for r, s in fresh], merchants)
        # Its sender is told, now or by what is kept of it: the key is free for a better message.
        uow.inbox.forget([outcome.command for outcome in refused])
        said = {s.id: r for r, s in fresh}
        refusals = [
            *((r, _unknown_merchant(r)) for r in received if r.command.merchant not in merchants),
            *((r, _other_content(r, s)) for r, s in stored if s.conflict),
            *((said[o.command], FieldError(field=o.field, reason=o.reason or "refused")) for o in refused),
        ]
        if keep_refused:
            self._refuse(uow, refusals)
        errors = {id(r): error for r, error in refusals}
        known_before = {id(r): s for r, s in stored}
        return [_reception(known_before.get(id(r)), errors.get(id(r))) for r in received]

    def _carry_out(self, uow: UnitOfWork, received: Received, *, keep_refused: bool) -> Reception:
        stored, error = self._applied(uow, received)
        if error is not None and keep_refused:
            self._refuse(uow, [(received, error)])
        return _reception(stored, error)

    def _applied(self, uow: UnitOfWork, received: Received) -> tuple[Stored | None, FieldError | None]:
        command = received.command
        assert not isinstance(command, RegisterOrder)
        if command.merchant not in uow.merchants.get_many([command.merchant]):
            return None, _unknown_merchant(received)
        stored = uow.inbox.put([received])[0]
        if stored.conflict:
            return stored, _other_content(received, stored)
        if not stored.repeat:
            try:
                outcome = self._apply(uow, received, stored)
            except CommandRefused as error:
                uow.inbox.forget([stored.id])
                return stored, FieldError(field=error.field, reason=error.reason)
            if outcome is None:
                self._wait(uow, received, stored)
            else:
                uow.inbox.conclude([outcome])
                return replace(stored, repeat=outcome.is_repeat), None
        return stored, None

    def _apply(self, uow: UnitOfWork, received: Received, stored: Stored) -> CommandOutcome | None:
        """Carry a command out; None if its order is not known yet.

        Raises:
            CommandRefused: it cannot be carried out.
        """
        command = received.command
        assert not isinstance(command, RegisterOrder)
        if isinstance(command, _MENDING):
            changed = MENDING[type(command)](uow, command, received.actor)
            return CommandOutcome(command=stored.id, state=CommandState.APPLIED, is_repeat=not changed)
        if not isinstance(command, _OF_REVERSALS):
            return carry_out(uow, command, self.policies, inbox=stored.id, actor=received.actor)
        if isinstance(command, ReportTimeout):
            report_timeout(
                uow,
                command,
                policy=self.policies.get(command.provider),
                currencies=self.currencies(command.provider),
                actor=received.actor,
            )
        else:
            reverse_now(uow, command, policy=self.policies.get(command.provider))
        return CommandOutcome(command=stored.id, state=CommandState.APPLIED)

    def _wait(self, uow: UnitOfWork, received: Received, stored: Stored) -> None:
        due = next_try(uow.now, uow.now, step=0)
        assert due is not None
        uow.inbox.conclude([CommandOutcome(command=stored.id, state=CommandState.WAITING)])
        uow.inbox.wait({stored.id: due}, merchants={stored.id: received.command.merchant})

    def _refuse(self, uow: UnitOfWork, refusals: Iterable[tuple[Received, FieldError]]) -> None:
        uow.inbox.refuse(
            [
                RefusedMessage(
                    name=received.command.name,
                    merchant=received.command.merchant,
                    order=received.command.order,
                    body=json.dumps(received.body, ensure_ascii=False),
                    errors=(error,),
                    channel=self.channel,
                )
                for received, error in refusals
            ]
        )


def carry_out(
    uow: UnitOfWork, command: OrderCommand, policies: Mapping[str, ProviderPolicy], *, inbox: int, actor: str
) -> CommandOutcome | None:
    """Apply a command to its order; None if the order is not known yet, or is rejected and may still be added.

    Raises:
        CommandRefused: the order does not allow it, or will never be there.
    """
    order = uow.orders.lock_by_reference(command.merchant, command.order)
    if order is None:
        if uow.rejections.status_of(command.merchant, command.order) is RejectionStatus.PERMANENT_FAILED:
            raise CommandRefused("order", "its transaction was rejected, and has failed for good")
        return None
    policy = policies.get(order.transaction.provider)
    if policy is None:
        raise CommandRefused("order", f"its provider {order.transaction.provider!r} is no longer configured")
    if isinstance(command, CheckoutCompleted) and _began_before(order, command):
        reprocessed = uow.rejections.status_of(command.merchant, command.order) is RejectionStatus.REPROCESSED
        command = from_processing(command, order) if reprocessed else command
    draft = Draft.of(order, actor=actor, now=uow.now)
    if isinstance(command, ResolveOrder) and order.status is OrderStatus.RESOLVED:
        draft.resolution = uow.orders.resolution_of(order.id)
    state = apply_command(draft, command, policy, inbox=inbox)
    uow.apply([draft.decide()])
    return CommandOutcome(command=inbox, state=state, is_repeat=draft.changes_nothing)


def _began_before(order: Order, command: CheckoutCompleted) -> bool:
    return command.at is not None and command.at < order.created_at


def _make_lane(uow: UnitOfWork, *, merchant: str) -> None:
    uow.lanes.ensure(LaneFamily.MERCHANT, uow.merchants.get_many([merchant]))


def _kept(received: Received, stored: Stored) -> Kept:
    command = received.command
    assert isinstance(command, RegisterOrder)
    return Kept(id=stored.id, command=command, body=received.body, actor=received.actor, trace=received.trace)


def _other_content(received: Received, stored: Stored) -> FieldError:
    field = _NAMED_BY.get(type(received.command), "order")
    other = f": it differs in {', '.join(stored.differs)}" if stored.differs else ""
    return FieldError(field=field, reason=f"the same was sent before with other content, which stands{other}")


def _reception(stored: Stored | None, error: FieldError | None) -> Reception:
    if stored is None:
        return Reception(error=error)
    return Reception(repeat=stored.repeat, conflict=stored.conflict, error=error)


def _unknown_merchant(received: Received) -> FieldError:
    return FieldError(field="merchant", reason=f"no merchant is called {received.command.merchant!r}")
