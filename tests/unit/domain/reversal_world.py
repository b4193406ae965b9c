"""A world for one timed-out payment: its truth, its reversal with the due row, and workers that may die at any step."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.model.answer import Answer, NoRecord, ProviderStatus, Record, Refused, Unreachable
from domain.model.case import CaseKind
from domain.model.due_work import Claimed, Due, Work
from domain.model.reversal import Ask, Reversal, ReversalDecision
from domain.model.transaction import Effect, Intent
from domain.rules.registration import first_due
from domain.rules.reporting import check_against_order, new_reversal
from domain.rules.reversal import ask_of
from domain.rules.reversing import hold, reverse
from tests.builders import EUR, HOURS, MINUTES, NOON, PAYMENT, SECONDS, a_policy, a_record, a_report, an_order
from tests.unit.domain.world import OPEN_THERE, Truth, World

SETTLES = NOON + 1 * HOURS
LEASE = 90 * SECONDS
POLICY = a_policy(most_attempts=6, window_fiat=90 * MINUTES)
HELD = frozenset({ProviderStatus.AUTHORIZED, ProviderStatus.PAID})


@dataclass(slots=True, kw_only=True)
class Payment(Truth):
    """A payment that settles; until then, what is held or taken can be voided. `sent` are all keys that came."""

    reference: str = PAYMENT
    settled: bool = False
    sent: list[str] = field(default_factory=list)

    def record(self, now: datetime) -> Answer:
        self.settle(now)
        if self.status is None:
            return NoRecord()
        return a_record(
            self.status, reference=self.reference, settled=self.settled, updated_at=now, paid_at=self.paid_at
        )

    @property
    def holds_money(self) -> bool:
        return self.status in HELD

    def settle(self, now: datetime) -> None:
        if self.holds_money and now >= SETTLES:
            self.status, self.settled = ProviderStatus.PAID, True

    def perform(self, intent: Intent, now: datetime) -> Answer:
        self.settle(now)
        self.sent.append(intent.key)
        voids = intent.effect is Effect.VOID
        ends = ProviderStatus.VOIDED if voids else ProviderStatus.CANCELED
        if intent.key not in self.done:
            if self.status is None:
                return NoRecord()
            if self.settled or self.status not in (HELD if voids else OPEN_THERE):
                return Refused(payment_status=self.status)
            self.status = ends
            self.done.append(intent.key)
        return a_record(ends, reference=self.reference, updated_at=now)


@dataclass(slots=True, kw_only=True)
class Worker:
    """Somebody who has claimed the reversal, and how far they are with it."""

    token: int
    row: Claimed
    reversal: Reversal
    asked: Ask
    called: bool = False
    answer: Answer | None = None


class ReversalWorld:
    def __init__(self) -> None:
        self.now = NOON
        self.original = Payment()
        self.order: World | None = None  # the one whose own payment it is
        self.retries: list[tuple[Payment, World]] = []
        self.reversal: Reversal | None = None
        self.row: Claimed | None = None
        self.token = 0  # of the lease that holds the row, 0 for none
        self.cases: set[CaseKind] = set()
        self.ends: list[Reversal] = []
        self.claims: list[tuple[Ask, datetime]] = []
        self.calls: list[str] = []  # the references that were asked about or acted on
        self._tokens = 0

    def report(self) -> None:
        """Report the timeout, as often as one likes.

        Raises:
            CommandRefused: the order is settled.
        """
        if self.reversal is not None:
            return
        reversal = new_reversal(
            a_report(settles_at=SETTLES), id=9, policy=POLICY, currencies={"EUR": EUR}, now=self.now
        )
        if self.order is not None:
            check_against_order(reversal, self.order.order)
            self.order.apply(hold(self.order.order, now=self.now))
        self.reversal = reversal
        self._plan(Due(work=Work.REVERSE, at=self.now), generation=0)

    def register(self) -> None:
        known = self.reversal
        open_ = known is not None and known.outcome is None
        outcome = None if known is None else known.outcome
        self.order = self._world("order-1", self.original, reversing=open_, reversal=outcome)

    def retry(self) -> None:
        payment = Payment(reference=f"retry-{len(self.retries)}", status=ProviderStatus.PAID, paid_at=self.now)
        self.retries.append((payment, self._world(payment.reference, payment)))

    def _world(self, reference: str, payment: Payment, **transaction: object) -> World:
        order = an_order(
            reference=reference,
            payment=payment.reference,
            window=90 * MINUTES,
            created_at=self.now,
            changed_at=self.now,
            **transaction,
        )
        world = World(order, POLICY)
        world.truth, world.now = payment, self.now
        world.due = first_due(order, POLICY, self.now)
        return world

    def look_after(self, order: World) -> None:
        """Do honestly what is due of an order, if anything is; time goes on until it is."""
        if order.due is not None:
            order.now = max(order.now, self.now)
            order.step()
            self.now = max(self.now, order.now)

    # The workers' four steps; whoever is not heard of any more has died.

    def claim(self) -> Worker:
        assert self.row is not None
        assert self.reversal is not None
        self.now = max(self.now, self.row.due_at)
        self._tokens += 1
        claimed = replace(self.row, claims=self.row.claims + 1)
        self.row, self.token = replace(claimed, due_at=self.now + LEASE), self._tokens
        asked = ask_of(self.reversal, claimed, self.now)
        self.claims.append((asked, self.now))
        return Worker(token=self.token, row=claimed, reversal=self.reversal, asked=asked)

    def call(self, worker: Worker, *, lost: Answer | None = None, effect: bool = True) -> None:
        """Ask or act there; the answer may be lost, before an effect or after it."""
        worker.called = True
        if worker.asked is Ask.NOTHING:
            return
        self.calls.append(worker.reversal.reference)
        answer: Answer = Unreachable(why="no answer")
        if worker.asked is Ask.INQUIRY:
            answer = self.original.record(self.now)
        elif effect:
            assert worker.reversal.intent is not None
            answer = self.original.perform(worker.reversal.intent, self.now)
        worker.answer = lost or answer

    def save(self, worker: Worker) -> bool:
        """Decide and write, if the lease still holds; return whether it did."""
        if self.row is None or self.token != worker.token:
            return False
        assert self.reversal == worker.reversal
        order = None if self.order is None else self.order.order
        decision = reverse(
            worker.reversal,
            worker.answer,
            asked=worker.asked,
            row=worker.row,
            order=order,
            policy=POLICY,
            now=self.now,
        )
        _check_intents(decision, worker.answer)
        assert decision.due is None or decision.due.work is not Work.VOID or self.now < SETTLES
        self._write(decision, planned_meanwhile=self.row.generation != worker.row.generation)
        return True

    def take_up_now(self) -> None:
        """Plan from outside, whoever may be working on it."""
        if self.row is not None and self.reversal is not None and self.reversal.outcome is None:
            at = self.row.due_at if self.token else self.now
            self.row = replace(
                self.row, work=Work.REVERSE, step=0, due_at=at, claims=0, generation=self.row.generation + 1
            )

    def _write(self, decision: ReversalDecision, *, planned_meanwhile: bool) -> None:
        self.token = 0
        assert self.row is not None
        if planned_meanwhile:
            self.row = replace(self.row, due_at=self.now)
        elif decision.due is None:
            self.row = None
        else:
            self._plan(decision.due, generation=self.row.generation)
        self.reversal = decision.reversal
        self.cases |= {opening.kind for opening in decision.openings}
        if decision.event is not None:
            self.ends.append(decision.reversal)
        if decision.order is not None and self.order is not None:
            self.order.now = max(self.order.now, self.now)
            self.order.apply(decision.order)

    def _plan(self, due: Due, *, generation: int) -> None:
        self.row = Claimed(
            subject=9, work=due.work, lane=1, due_at=due.at, step=due.step, generation=generation, claims=0
        )


def _check_intents(decision: ReversalDecision, answer: Answer | None) -> None:
    """I3: numbers follow one another, and a further one only follows a refusal, in another status than now."""
    before = decision.before.intent
    for intent in decision.intents:
        assert intent.key == f"trueup:reverse:acme:{PAYMENT}:{intent.number}"
        if before is None:
            assert intent.number == 1
        elif intent.number == before.number:
            assert before.refused_in is None  # what was refused stays so
        else:
            assert intent.number == before.number + 1
            assert before.refused_in is not None
            assert isinstance(answer, Record)
            assert answer.status != before.refused_in
