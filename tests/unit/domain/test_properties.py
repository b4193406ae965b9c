"""Whatever a provider, a merchant and the network do in whatever order, the invariants of the design hold."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.model.answer import Answer, NoRecord, ProviderStatus, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.command import CancelOrder, CheckoutCompleted, PollOrder, RecordAttempt, RecordOperation, ResolveOrder
from domain.model.decision import CommandState
from domain.model.due_work import Work
from domain.model.event import EventType
from domain.model.order import CanceledBy, Order, OrderStatus, PaymentKind
from domain.model.transaction import AttemptState, OperationKind, OperationState, ParentState
from domain.rules import order_lifecycle, transaction_lifecycle
from domain.rules.lifecycle import edges
from domain.rules.order_lifecycle import CLOSED, OPEN, OWES, Owes
from domain.rules.refunds import total
from tests.builders import HOURS, MINUTES, a_record, an_order, money
from tests.unit.domain.world import OPEN_THERE, Truth, World

S = ProviderStatus
HOLDING = frozenset({S.PAID, S.AUTHORIZED, S.REFUND_PENDING, S.REFUND_REJECTED})
NAMES: Final[dict[str, Any]] = {"merchant": "shop", "order": "order-1"}
COULD_NOT_ASK: tuple[Answer, ...] = (
    Unreachable(why="no connection"),
    Unreachable(why="slow down", retry_after=timedelta(hours=3)),
    Unintelligible(why="not JSON"),
    Refused(payment_status="paid"),
    a_record(S.PAID, currency="USD"),
    a_record(S.PAID, reference="another"),
    a_record(S.PAID, amount_received=None),
)


def _but_for_doubt(order: Order) -> Order:
    """Return the order without what a dead worker leaves: that its effect may have been sent."""
    intent = order.transaction.intent
    transaction = replace(order.transaction, intent=None if intent is None else replace(intent, asked=True))
    return replace(order, transaction=transaction, version=0)


class AnOrdersLife(RuleBasedStateMachine):
    """Steps are the provider's truth, honest and dishonest answers, commands and waiting."""

    @initialize(
        attempts_allowed=st.sampled_from([0, 1, 3]),
        cancellation=st.sampled_from([None, 10 * MINUTES]),
        checkout=st.sampled_from([None, 2 * MINUTES]),
        tolerance=st.sampled_from(["0", "1.00"]),
        kind=st.sampled_from(PaymentKind),
        known=st.sampled_from([None, S.PENDING, S.AUTHORIZED, S.PAID]),
    )
    def begin(
        self,
        attempts_allowed: int,
        cancellation: timedelta | None,
        checkout: timedelta | None,
        tolerance: str,
        kind: PaymentKind,
        known: ProviderStatus | None,
    ) -> None:
        self.world = World(
            an_order(
                attempts_allowed=attempts_allowed,
                cancellation=cancellation,
                checkout=checkout,
                tolerance=money(tolerance),
                kind=kind,
            )
        )
        self.truth.status = known
        if known is S.PAID:
            self.truth.received, self.truth.paid_at = money("100.00"), self.world.now
        if known is not None:
            self.world.step()

    # What becomes true at the provider.

    @property
    def truth(self) -> Truth:
        return self.world.truth

    @rule(status=st.sampled_from([S.CREATED, S.PENDING, S.ATTEMPTED]))
    def the_payment_appears_or_goes_on(self, status: ProviderStatus) -> None:
        if self.truth.status is None or self.truth.status in OPEN_THERE:
            self.truth.status = status

    @rule(status=st.sampled_from([S.DECLINED, S.CANCELED, S.EXPIRED, S.INVALID]))
    def the_payment_ends_there(self, status: ProviderStatus) -> None:
        if self.truth.status in OPEN_THERE:
            self.truth.status = status

    @rule(behind=st.booleans())
    def the_customer_authorizes(self, behind: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Even on a payment that is closed, which an authorization that surfaces late looks like."""
        ended = self.truth.status in (S.CANCELED, S.EXPIRED, S.DECLINED, S.INVALID)
        if self.truth.status is None or self.truth.status in OPEN_THERE or (behind and ended):
            self.truth.status = S.AUTHORIZED

    @rule(amount=st.sampled_from(["100.00", "100.00", "99.50", "90.00", "120.00"]), behind=st.booleans())
    def the_customer_pays(self, amount: str, behind: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Even on a payment that is closed, as banks do."""
        paid_already = self.truth.received > 0
        if not paid_already and (behind or self.truth.status in OPEN_THERE | {None, S.AUTHORIZED}):
            self.truth.status, self.truth.received, self.truth.paid_at = S.PAID, money(amount), self.world.now

    @rule(share=st.sampled_from(["0.3", "0.5", "1"]), status=st.sampled_from([S.REFUND_PENDING, S.REFUND_REJECTED]))
    def a_refund_goes_on_there(self, share: str, status: ProviderStatus) -> None:
        if self.truth.received > self.truth.refunded:
            self.truth.status = status
            if status is S.REFUND_PENDING:
                return
            self.truth.refunded = max(self.truth.refunded, (self.truth.received * Decimal(share)).quantize(Decimal(1)))
            self.truth.refunded = min(self.truth.refunded, self.truth.received)
            self.truth.status = S.REFUNDED if self.truth.refunded == self.truth.received else S.PAID

    # What is done about it.

    @rule()
    @precondition(lambda self: self.world.due is not None)
    def the_due_step_is_done(self) -> None:
        self.world.step()

    @rule(times=st.integers(2, 30))
    def due_steps_are_done_for_a_while(self, times: int) -> None:
        for _ in range(times):
            if self.world.due is not None:
                self.world.step()
                self.nothing_is_dark()

    @rule(answer=st.sampled_from(COULD_NOT_ASK))
    @precondition(lambda self: self.world.due is not None and not self.world.sends)
    def the_provider_could_not_be_asked(self, answer: Answer) -> None:
        before = self.world.order
        self.world.wait_until_due()

        decision = self.world.ask(answer)

        assert _but_for_doubt(self.world.order) == _but_for_doubt(before)
        known = before.transaction.intent
        assert all(known is not None and intent == replace(known, asked=True) for intent in decision.intents)
        assert self.world.due is not None
        assert self.world.due.at <= self.world.now + 15 * MINUTES

    @rule()
    @precondition(lambda self: self.world.due is not None and not self.world.sends)
    def an_old_answer_comes_again(self) -> None:
        self.world.wait_until_due()
        self.world.ask(self.world.record_then or NoRecord())

    @rule()
    @precondition(lambda self: self.world.due is not None and not self.world.sends)
    def the_provider_says_a_word_that_nobody_knows(self) -> None:
        before = self.world.order
        self.world.wait_until_due()

        decision = self.world.ask(a_record("partially_frozen"))

        assert (self.world.order.status, self.world.order.transaction.state) == (
            before.status,
            before.transaction.state,
        )
        known = before.transaction.intent
        assert all(known is not None and intent == replace(known, asked=True) for intent in decision.intents)

    @rule(lost_before=st.booleans())
    @precondition(lambda self: self.world.sends)
    def the_answer_to_an_effect_is_lost(self, lost_before: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.world.wait_until_due()
        self.world.act(lost_before=lost_before, lost_after=not lost_before)

    @rule(sent=st.booleans())
    @precondition(lambda self: self.world.sends)
    def a_worker_dies_with_an_effect(self, sent: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.world.wait_until_due()
        self.world.die(sent=sent)
        assert not self.world.sends

    @rule()
    def the_deadline_comes_while_the_payment_is_open(self) -> None:
        if self.truth.status is None:
            self.truth.status = S.PENDING
        for _ in range(60):
            if self.world.due is not None and self.world.due.work in (Work.POLL, Work.CLOSE, Work.CONFIRM):
                self.world.step()

    @rule(status=st.sampled_from(["pending", "attempted", "paid", "in_process"]))
    @precondition(lambda self: self.world.sends)
    def the_provider_refuses_in_a_word_of_its_own(self, status: str) -> None:
        self.world.wait_until_due()
        self.world.act(instead=Refused(payment_status=status))

    @rule(span=st.sampled_from([MINUTES, 11 * MINUTES, 4 * HOURS, 50 * HOURS]))
    def time_passes(self, span: timedelta) -> None:
        self.world.wait(span)

    # Commands, each also said twice.

    @rule(by=st.sampled_from([CanceledBy.USER, CanceledBy.MERCHANT]))
    def somebody_cancels(self, by: CanceledBy) -> None:
        was = self.world.order.status
        state = self.world.command(CancelOrder(**NAMES, by=by))
        after = self.world.order
        again = self.world.command(CancelOrder(**NAMES, by=by), inbox=42)

        assert (state is CommandState.ACCEPTED) <= (was in OPEN)
        assert (state is None) == (again is None)
        assert self.world.order == after

    @rule()
    def the_checkout_is_completed(self) -> None:
        self.world.command(CheckoutCompleted(**NAMES))
        after = self.world.order
        self.world.wait(MINUTES)
        self.world.command(CheckoutCompleted(**NAMES))

        assert self.world.order == after

    @rule(key=st.sampled_from("abcd"), state=st.sampled_from(AttemptState))
    def a_producer_tells_of_an_attempt(self, key: str, state: AttemptState) -> None:
        before = self.world.order
        said = self.world.command(RecordAttempt(**NAMES, id=key, state=state))
        after = self.world.order
        again = self.world.command(RecordAttempt(**NAMES, id=key, state=state))

        assert after.status is before.status
        assert after.transaction.state is before.transaction.state
        known, allowed = len(before.transaction.attempts), after.attempts_allowed
        assert not allowed or len(after.transaction.attempts) <= max(allowed, known)
        assert again == said
        assert self.world.order == after

    @rule(
        key=st.sampled_from("rst"),
        kind=st.sampled_from(OperationKind),
        state=st.sampled_from(OperationState),
        amount=st.sampled_from(["30.00", "50.00", "70.00", "100.00"]),
    )
    def a_producer_tells_of_an_operation(
        self, key: str, kind: OperationKind, state: OperationState, amount: str
    ) -> None:
        command = RecordOperation(**NAMES, id=key, kind=kind, state=state, amount=amount)
        said = self.world.command(command)
        after = self.world.order
        again = self.world.command(command)

        assert again == said
        assert self.world.order == after

    @rule(note=st.sampled_from(["sent the rest back", "kept it"]))
    def somebody_resolves(self, note: str) -> None:
        was, before = self.world.order.status, self.world.resolution
        state = self.world.command(ResolveOrder(**NAMES, note=note))

        stands = was is OrderStatus.RESOLVED and before is not None and before.note == note
        assert (state is None) == (was is not OrderStatus.UNRESOLVED and not stands)
        if was is OrderStatus.UNRESOLVED:
            self.world.cases -= {CaseKind.LATE_PAYMENT, CaseKind.AMOUNT_MISMATCH}

    @rule()
    def somebody_asks_for_a_poll(self) -> None:
        self.world.command(PollOrder(**NAMES))

        assert self.world.due is not None
        assert self.world.due.at == self.world.now

    # What must be true all along.

    @invariant()
    def nothing_is_dark(self) -> None:
        """I2: what owes has a due row or a case."""
        order = self.world.order
        owes = OWES[order.status]
        if owes is Owes.ALWAYS or (owes is Owes.WATCH and order.watching):
            assert self.world.due is not None or self.world.cases
        if owes is Owes.CASE:
            assert self.world.cases & {CaseKind.LATE_PAYMENT, CaseKind.AMOUNT_MISMATCH}
        assert order.watching <= (order.status in CLOSED)

    @invariant()
    def an_effect_that_is_due_has_its_intent(self) -> None:
        due, intent = self.world.due, self.world.order.transaction.intent
        if due is not None and due.work in (Work.CANCEL, Work.VOID):
            assert intent is not None
            assert intent.open
            assert intent.effect == due.work.value
            assert self.world.order.status in OPEN

    @invariant()
    def every_change_has_one_row_and_one_event(self) -> None:
        """I1, and no edge that the table does not have."""
        previous = OrderStatus.NEW
        for number, move in enumerate(self.world.moves, start=2):
            assert (move.sequence, move.previous) == (number, previous)
            assert (previous, move.status) in edges(order_lifecycle.TRANSITIONS)
            previous = move.status
        assert self.world.order.status is previous
        assert self.world.order.sequence == len(self.world.moves) + 1
        for decision in self.world.decisions[-1:]:
            events = [event for event in decision.events if event.type is EventType.ORDER_STATUS_CHANGED]
            assert [event.data["sequence"] for event in events] == [move.sequence for move in decision.moves]
            parents = (decision.before.transaction.state, decision.order.transaction.state)
            assert parents[0] is parents[1] or parents in edges(transaction_lifecycle.TRANSITIONS)

    @invariant()
    def a_key_names_one_effect(self) -> None:
        """I3: numbers follow one another, and a further one only follows a refusal or another effect."""
        intents = list(self.world.intents.values())
        assert [intent.number for intent in intents] == list(range(1, len(intents) + 1))
        for earlier, later in pairwise(intents):
            assert earlier.refused_in is not None or earlier.effect is not later.effect
            assert not (earlier.confirmed and earlier.effect is later.effect)
        assert len(self.truth.done) == len(set(self.truth.done))

    @invariant()
    def a_provider_is_never_called_without_a_pause(self) -> None:
        assert self.world.effects_at_once <= 3

    @invariant()
    def money_is_conserved(self) -> None:
        """I6."""
        order = self.world.order
        operations = order.transaction.operations
        live = (OperationState.QUEUED, OperationState.DONE)
        captured = total(operations, OperationKind.CAPTURE, *live)
        refunded = total(operations, OperationKind.REFUND, *live)
        received = order.transaction.amount_received
        assert captured <= order.amount
        assert refunded <= (max(captured, received or money(0)))
        assert not (total(operations, OperationKind.VOID, *live) and captured)

    @invariant()
    def the_parents_attempted_state_needs_several_attempts(self) -> None:
        order = self.world.order
        assert order.transaction.state is not ParentState.ATTEMPTED or order.attempts_allowed != 1
        assert order.status is not OrderStatus.FAILED or order.attempts_allowed == 1

    @invariant()
    def every_payment_belongs_to_an_attempt(self) -> None:
        order = self.world.order
        states = {attempt.state for attempt in order.transaction.attempts}
        if order.transaction.state in (ParentState.AUTHORIZED, ParentState.PAID):
            assert AttemptState.SUCCESS in states

    def teardown(self) -> None:
        """Let the world come to rest honestly: then no closed order's money is left unseen (I5)."""
        if not hasattr(self, "world"):
            return
        for _ in range(400):
            if self.world.due is None:
                break
            self.world.step()
            self.nothing_is_dark()
        assert self.world.due is None
        self.world.command(PollOrder(**NAMES))
        for _ in range(400):
            if self.world.due is None:
                break
            self.world.step()
        if self.world.order.status in CLOSED:
            assert not self.truth.holds_money
        if self.world.order.status in OPEN:
            assert self.world.cases


AnOrdersLife.TestCase.settings = settings(
    max_examples=1000,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


TestAnOrdersLife = AnOrdersLife.TestCase
