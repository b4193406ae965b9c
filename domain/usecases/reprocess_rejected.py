"""Trying rejected transactions again, batch by batch: what is completely fixed is added, and once only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from domain.model.command import Command, RegisterOrder, UnreadableBody
from domain.model.due_work import Claim, Claimed, Due, Lane, LaneLimits, Work
from domain.model.merchant import Merchant
from domain.model.money import Currency
from domain.model.policy import ProviderPolicy
from domain.model.rejection import Finding, Outcome, Reason, Rejection, RejectionStatus, Retrigger
from domain.ports.persistence import Named, NewOrder, UnitOfWork
from domain.ports.queue import Hints
from domain.rules.commands import CommandRefused
from domain.rules.registration import first_due, new_order
from domain.usecases.asking_nobody import AskingNobody
from domain.usecases.drain import Answered, summary_of
from domain.usecases.screening import reasons_of

WORKS: Final = (Work.RETRIGGER,)
# One retrigger of a merchant in one claim, so that a drain's batches stay within their lease.
LIMITS: Final = LaneLimits(requests_per_second=1e6, concurrency=1, call_timeout=timedelta(seconds=30))
# How many transactions one saving adds, over all the retriggers that are saved together.
BATCH: Final = 1000
_SMALLEST: Final = 10
# How much smaller a batch is that was claimed so often in vain: so the transaction is found that is to blame.
_SMALLER: Final[Mapping[int, int]] = MappingProxyType({1: 1, 2: 8, 3: 64})
# After so many claims in vain its next transaction is passed over: it is what kills the batch.
_GIVE_UP_AFTER: Final = 6

# Those that are decided already, and how a retrigger counts them.
DECIDED: Final[Mapping[RejectionStatus, tuple[Outcome, str]]] = MappingProxyType({
    RejectionStatus.REPROCESSED: (Outcome.ALREADY_ADDED, "it became an order already"),
    RejectionStatus.PERMANENT_FAILED: (Outcome.FAILED, "it has failed for good"),
})  # fmt: skip


@dataclass(slots=True, kw_only=True)
class ReprocessRejected(AskingNobody):
    """Add what its master data allows by now; `drain` owns the loop, and comes again until a retrigger is through."""

    command_of: Callable[[str, Mapping[str, Any]], Command]
    policies: Mapping[str, ProviderPolicy]
    currencies: Callable[[str], Mapping[str, Currency]]  # provider -> {code: currency}
    hints: Hints
    works: Sequence[Work] = WORKS
    batch: int = BATCH

    def limits(self, lane: Lane) -> LaneLimits:  # noqa: ARG002 - every merchant has the same
        return LIMITS

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, Retrigger | None]:
        found = uow.retriggers.get_many([row.subject for row in claim.rows])
        return {row.subject: found.get(row.subject) for row in claim.rows}

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        # Read again, for a lease may have run out: what another has done meanwhile is not done twice.
        retriggers = uow.retriggers.get_many([answered.row.subject for answered in wave])
        for answered in wave:
            size = self._size(answered.row, among=len(wave))
            self._advance(uow, claim, answered.row, retriggers.get(answered.row.subject), size)
        return {}

    def committed(self) -> None:
        for work in (Work.POLL, Work.DELIVER, Work.COMMAND):
            self.hints.hint(work)

    def _size(self, row: Claimed, *, among: int) -> int:
        share = max(self.batch // among, min(self.batch, _SMALLEST))
        return max(share // _SMALLER.get(row.claims, share), 1)

    def _advance(self, uow: UnitOfWork, claim: Claim, row: Claimed, retrigger: Retrigger | None, size: int) -> None:
        if retrigger is None or retrigger.finished_at is not None:
            uow.due_work.settle(claim, [(row, None)])
            return
        ids = uow.retriggers.batch(retrigger, size)
        through = len(ids) < size
        due = None if through else Due(work=Work.RETRIGGER, at=uow.now, step=row.step + 1)
        if row.subject not in uow.due_work.settle(claim, [(row, due)]):
            return
        if row.claims > _GIVE_UP_AFTER:
            findings = [Finding(rejection=key, outcome=Outcome.FAILED, why=_KILLS) for key in ids]
        else:
            findings = self._try(uow, retrigger, ids)
        cursor = ids[-1] if ids else retrigger.cursor
        finished_at = uow.now if through else None
        uow.retriggers.save(replace(retrigger, cursor=cursor, finished_at=finished_at), findings)

    def _try(self, uow: UnitOfWork, retrigger: Retrigger, ids: Sequence[int]) -> list[Finding]:
        """Try a batch again. The rows' locks are what adds a transaction once, however many retriggers run."""
        if not ids:
            return []
        rejections = uow.rejections.get_many(ids) if retrigger.dry_run else uow.rejections.lock_many(ids)
        pending = [r for r in rejections.values() if r.status is RejectionStatus.PENDING]
        tried = self._judge(uow, retrigger, pending)
        if not retrigger.dry_run:
            self._write(uow, retrigger, tried)
        found = {one.rejection.id: one.finding for one in tried}
        return [found.get(key) or _decided(key, rejections.get(key)) for key in ids]

    def _judge(self, uow: UnitOfWork, retrigger: Retrigger, pending: Sequence[Rejection]) -> "list[_Tried]":
        merchant = uow.merchants.get_many([retrigger.merchant])[retrigger.merchant]
        parsed = [self._parsed(rejection) for rejection in pending]
        commands = [one for one in parsed if isinstance(one, RegisterOrder)]
        screened = iter(reasons_of(uow, [(merchant, command.bill) for command in commands]))
        known = uow.orders.known([(r.merchant, r.order) for r in pending])
        taken = uow.orders.taken([(r.provider, r.reference) for r in pending])
        judged = []
        for rejection, command in zip(pending, parsed, strict=True):
            if isinstance(command, str):
                judged.append(_failed(rejection, command))
            elif reasons := next(screened):
                judged.append(_still_rejected(rejection, reasons))
            elif (rejection.merchant, rejection.order) in known:
                judged.append(_failed(rejection, f"another order is called {rejection.order!r}"))
            else:
                named = taken.get((rejection.provider, rejection.reference))
                judged.append(self._added(uow, retrigger.actor, merchant, rejection, command, named))
        return judged

    def _parsed(self, rejection: Rejection) -> RegisterOrder | str:
        """Return the command as it came, or why it can no longer be understood."""
        try:
            command = self.command_of(RegisterOrder.name, rejection.body)
        except UnreadableBody as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a message that fails is set apart with the error
            return summary_of(error)
        assert isinstance(command, RegisterOrder)
        return command

    def _added(
        self,
        uow: UnitOfWork,
        actor: str,
        merchant: Merchant,
        rejection: Rejection,
        command: RegisterOrder,
        named: Named | None,
    ) -> "_Tried":
        """Make the order. It counts from now: when the bill was made stands with the rejection."""
        if named is not None and (named.by_order or named.merchant != rejection.merchant):
            return _failed(rejection, f"another order has named {rejection.reference!r}")
        policy = self.policies.get(command.provider)
        try:
            order = new_order(
                replace(command, created_at=None),
                id=rejection.id,
                merchant=merchant,
                policy=policy,
                currencies=self.currencies(command.provider),
                now=uow.now,
                reversing=named is not None and named.by_report and named.outcome is None,
                reversal=None if named is None else named.outcome,
            )
        except CommandRefused as error:
            return _failed(rejection, str(error))
        assert policy is not None
        due = first_due(order, policy, uow.now)
        finding = Finding(rejection=rejection.id, outcome=Outcome.ADDED)
        new = NewOrder(order=order, due=due, bill=command.bill, actor=actor)
        return _Tried(rejection, finding, new)

    def _write(self, uow: UnitOfWork, retrigger: Retrigger, tried: "Sequence[_Tried]") -> None:
        added = [one for one in tried if one.new is not None]
        uow.rejections.reprocess([one.rejection for one in added], retrigger)
        uow.orders.register([one.new for one in added if one.new is not None])
        uow.inbox.wake([(one.rejection.merchant, one.rejection.order) for one in added])
        uow.rejections.restate(
            {
                one.rejection.id: one.finding.reasons
                for one in tried
                if one.finding.outcome is Outcome.REJECTED and one.finding.reasons != one.rejection.reasons
            }
        )


_KILLS: Final = "trying it failed every time; it was passed over"


@dataclass(frozen=True, slots=True)
class _Tried:
    rejection: Rejection
    finding: Finding
    new: NewOrder | None = None


def _failed(rejection: Rejection, why: str) -> _Tried:
    return _Tried(rejection, Finding(rejection=rejection.id, outcome=Outcome.FAILED, why=why))


def _still_rejected(rejection: Rejection, reasons: tuple[Reason, ...]) -> _Tried:
    return _Tried(rejection, Finding(rejection=rejection.id, outcome=Outcome.REJECTED, reasons=reasons))


def _decided(key: int, rejection: Rejection | None) -> Finding:
    if rejection is None:
        return Finding(rejection=key, outcome=Outcome.FAILED, why="there is no such rejected transaction")
    outcome, why = DECIDED[rejection.status]
    return Finding(rejection=key, outcome=outcome, why=why)
