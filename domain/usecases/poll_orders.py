"""Orders and their providers: what is asked of them, and what their answers make of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.model.answer import Answer
from domain.model.decision import Decision, EntryKind
from domain.model.due_work import Claim, Claimed, Lane, Work
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import UnitOfWork
from domain.ports.provider import EffectCall
from domain.rules.closing import may_send, settle_effect
from domain.rules.reconciliation import reconcile
from domain.rules.shadow import shadow_of
from domain.usecases.ask_providers import Brief
from domain.usecases.drain import Answered, summary_of

WORKS: Final = frozenset({Work.VOID, Work.CANCEL, Work.CONFIRM, Work.CLOSE, Work.POLL, Work.WATCH})


@dataclass(slots=True, kw_only=True)
class PollOrders:
    """Ask providers about orders, and carry out the effects that were decided on."""

    policies: Mapping[str, ProviderPolicy]
    report: Callable[[str, Mapping[str, object]], None]
    works: frozenset[Work] = WORKS
    _saved: list[Decision] = field(default_factory=list)
    _made_due: frozenset[Work] = frozenset()

    def read(self, uow: UnitOfWork, rows: Sequence[Claimed]) -> Mapping[int, Brief]:
        claimed = {row.subject: row for row in rows}
        return {key: self._brief(order, claimed[key]) for key, order in uow.orders.get_many(list(claimed)).items()}

    def save(
        self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered], lanes: Mapping[int, Lane]
    ) -> Mapping[int, str]:
        decisions: list[Decision] = []
        errors: dict[int, str] = {}
        for answered in wave:
            row = answered.row
            try:
                decision = self._decide(answered.subject, answered.answer, row, uow)
            except Exception as error:  # noqa: BLE001 - a rule that raises is a bug: its row is set apart with the error
                errors[row.subject] = summary_of(error)
            else:
                if lanes[row.lane].shadow:
                    self.report("order.shadowed", {"order": decision.order.id, "would_be": decision.order.status})
                    decision = shadow_of(decision, row, uow.now)
                decisions.append(decision)
        saved = frozenset(uow.apply(decisions, claim))
        self._saved = [decision for decision in decisions if decision.order.id in saved]
        self._made_due = frozenset(d.due.work for d in self._saved if d.due is not None and d.due.at <= uow.now)
        return errors

    def committed(self) -> frozenset[Work]:
        for decision in self._saved:
            for move in decision.moves:
                self.report("order.moved", {"order": decision.order.id, "from": move.previous, "to": move.status})
            for entry in decision.entries:
                if entry.kind is EntryKind.UNKNOWN_STATUS:
                    self.report("provider.alarm", {"order": decision.order.id, "why": "unknown status", **entry.detail})
        told = any(decision.events or decision.openings for decision in self._saved)
        made_due = self._made_due | ({Work.DELIVER} if told else set())
        self._saved, self._made_due = [], frozenset()
        return made_due

    def _brief(self, order: Order, row: Claimed) -> Brief:
        reference, intent = order.transaction.reference, order.transaction.intent
        call = None
        if intent is not None and may_send(intent, row):
            call = EffectCall(intent.effect, reference, intent.key)
        return Brief(matter=self, subject=order, reference=reference, effect=call)

    def _decide(self, brief: Brief, answer: Answer, row: Claimed, uow: UnitOfWork) -> Decision:
        order: Order = brief.subject
        policy = self.policies[order.transaction.provider]
        follow = reconcile if brief.effect is None else settle_effect
        return follow(order, answer, row=row, now=uow.now, policy=policy)
