"""Whatever comes late, is lost or dies, and however often the merchant retries: nobody pays twice unseen."""

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.model.answer import Answer, ProviderStatus, Refused, Unintelligible, Unreachable
from domain.model.command import CancelOrder
from domain.model.due_work import Work
from domain.model.order import CanceledBy, OrderStatus
from domain.model.reversal import Ask
from domain.model.transaction import ReversalOutcome
from domain.rules.commands import CommandRefused
from domain.rules.reversal import last_attempt_at
from tests.builders import MINUTES, PAYMENT, SECONDS, a_record, money
from tests.unit.domain.reversal_world import POLICY, SETTLES, ReversalWorld, Worker
from tests.unit.domain.world import OPEN_THERE

S = ProviderStatus
LOST: tuple[Answer, ...] = (
    Unreachable(why="no answer"),
    Unreachable(why="slow down", retry_after=10 * MINUTES),
    Unintelligible(why="cut off"),
    a_record("paid", amount=money("1.00")),
    a_record("voided", reference="another"),
)
BY_REFUSAL = frozenset({"pending", "authorized", "paid", "processing"})
KEYS = [f"trueup:reverse:acme:{PAYMENT}:{number}" for number in range(1, 200)]


class ATimedOutPayment(RuleBasedStateMachine):
    """Steps are the truth at the provider, the merchant's messages, and what workers do or fail to do."""

    @initialize(
        status=st.sampled_from([None, None, S.PENDING, S.AUTHORIZED, S.AUTHORIZED, S.PAID, S.DECLINED]),
        first=st.sampled_from(["order", "report", "report", "report, order", "order, report", ""]),
        unordered=st.booleans(),
        asleep=st.booleans(),
    )
    def begin(self, status: ProviderStatus | None, first: str, unordered: bool, asleep: bool) -> None:  # noqa: FBT001
        self.world = ReversalWorld()
        self.unordered = unordered
        self.workers: list[Worker] = []
        self.world.original.status = status
        for said in first.split(", "):
            if said == "order":
                self.world.register()
            elif said == "report":
                self.world.report()
        if asleep and status is None and self.world.reversal is not None:
            self.nobody_looks_until_settlement(appears=True)

    # What becomes true at the provider.

    @rule(status=st.sampled_from([S.CREATED, S.PENDING, S.ATTEMPTED, S.AUTHORIZED, S.PAID, S.DECLINED, S.CANCELED]))
    def the_payment_appears_or_goes_on(self, status: ProviderStatus) -> None:
        before = self.world.original.status
        if before is None or before in OPEN_THERE or (before, status) == (S.AUTHORIZED, S.PAID):
            self.world.original.status = status

    @rule()
    def somebody_else_voids_it(self) -> None:
        if self.world.original.holds_money and self.world.now < SETTLES:
            self.world.original.status = S.VOIDED

    # What the merchant does.

    @rule()
    def the_timeout_is_reported(self) -> None:
        before = self.world.reversal
        with suppress(CommandRefused):
            self.world.report()
        assert before is None or self.world.reversal is before

    @rule()
    @precondition(lambda self: self.world.order is None and not self.unordered)
    def the_order_is_registered(self) -> None:
        self.world.register()

    @rule()
    @precondition(lambda self: len(self.world.retries) < 3)
    def the_merchant_retries_and_the_customer_pays(self) -> None:
        self.world.retry()

    @rule()
    def somebody_has_it_taken_up_now(self) -> None:
        self.world.take_up_now()

    @rule()
    @precondition(lambda self: self.world.order is not None)
    def the_merchant_cancels_the_order(self) -> None:
        order = self.world.order
        assert order is not None
        order.now = max(order.now, self.world.now)
        order.command(CancelOrder(merchant="shop", order="order-1", by=CanceledBy.MERCHANT))

    # What is done about it, step by step.

    @rule()
    @precondition(lambda self: self.world.row is not None and len(self.workers) < 3)
    def a_worker_claims(self) -> None:
        self.workers.append(self.world.claim())

    @rule(which=st.sampled_from([0, 0, 0, 1, 2]), lost=st.sampled_from([None, None, *LOST]), effect=st.booleans())
    def a_worker_calls(self, which: int, lost: Answer | None, effect: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        for worker in self.workers[which : which + 1]:
            if not worker.called:
                self.world.call(worker, lost=lost, effect=effect)

    @rule(which=st.sampled_from([0, 0, 0, 1, 2]), word=st.sampled_from(sorted(BY_REFUSAL)))
    def a_void_is_refused_in_whatever_words(self, which: int, word: str) -> None:
        for worker in self.workers[which : which + 1]:
            if not worker.called and worker.asked is Ask.VOID:
                self.world.call(worker, lost=Refused(payment_status=word), effect=False)

    @rule(which=st.sampled_from([0, 0, 0, 1, 2]))
    def a_worker_saves(self, which: int) -> None:
        for worker in self.workers[which : which + 1]:
            if worker.called:
                self.workers.remove(worker)
                self.world.save(worker)

    @rule(which=st.sampled_from([0, 0, 0, 1, 2]))
    def a_worker_dies(self, which: int) -> None:
        del self.workers[which : which + 1]

    # Whole stretches of it, which single steps would hardly ever make up.

    @rule()
    def one_step_is_done(self) -> None:
        self._work_honestly()

    @rule(called=st.booleans(), effect=st.booleans())
    @precondition(lambda self: self.world.row is not None)
    def a_worker_dies_with_its_claim(self, called: bool, effect: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        worker = self.world.claim()
        if called:
            self.world.call(worker, effect=effect)

    @rule(word=st.sampled_from(sorted(BY_REFUSAL)))
    @precondition(lambda self: self._a_void_is_due())
    def a_due_void_is_refused(self, word: str) -> None:
        worker = self.world.claim()
        if worker.asked is Ask.VOID:
            self.world.call(worker, lost=Refused(payment_status=word), effect=False)
            self.world.save(worker)

    @rule()
    @precondition(lambda self: self._a_void_is_due())
    def settlement_comes_before_a_due_void(self) -> None:
        self.world.now = max(self.world.now, SETTLES)
        self._work_honestly()

    def _a_void_is_due(self) -> bool:
        return self.world.row is not None and self.world.row.work is Work.VOID

    @rule(times=st.integers(1, 8))
    def workers_do_their_work_for_a_while(self, times: int) -> None:
        for _ in range(times):
            self._work_honestly()

    @rule()
    @precondition(lambda self: self.world.order is not None)
    def the_order_is_looked_after(self) -> None:
        assert self.world.order is not None
        self.world.look_after(self.world.order)

    @rule(span=st.sampled_from([1 * SECONDS, 30 * SECONDS, 2 * MINUTES, 20 * MINUTES, 70 * MINUTES]))
    def time_passes(self, span: timedelta) -> None:
        self.world.now += span

    @rule(appears=st.booleans())
    @precondition(lambda self: self.world.reversal is not None and self.world.original.status is None)
    def nobody_looks_until_settlement(self, appears: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        self.world.now = max(self.world.now, SETTLES)
        self._work_honestly()
        if appears:
            self.world.original.status = S.AUTHORIZED

    def _work_honestly(self) -> None:
        if self.world.row is not None:
            worker = self.world.claim()
            self.world.call(worker)
            self.world.save(worker)

    # What must be true all along.

    @invariant()
    def an_open_reversal_has_its_due_row(self) -> None:
        reversal = self.world.reversal
        if reversal is not None and reversal.outcome is None:
            assert self.world.row is not None

    @invariant()
    def it_ends_once(self) -> None:
        assert len(self.world.ends) <= 1
        if self.world.ends and self.world.reversal is not None:
            assert self.world.reversal.outcome is self.world.ends[0].outcome

    @invariant()
    def it_asks_no_more_than_it_may_and_what_became_of_its_last_void(self) -> None:
        assert self.world.reversal is None or self.world.reversal.attempts <= POLICY.most_attempts + 1

    @invariant()
    def nothing_is_voided_twice(self) -> None:
        assert len([key for key in self.world.original.done if "cancel" not in key]) <= 1

    @invariant()
    def no_retry_is_touched(self) -> None:
        assert set(self.world.calls) <= {PAYMENT}
        assert all(payment.sent == [] for payment, _ in self.world.retries)

    @invariant()
    def keys_are_numbered_one_by_one(self) -> None:
        sent = [key for key in self.world.original.sent if ":reverse:" in key]
        intent = None if self.world.reversal is None else self.world.reversal.intent
        assert set(sent) <= set(KEYS[: 0 if intent is None else intent.number])

    @invariant()
    def no_void_is_sent_after_settlement_nor_twice_without_asking_between(self) -> None:
        claims = self.world.claims
        assert all(asked is not Ask.VOID or at < SETTLES for asked, at in claims)
        assert all((one, other) != (Ask.VOID, Ask.VOID) for (one, _), (other, _) in pairwise(claims))

    @invariant()
    def an_order_whose_payment_timed_out_is_never_paid(self) -> None:
        order = self.world.order
        if order is not None and self.world.reversal is not None:
            assert order.order.status is not OrderStatus.PAID
            assert order.order.transaction.reversing == (self.world.reversal.outcome is None)
            assert not order.order.transaction.reversing or order.order.status is not OrderStatus.UNRESOLVED

    def teardown(self) -> None:
        """Let the world come to rest honestly: then money that is kept twice has a case."""
        if not hasattr(self, "world"):
            return
        world = self.world
        orders = [order for _, order in world.retries] + ([] if world.order is None else [world.order])
        for _ in range(600):
            self._work_honestly()
            for order in orders:
                world.look_after(order)
            if world.row is None and all(order.due is None for order in orders):
                break
        assert world.row is None
        assert all(order.due is None for order in orders)
        for _, retry in world.retries:
            assert retry.order.status is OrderStatus.PAID
        if world.reversal is None:
            return
        assert world.reversal.outcome is not None
        if world.original.holds_money:
            seen = set(world.cases) | (set() if world.order is None else world.order.cases)
            assert seen or self._was_not_there_just_before_settlement()
            assert world.reversal.outcome not in (ReversalOutcome.VOIDED, ReversalOutcome.ALREADY_REVERSED)

    def _was_not_there_just_before_settlement(self) -> bool:
        """Whether it appeared so late that nobody could see it: never on record, and asked about at the last moment."""
        world = self.world
        assert world.reversal is not None
        just_before = last_attempt_at(world.reversal, POLICY)
        asked_in_time = any(asked is Ask.INQUIRY and just_before <= at < SETTLES for asked, at in world.claims)
        return not world.reversal.on_record and world.order is None and asked_in_time


ATimedOutPayment.TestCase.settings = settings(
    max_examples=600,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


TestATimedOutPayment = ATimedOutPayment.TestCase
