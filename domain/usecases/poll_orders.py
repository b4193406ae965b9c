"""Orders and their providers: inquiries, and the effects that were decided on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from domain.model.answer import INTELLIGIBLE, Answer, Unreachable
from domain.model.decision import Decision, EntryKind
from domain.model.due_work import Claim, Claimed, Lane, LaneLimits, Work
from domain.model.order import Order
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import UnitOfWork
from domain.ports.provider import EffectCall, Inquiry, ProviderCalls
from domain.ports.queue import Hints
from domain.rules.closing import EFFECT_OF, settle_effect
from domain.rules.reconciliation import reconcile
from domain.rules.shadow import shadow_of
from domain.usecases.drain import Answered, summary_of

# A lane of a provider that the configuration no longer names: its rows stay due, and the backlog shows them.
CLOSED: Final = LaneLimits(requests_per_second=1.0, concurrency=0, call_timeout=timedelta(seconds=1))
WORKS: Final = (Work.VOID, Work.CANCEL, Work.CLOSE, Work.POLL, Work.WATCH)


@dataclass(slots=True, kw_only=True)
class PollOrders:
    """Ask providers about orders, or act on them; `drain` owns the loop."""

    calls: ProviderCalls
    policies: Mapping[str, ProviderPolicy]
    lane_limits: Mapping[str, LaneLimits]
    hints: Hints
    report: Callable[[str, Mapping[str, object]], None]
    works: Sequence[Work] = WORKS
    _saved: list[Decision] = field(default_factory=list)
    _shadows: frozenset[int] = frozenset()
    _asked: dict[tuple[str, str], tuple[Claimed, Order]] = field(default_factory=dict)

    def limits(self, lane: Lane) -> LaneLimits:
        return self.lane_limits.get(lane.name, CLOSED)

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, Order]:
        return uow.orders.get_many([row.subject for row in claim.rows])

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, Order]]) -> None:
        self._shadows = self._shadows | {lane.id} if lane.shadow else self._shadows - {lane.id}
        inquiries: list[str] = []
        for row, order in rows:
            reference = order.transaction.reference
            self._asked[lane.name, reference] = (row, order)
            effect = EFFECT_OF.get(row.work)
            intent = order.transaction.intent
            if effect is None or intent is None or not intent.open:
                inquiries.append(reference)
            else:
                self.calls.ask(lane.name, EffectCall(effect, reference, intent.key))
        size = self.limits(lane).bulk
        for start in range(0, len(inquiries), size):
            self.calls.ask(lane.name, Inquiry(tuple(inquiries[start : start + size])))

    def under_way(self, lane: Lane) -> int:
        return self.calls.under_way(lane.name)

    def collect(self, timeout: float) -> Sequence[Answered]:
        answered = []
        for asked in self.calls.collect(timeout):
            # One call is one witness for its lane, however many payments it was about.
            good: bool | None = any(isinstance(answer, INTELLIGIBLE) for answer in asked.answers.values())
            for reference, answer in asked.answers.items():
                known = self._asked.pop((asked.provider, reference), None)
                if known is None:
                    continue  # begun by a drain that the store let down; its lease runs out by itself
                row, order = known
                retry_after = answer.retry_after if isinstance(answer, Unreachable) else None
                if isinstance(answer, Unreachable) and answer.alarm:
                    self.report("provider.alarm", {"provider": asked.provider, "why": answer.why, "order": order.id})
                answered.append(Answered(row=row, subject=order, answer=answer, good=good, retry_after=retry_after))
                good = None
        return answered

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        decisions: list[Decision] = []
        errors: dict[int, str] = {}
        for answered in wave:
            try:
                decision = self._decide(answered.subject, answered.answer, answered.row, uow)
            except Exception as error:  # noqa: BLE001 - a rule that raises is a bug: its row is set apart with the error
                errors[answered.row.subject] = summary_of(error)
            else:
                if answered.row.lane in self._shadows:
                    self.report("order.shadowed", {"order": decision.order.id, "would_be": decision.order.status})
                    decision = shadow_of(decision, answered.row, uow.now)
                decisions.append(decision)
        saved = frozenset(uow.apply(decisions, claim))
        self._saved = [decision for decision in decisions if decision.order.id in saved]
        return errors

    def committed(self) -> None:
        for decision in self._saved:
            for move in decision.moves:
                self.report("order.moved", {"order": decision.order.id, "from": move.previous, "to": move.status})
            for entry in decision.entries:
                if entry.kind is EntryKind.UNKNOWN_STATUS:
                    self.report("provider.alarm", {"order": decision.order.id, "why": "unknown status", **entry.detail})
        if any(decision.events or decision.openings for decision in self._saved):
            self.hints.hint(Work.DELIVER)
        self._saved = []

    def _decide(self, order: Order, answer: Answer, row: Claimed, uow: UnitOfWork) -> Decision:
        policy = self.policies[order.transaction.provider]
        intent = order.transaction.intent
        if row.work in EFFECT_OF and intent is not None and intent.open:
            return settle_effect(order, answer, row=row, now=uow.now, policy=policy)
        return reconcile(order, answer, row=row, now=uow.now, policy=policy)
