"""Transactions that timed out: asked about, voided, asked about again, until that has come to an end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.model.due_work import Claim, Claimed, Lane, Work
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.model.reversal import Ask, Reversal, ReversalDecision
from domain.model.transaction import Effect
from domain.ports.persistence import UnitOfWork
from domain.ports.provider import EffectCall
from domain.rules.lanes import is_allowed
from domain.rules.reversal import ask_of
from domain.rules.reversing import reverse
from domain.rules.shadow import shadow_of_reversal
from domain.usecases.ask_providers import Brief
from domain.usecases.drain import Answered, summary_of

WORKS: Final = frozenset({Work.VOID, Work.REVERSE})


@dataclass(slots=True, kw_only=True)
class ReverseTimeouts:
    """See to it that nobody is charged for a transaction whose merchant was told that it failed."""

    policies: Mapping[str, ProviderPolicy]
    report: Callable[[str, Mapping[str, object]], None]
    works: frozenset[Work] = WORKS
    _saved: list[ReversalDecision] = field(default_factory=list)
    _made_due: frozenset[Work] = frozenset()

    def read(self, uow: UnitOfWork, rows: Sequence[Claimed]) -> Mapping[int, Brief]:
        found = uow.reversals.get_many([row.subject for row in rows])
        return {row.subject: self._brief(found[row.subject], row, uow) for row in rows if row.subject in found}

    def save(
        self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered], lanes: Mapping[int, Lane]
    ) -> Mapping[int, str]:
        decisions: list[ReversalDecision] = []
        errors: dict[int, str] = {}
        # Locked before anything is decided, the reversals first: an order that is being registered waits for that, or
        # is seen by this; and what a reversal may do depends on how its order stands at this moment.
        uow.reversals.lock_many([answered.row.subject for answered in wave])
        orders = uow.orders.lock_payments([_payment(answered.subject.subject) for answered in wave])
        for answered in wave:
            row, reversal = answered.row, answered.subject.subject
            try:
                decision = self._decide(answered, orders.get(_payment(reversal)), lanes[row.lane], uow)
            except Exception as error:  # noqa: BLE001 - a rule that raises is a bug: its row is set apart with the error
                errors[row.subject] = summary_of(error)
            else:
                if lanes[row.lane].shadow:
                    self.report("reversal.shadowed", {"reversal": reversal.id, "would_be": decision.reversal.outcome})
                    decision = shadow_of_reversal(decision, uow.now)
                decisions.append(decision)
        saved = frozenset(uow.reversals.apply(decisions, claim))
        self._saved = [decision for decision in decisions if decision.reversal.id in saved]
        followed = uow.apply([decision.order for decision in self._saved if decision.order is not None])
        self._made_due = self._works_made_due(uow, frozenset(followed))
        return errors

    def committed(self) -> frozenset[Work]:
        for decision in self._saved:
            if decision.reversal.outcome is not None:
                fields = {"reversal": decision.reversal.id, "outcome": decision.reversal.outcome}
                self.report("reversal.ended", fields)
            for move in () if decision.order is None else decision.order.moves:
                order = decision.order_id
                self.report("order.moved", {"order": order, "from": move.previous, "to": move.status})
        made_due, self._saved, self._made_due = self._made_due, [], frozenset()
        return made_due

    def _works_made_due(self, uow: UnitOfWork, orders: frozenset[int]) -> frozenset[Work]:
        followed = [d.order for d in self._saved if d.order is not None and d.order.order.id in orders]
        dues = [decision.due for decision in self._saved] + [decision.due for decision in followed]
        works = {due.work for due in dues if due is not None and due.at <= uow.now}
        told = any(decision.event is not None or decision.openings for decision in self._saved)
        return frozenset(works | ({Work.DELIVER} if told else set()))

    def _brief(self, reversal: Reversal, row: Claimed, uow: UnitOfWork) -> Brief:
        ask = ask_of(reversal, row, uow.now)
        call = None
        if ask is Ask.VOID:
            assert reversal.intent is not None
            call = EffectCall(Effect.VOID, reversal.reference, reversal.intent.key)
        return Brief(
            matter=self, subject=reversal, reference=reversal.reference, effect=call, nothing=ask is Ask.NOTHING
        )

    def _decide(self, answered: Answered, order: Order | None, lane: Lane, uow: UnitOfWork) -> ReversalDecision:
        brief: Brief = answered.subject
        asked = Ask.NOTHING if brief.nothing else Ask.INQUIRY if brief.effect is None else Ask.VOID
        return reverse(
            brief.subject,
            answered.answer,
            asked=asked,
            row=answered.row,
            order=order,
            effects=is_allowed(lane, Work.VOID),
            policy=self.policies[brief.subject.provider],
            now=uow.now,
        )


def _payment(reversal: Reversal) -> tuple[str, str]:
    return reversal.provider, reversal.reference
