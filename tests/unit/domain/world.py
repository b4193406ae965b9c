"""A small world for one order: what is true at the provider, and a loop that applies decisions as the store would."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from domain.model.answer import Answer, NoRecord, ProviderStatus, Record, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.command import OrderCommand, ResolveOrder
from domain.model.decision import CommandOutcome, CommandState, Decision, Move
from domain.model.due_work import Claimed, Due, Work
from domain.model.money import ZERO
from domain.model.order import Order, Resolution
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Effect, Intent
from domain.rules.closing import may_send, settle_effect
from domain.rules.commands import CommandRefused, apply_command
from domain.rules.draft import Draft
from domain.rules.reconciliation import reconcile
from domain.rules.registration import first_due
from tests.builders import NOON, a_policy, a_record, a_row

INQUIRIES = frozenset({Work.CONFIRM, Work.CLOSE, Work.POLL, Work.WATCH})
OPEN_THERE = frozenset({ProviderStatus.CREATED, ProviderStatus.PENDING, ProviderStatus.ATTEMPTED})


@dataclass(slots=True)
class Truth:
    """The payment as it really is at the provider; `done` holds the keys that had their effect."""

    status: ProviderStatus | None = None  # None: no record yet
    received: Decimal = ZERO
    refunded: Decimal = ZERO
    paid_at: datetime | None = None
    done: list[str] = field(default_factory=list)

    def record(self, now: datetime) -> Answer:
        if self.status is None:
            return NoRecord()
        money = {"amount_received": self.received} if self.received else {}
        return a_record(self.status, updated_at=now, paid_at=self.paid_at, amount_refunded=self.refunded, **money)

    @property
    def holds_money(self) -> bool:
        return self.status is ProviderStatus.AUTHORIZED or self.received > self.refunded

    def perform(self, intent: Intent, now: datetime) -> Answer:
        """Cancel or void; the same key answers as it did at first and does nothing more."""
        if intent.key not in self.done:
            if self.status is None:
                return NoRecord()
            voids = intent.effect is Effect.VOID
            if not (self.status is ProviderStatus.AUTHORIZED if voids else self.status in OPEN_THERE):
                return Refused(payment_status=self.status)
            self.status = ProviderStatus.VOIDED if voids else ProviderStatus.CANCELED
            self.done.append(intent.key)
        shown = ProviderStatus.VOIDED if intent.effect is Effect.VOID else ProviderStatus.CANCELED
        return a_record(shown, updated_at=now)


class World:
    """One order, its due row and its cases. Each step applies one decision and remembers it."""

    def __init__(self, order: Order, policy: ProviderPolicy | None = None) -> None:
        self.order = order
        self.policy = policy or a_policy()
        self.truth = Truth()
        self.now = NOON
        self.due: Due | None = first_due(order, self.policy, NOON)
        self.cases: set[CaseKind] = set()
        self.resolution: Resolution | None = None
        self.moves: list[Move] = []
        self.intents: dict[str, Intent] = {}
        self.outcomes: list[CommandOutcome] = []
        self.decisions: list[Decision] = []
        self.past: list[Answer] = []
        self.effects_at_once = 0
        self.claims = 1  # of what is due, with the one that is made next
        self._acted_at: datetime | None = None

    def ask(self, answer: Answer) -> Decision:
        """Give this answer to the inquiry that is due, as soon as it is due."""
        assert self.due is not None
        decision = reconcile(self.order, answer, row=self._row(), now=self.now, policy=self.policy)
        before = decision.before.transaction.intent
        if before is not None and isinstance(answer, Record):
            fresh = [intent for intent in decision.intents if intent.number > before.number]
            assert all(i.effect is not before.effect or answer.status != before.refused_in for i in fresh)
        return self.apply(decision)

    def act(self, *, lost_before: bool = False, lost_after: bool = False, instead: Answer | None = None) -> Decision:
        """Perform the effect that is due; its call or its answer may be lost, or another answer come instead."""
        intent = self.order.transaction.intent
        assert intent is not None
        self.effects_at_once = self.effects_at_once + 1 if self._acted_at == self.now else 1
        self._acted_at = self.now
        answer: Answer = instead or Unreachable(why="no connection")
        if not lost_before and instead is None:
            answer = self.truth.perform(intent, self.now)
        if lost_after:
            answer = Unintelligible(why="cut off")
        return self.apply(settle_effect(self.order, answer, row=self._row(), now=self.now, policy=self.policy))

    def die(self, *, sent: bool) -> None:
        """Claim the effect that is due and be heard of no more, before it was sent or after it."""
        intent = self.order.transaction.intent
        assert intent is not None
        if sent and self.sends:
            self.truth.perform(intent, self.now)
        self.claims += 1

    @property
    def sends(self) -> bool:
        """Whether what is due is an effect, and the next claim sends it."""
        intent = self.order.transaction.intent
        return self.due is not None and intent is not None and may_send(intent, self._row())

    def step(self) -> Decision:
        """Do honestly what is due."""
        self.wait_until_due()
        assert self.due is not None
        if not self.sends:
            truth = self.truth.record(self.now)
            self.past.append(truth)
            return self.ask(truth)
        return self.act()

    def wait_until_due(self) -> None:
        if self.due is not None:
            self.now = max(self.now, self.due.at)

    def wait(self, for_: timedelta) -> None:
        self.now += for_

    def command(self, command: OrderCommand, *, inbox: int = 41) -> CommandState | None:
        """Apply a command; return how far it is, or None if it is refused, which must change nothing."""
        draft = Draft.of(self.order, actor="merchant:key", now=self.now)
        draft.resolution = self.resolution
        try:
            state = apply_command(draft, command, self.policy, inbox=inbox)
        except CommandRefused:
            return None
        decision = self.apply(draft.decide())
        if isinstance(command, ResolveOrder) and decision.moves:
            self.resolution = Resolution(note=command.note, by=command.by)
        return state

    def _row(self) -> Claimed:
        assert self.due is not None
        return a_row(self.due.work, self.due.step, due_at=self.due.at, claims=self.claims)

    def apply(self, decision: Decision) -> Decision:
        """Keep a decision, as the store would."""
        assert decision.before == self.order
        self.claims = 1
        self.order = replace(decision.order, version=self.order.version + (decision.order != decision.before))
        if not decision.keep_due:
            self.due = decision.due
        self.cases |= {opening.kind for opening in decision.openings}
        self.cases -= decision.closures - {opening.kind for opening in decision.openings}
        self.moves += decision.moves
        self.outcomes += decision.outcomes
        self.intents |= {intent.key: intent for intent in decision.intents}
        self.decisions.append(decision)
        return decision

    @property
    def record_then(self) -> Record | None:
        """An answer of the past, as a replica that lags behind would give."""
        records = [answer for answer in self.past if isinstance(answer, Record)]
        return records[0] if records else None
