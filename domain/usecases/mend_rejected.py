"""What merchants do about rejected transactions: mend their master data, try again, or give up."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from domain.model.command import MarkFailed, PutMasterData, RetriggerRejected
from domain.model.due_work import Due, Work
from domain.model.rejection import OWN_NAMES, Rejection, RejectionStatus, Retrigger, RetriggerOrigin
from domain.ports.persistence import UnitOfWork
from domain.rules.commands import CommandRefused

_MOST_NAMED: Final = 10


def put_master_data(uow: UnitOfWork, command: PutMasterData, actor: str) -> bool:
    """Store what bills may name; where the merchant wants it, try again exactly what waited for what is new.

    Return whether anything of it was new.
    """
    changed = uow.master_data.put(command.merchant, command.kind, command.entries, actor=actor)
    merchant = uow.merchants.get_many([command.merchant])[command.merchant]
    if not changed or not merchant.auto_retrigger:
        return bool(changed)
    waiting = uow.rejections.waiting_for(command.merchant, command.kind, changed)
    if waiting:
        open_retrigger(uow, command.merchant, waiting, origin=RetriggerOrigin.MASTER_DATA, actor=actor)
    return True


def retrigger_rejected(uow: UnitOfWork, command: RetriggerRejected, actor: str) -> bool:
    """Open a retrigger of the named transactions, or of all that are pending; there is always a new one then.

    Raises:
        CommandRefused: its name was used before, or the merchant has no such rejected transaction.
    """
    if uow.retriggers.called(command.merchant, command.retrigger) is not None:
        raise CommandRefused("retrigger", f"{command.retrigger!r} was used before")
    if command.transactions is not None:
        _check_all_known(command, command.transactions, uow.rejections.get_many(command.transactions))
    open_retrigger(
        uow,
        command.merchant,
        command.transactions,
        origin=RetriggerOrigin.ASKED,
        actor=actor,
        name=command.retrigger,
        dry_run=command.dry_run,
    )
    return True


def mark_failed(uow: UnitOfWork, command: MarkFailed, actor: str) -> bool:
    """Give these rejected transactions up, all or none; commands that wait for their orders are refused next.

    Return whether any of them was still pending. A note says why one failed, so a later one does not replace it.

    Raises:
        CommandRefused: the merchant has no such rejected transaction, one of them became an order meanwhile, or one
            has failed before, and not with this note.
    """
    found = uow.rejections.lock_many(command.transactions)
    _check_all_known(command, command.transactions, found)
    added = [r for r in found.values() if r.status is RejectionStatus.REPROCESSED]
    if added:
        told = ", ".join(f"{r.id} is order {r.order!r}" for r in added[:_MOST_NAMED])
        raise CommandRefused("transactions", f"reprocessed meanwhile: {told}; nothing was marked")
    failed = [r for r in found.values() if r.status is RejectionStatus.PERMANENT_FAILED]
    others = [r for r in failed if command.note not in {None, r.note}]
    if others:
        told = ", ".join(f"{r.id} ({r.note or 'without a note'})" for r in others[:_MOST_NAMED])
        raise CommandRefused("note", f"failed before, and stays as it was said then: {told}; nothing was marked")
    pending = [r for r in found.values() if r.status is RejectionStatus.PENDING]
    uow.rejections.fail(pending, note=command.note, actor=actor)
    uow.inbox.wake([(r.merchant, r.order) for r in pending])
    return bool(pending)


def open_retrigger(
    uow: UnitOfWork,
    merchant: str,
    transactions: Sequence[int] | None,
    *,
    origin: RetriggerOrigin,
    actor: str,
    name: str | None = None,
    dry_run: bool = False,
) -> None:
    """Open a retrigger, due at once; without a name it gets one of ours."""
    key = uow.orders.next_ids(1)[0]
    retrigger = Retrigger(
        id=key,
        merchant=merchant,
        name=name or f"{OWN_NAMES}{key}",
        origin=origin,
        dry_run=dry_run,
        actor=actor,
        started_at=uow.now,
    )
    uow.retriggers.open(retrigger, transactions, Due(work=Work.RETRIGGER, at=uow.now))


def _check_all_known(
    command: RetriggerRejected | MarkFailed, named: Sequence[int], found: Mapping[int, Rejection]
) -> None:
    known = {key for key, rejection in found.items() if rejection.merchant == command.merchant}
    unknown = [str(key) for key in named if key not in known]
    if unknown:
        raise CommandRefused("transactions", f"no such rejected transaction: {', '.join(unknown[:_MOST_NAMED])}")


# One row for each command that is about no order. Each says whether it changed anything.
MENDING: Final[Mapping[type, Callable[[UnitOfWork, Any, str], bool]]] = MappingProxyType({
    PutMasterData: put_master_data,
    RetriggerRejected: retrigger_rejected,
    MarkFailed: mark_failed,
})  # fmt: skip
