"""Making orders of registrations that are kept in the inbox: together, and each standing or falling by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, TypeAlias

from domain.model.command import RegisterOrder
from domain.model.decision import CommandOutcome, CommandState
from domain.model.merchant import Merchant
from domain.model.money import Currency
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.model.rejection import Reason, Rejection, RejectionStatus
from domain.ports.persistence import Named, NewOrder, UnitOfWork
from domain.rules.commands import CommandRefused
from domain.rules.registration import first_due, new_order
from domain.rules.sanity import rejection_of
from domain.usecases.screening import reasons_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A registration of a known merchant's that stands in the inbox under `id`, and is not carried out."""

    id: int
    command: RegisterOrder
    body: Mapping[str, Any]
    actor: str
    trace: str

    @property
    def name(self) -> tuple[str, str]:
        return self.command.merchant, self.command.order

    @property
    def payment(self) -> tuple[str, str]:
        return self.command.provider, self.command.reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOrders:
    """Make an order of each, or a rejected transaction; a name belongs to the first, and so does its payment."""

    policies: Mapping[str, ProviderPolicy]
    currencies: Callable[[str], Mapping[str, Currency]]  # provider -> {code: currency}

    def __call__(
        self, uow: UnitOfWork, many: Sequence[Kept], merchants: Mapping[str, Merchant]
    ) -> Sequence[CommandOutcome]:
        """Write the orders and conclude their registrations; return why others are refused, which is not written."""
        if not many:
            return []
        built = self._screen(uow, self._build(uow, many, merchants), merchants)
        accepted = [one for one in built if isinstance(one, _Accepted)]
        rejected = [one for one in built if isinstance(one, _Rejected)]
        uow.orders.register([self._new(one, uow.now) for one in accepted])
        for actor, some in groupby(rejected, key=lambda one: one.kept.actor):
            uow.rejections.store([one.rejection for one in some], actor=actor)
        # Before they wake others: what is concluded waits no more.
        uow.inbox.conclude([_applied(one.kept) for one in built if not isinstance(one, _Refused)])
        # Commands that came first are applied now, or refused where there will never be an order.
        uow.inbox.wake(
            [one.kept.name for one in accepted]
            + [one.kept.name for one in rejected if one.rejection.status is RejectionStatus.PERMANENT_FAILED]
        )
        return [_refused(one) for one in built if isinstance(one, _Refused)]

    def _new(self, one: "_Accepted", now: datetime) -> NewOrder:
        due = first_due(one.order, self.policies[one.order.transaction.provider], now)
        kept = one.kept
        return NewOrder(order=one.order, due=due, bill=kept.command.bill, actor=kept.actor, trace=kept.trace)

    def _build(self, uow: UnitOfWork, many: Sequence[Kept], merchants: Mapping[str, Merchant]) -> "list[_Built]":
        known = {*uow.orders.known(kept.name for kept in many), *uow.rejections.known(kept.name for kept in many)}
        # What may be rejected names its payment in another table than an order does.
        alone = any(merchant.checks for merchant in merchants.values())
        taken = dict(uow.orders.taken([kept.payment for kept in many], alone=alone))
        built: list[_Built] = []
        for kept, key in zip(many, uow.orders.next_ids(len(many)), strict=True):
            command = kept.command
            try:
                if kept.name in known:
                    raise CommandRefused("order", f"{command.order!r} was registered before")  # noqa: TRY301
                order = self._order(command, key, merchants[command.merchant], taken.get(kept.payment), uow.now)
            except CommandRefused as error:
                built.append(_Refused(kept, error.field, error.reason))
            else:
                known.add(kept.name)
                taken[kept.payment] = Named(merchant=command.merchant, by_order=True)
                built.append(_Accepted(kept, order))
        return built

    def _order(self, command: RegisterOrder, key: int, merchant: Merchant, named: Named | None, now: datetime) -> Order:
        if named is not None and (named.by_order or named.by_rejection or named.merchant != command.merchant):
            who = "another merchant" if named.merchant != command.merchant else "another order"
            raise CommandRefused("reference", f"{who} has named {command.reference!r} before")
        return new_order(
            command,
            id=key,
            merchant=merchant,
            policy=self.policies.get(command.provider),
            currencies=self.currencies(command.provider),
            now=now,
            reversing=named is not None and named.outcome is None,
            reversal=None if named is None else named.outcome,
        )

    def _screen(self, uow: UnitOfWork, built: "Sequence[_Built]", merchants: Mapping[str, Merchant]) -> "list[_Built]":
        """Hold back what its merchant's master data does not allow: it is no order, and nothing of it begins."""
        orders = [one for one in built if isinstance(one, _Accepted)]
        found = reasons_of(uow, [(merchants[one.order.merchant], one.kept.command.bill) for one in orders])
        reasons = {one.order.id: some for one, some in zip(orders, found, strict=True) if some}
        return [
            _rejected(one, reasons[one.order.id], merchants[one.order.merchant], uow.now)
            if isinstance(one, _Accepted) and one.order.id in reasons
            else one
            for one in built
        ]


@dataclass(frozen=True, slots=True)
class _Accepted:
    kept: Kept
    order: Order


@dataclass(frozen=True, slots=True)
class _Rejected:
    kept: Kept
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class _Refused:
    kept: Kept
    field: str
    reason: str


_Built: TypeAlias = _Accepted | _Rejected | _Refused


def _rejected(one: _Accepted, reasons: tuple[Reason, ...], merchant: Merchant, now: datetime) -> _Rejected:
    kept = one.kept
    rejection = rejection_of(kept.command, reasons, id=one.order.id, merchant=merchant, body=kept.body, now=now)
    return _Rejected(kept, rejection)


def _applied(kept: Kept) -> CommandOutcome:
    return CommandOutcome(command=kept.id, state=CommandState.APPLIED)


def _refused(one: _Refused) -> CommandOutcome:
    return CommandOutcome(command=one.kept.id, state=CommandState.REFUSED, reason=one.reason, field=one.field)
