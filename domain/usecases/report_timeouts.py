"""Timeouts that producers report: each opens one reversal, known by its payment, however often it is reported."""

from collections.abc import Mapping
from datetime import datetime

from domain.model.command import ReportTimeout, ReverseNow
from domain.model.due_work import Due, Work
from domain.model.money import Currency
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import UnitOfWork
from domain.rules.commands import CommandRefused
from domain.rules.reporting import check_against_order, new_reversal
from domain.rules.reversal import is_kept_for_the_end
from domain.rules.reversing import hold


def report_timeout(
    uow: UnitOfWork,
    command: ReportTimeout,
    *,
    policy: ProviderPolicy | None,
    currencies: Mapping[str, Currency],
    actor: str,
) -> None:
    """Open the reversal of a transaction that timed out; the one that is there stands.

    Raises:
        CommandRefused: the payment is another's, or its order is past undoing, or a field is none here.
        Conflict: a concurrent unit of work was first with this payment; run the unit of work again.
    """
    payment = (command.provider, command.reference)
    named = uow.orders.taken([payment], alone=True).get(payment)
    if named is not None and named.merchant != command.merchant:
        raise CommandRefused("reference", f"another merchant has named {command.reference!r} before")
    if named is not None and named.by_report:
        return
    order = uow.orders.lock_payments([payment]).get(payment)
    reversal = new_reversal(command, id=uow.orders.next_ids(1)[0], policy=policy, currencies=currencies, now=uow.now)
    if order is not None:
        check_against_order(reversal, order)
    uow.reversals.open(reversal, first_attempt(uow.now), actor=actor)
    if order is not None:
        uow.apply([hold(order, now=uow.now, actor=actor)])


def reverse_now(uow: UnitOfWork, command: ReverseNow, *, policy: ProviderPolicy | None) -> None:
    """Bring the next attempt at a reversal forward to now; it asks first, whatever was planned.

    Raises:
        CommandRefused: the merchant has no such reversal, or it has ended, or only its last attempt is left.
    """
    reversal = uow.reversals.lock(command.provider, command.reference)
    if reversal is None or reversal.merchant != command.merchant:
        raise CommandRefused("reference", f"no timeout of {command.reference!r} was reported")
    if reversal.outcome is not None:
        raise CommandRefused("reference", f"its reversal has ended: {reversal.outcome}")
    if policy is not None and is_kept_for_the_end(reversal, policy, uow.now):
        raise CommandRefused("reference", "one attempt is left, and is kept for just before settlement")
    uow.reversals.plan(reversal, first_attempt(uow.now))


def first_attempt(now: datetime) -> Due:
    """At once: whoever waits for an answer has retried already."""
    return Due(work=Work.REVERSE, at=now)
