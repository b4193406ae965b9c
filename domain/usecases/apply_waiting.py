"""What waits in the inbox: orders to be registered, all of them together, and commands that came before their order.

Such a command is tried again until its order is known, and refused when it has waited long enough.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from domain.model.command import OrderCommand, RegisterOrder
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Claim, Claimed, Due, Lane, LaneLimits, Work
from domain.model.policy import ProviderPolicy
from domain.model.rejection import RejectionStatus
from domain.ports.persistence import UnitOfWork, WaitingCommand
from domain.ports.queue import Hints
from domain.rules.commands import CommandRefused
from domain.rules.waiting import next_try
from domain.usecases.asking_nobody import AskingNobody
from domain.usecases.drain import Answered
from domain.usecases.receive_commands import carry_out
from domain.usecases.register_orders import Kept, RegisterOrders

WORKS: Final = (Work.COMMAND,)
# Nothing outside is asked, so nothing but the size of a claim bounds it.
LIMITS: Final = LaneLimits(requests_per_second=1e6, concurrency=500, call_timeout=timedelta(seconds=30))


@dataclass(slots=True, kw_only=True)
class ApplyWaiting(AskingNobody):
    """Carry out what waits in the inbox; `drain` owns the loop."""

    command_of: Callable[[str, Mapping[str, Any]], OrderCommand | RegisterOrder]
    register_orders: RegisterOrders
    policies: Mapping[str, ProviderPolicy]
    hints: Hints
    works: Sequence[Work] = WORKS

    def limits(self, lane: Lane) -> LaneLimits:  # noqa: ARG002 - every merchant has the same
        return LIMITS

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, WaitingCommand | None]:
        found = uow.inbox.get_many([row.subject for row in claim.rows])
        return {row.subject: found.get(row.subject) for row in claim.rows}

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        # Read again, for a lease may have run out: what another has carried out meanwhile waits no more.
        waiting = uow.inbox.lock_many([answered.row.subject for answered in wave])
        commands = {key: self.command_of(one.name, one.body) for key, one in waiting.items()}
        # Orders first: what waits for one of them may be carried out at once.
        kept = list(_registrations(waiting, commands))
        merchants = uow.merchants.get_many(one.command.merchant for one in kept) if kept else {}
        outcomes = list(self.register_orders(uow, kept, merchants))
        plans: list[tuple[Claimed, Due | None]] = []
        for answered in wave:
            row, command = answered.row, commands.get(answered.row.subject)
            due = None
            if command is not None and not isinstance(command, RegisterOrder):
                outcome, due = self._try(uow, waiting[row.subject], command, row)
                outcomes += [] if outcome is None else [outcome]
            plans.append((row, due))
        uow.due_work.settle(claim, plans)
        uow.inbox.conclude(outcomes)
        return {}

    def committed(self) -> None:
        self.hints.hint(Work.COMMAND)  # orders that were registered wake what waited for them
        self.hints.hint(Work.CLOSE)
        self.hints.hint(Work.DELIVER)

    def _try(
        self, uow: UnitOfWork, waiting: WaitingCommand, command: OrderCommand, row: Claimed
    ) -> tuple[CommandOutcome | None, Due | None]:
        try:
            outcome = carry_out(uow, command, self.policies, inbox=waiting.id, actor=waiting.actor)
        except CommandRefused as error:
            return _refused(waiting, error.reason, field=error.field), None
        if outcome is not None:
            return outcome, None
        # In the sanity queue its order may come at any time: that is decided by somebody, and not by waiting.
        rejected = uow.rejections.status_of(waiting.merchant, waiting.order) is RejectionStatus.PENDING
        due = next_try(waiting.received_at, uow.now, step=row.step + 1, without_end=rejected)
        if due is None:
            return _refused(waiting, "no such order came"), None
        return None, due


def _registrations(
    waiting: Mapping[int, WaitingCommand], commands: Mapping[int, OrderCommand | RegisterOrder]
) -> Iterator[Kept]:
    for key, one in waiting.items():
        command = commands[key]
        if isinstance(command, RegisterOrder):
            yield Kept(id=key, command=command, body=one.body, actor=one.actor, trace=one.trace)


def _refused(waiting: WaitingCommand, reason: str, *, field: str = "order") -> CommandOutcome:
    return CommandOutcome(command=waiting.id, state=CommandState.REFUSED, reason=reason, field=field)
