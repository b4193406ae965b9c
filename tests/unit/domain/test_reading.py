from typing import Any, Final

import pytest

from domain.model.answer import Record
from domain.model.due_work import Work
from domain.model.order import Order, OrderStatus, PaymentKind
from domain.model.transaction import AttemptState, ParentState
from tests.builders import (
    BTC,
    HOURS,
    MINUTES,
    NOON,
    a_policy,
    a_record,
    an_attempt,
    an_intent,
    an_order,
    path_of,
    told,
)
from tests.unit.domain.steps import asked

S = OrderStatus
P = ParentState
SEVERAL: Final[dict[str, Any]] = {"status": S.PENDING, "attempts_allowed": 3}


class TestACryptoPayment:
    POLICY = a_policy(confirmations={"bitcoin": 2})

    def order(self, **given: Any) -> Order:
        return an_order(kind=PaymentKind.CRYPTO, network="bitcoin", currency=BTC, **given)

    def record(self, status: str, **given: Any) -> Record:
        return a_record(status, currency="BTC", network="bitcoin", **given)

    def test_seen_in_time_is_in_time_whenever_it_is_confirmed(self) -> None:
        seen = asked(self.order(), self.record("pending", confirmations=0), now=NOON + 59 * MINUTES).order

        record = self.record("paid", confirmations=6, paid_at=NOON + 3 * HOURS)
        decision = asked(seen, record, now=NOON + 3 * HOURS)

        assert decision.order.status is S.PAID

    def test_is_pending_until_it_has_the_confirmations_that_the_policy_wants(self) -> None:
        early = asked(self.order(), self.record("paid", confirmations=1), policy=self.POLICY)
        enough = asked(early.order, self.record("paid", confirmations=2), policy=self.POLICY)

        assert early.order.status is S.PENDING
        assert early.order.transaction.amount_received is None
        assert enough.order.status is S.PAID

    def test_counts_by_the_providers_word_where_the_policy_wants_nothing(self) -> None:
        assert asked(self.order(), self.record("paid", confirmations=0)).order.status is S.PAID

    def test_stays_seen_though_an_older_answer_does_not_show_it(self) -> None:
        seen = asked(self.order(), self.record("pending", confirmations=0)).order

        decision = asked(seen, self.record("pending"), now=NOON + 2 * HOURS)

        assert decision.intents == ()
        assert decision.order.transaction.confirmations == 0

    def test_on_a_closed_order_is_a_persons_at_once_however_well_confirmed(self) -> None:
        closed = self.order(status=S.EXPIRED)

        decision = asked(closed, self.record("paid", confirmations=0), work=Work.WATCH, policy=self.POLICY)

        assert decision.order.status is S.UNRESOLVED


class TestAnAttempt:
    @pytest.mark.parametrize("allowed", [0, 2])
    def test_that_is_declined_leaves_the_parent_attempted_where_others_are_allowed(self, allowed: int) -> None:
        decision = asked(an_order(attempts_allowed=allowed), a_record("declined"))

        assert decision.order.transaction.state is P.ATTEMPTED
        assert path_of(decision) == [S.PENDING]

    @pytest.mark.parametrize("ended", [AttemptState.FAILED, AttemptState.CANCELED])
    def test_that_ended_unpaid_keeps_the_parent_attempted(self, ended: AttemptState) -> None:
        record = a_record("pending", attempts=(told("a-1", ended),))

        assert asked(an_order(**SEVERAL), record).order.transaction.state is P.ATTEMPTED

    @pytest.mark.parametrize("word", ["authorized", "paid"])
    def test_that_succeeds_ends_attempted(self, word: str) -> None:
        order = an_order(**SEVERAL, state=P.ATTEMPTED)

        assert asked(order, a_record(word)).order.transaction.state in (P.AUTHORIZED, P.PAID)

    def test_that_is_the_only_one_allowed_never_leaves_the_parent_attempted(self) -> None:
        assert asked(an_order(), a_record("attempted")).order.transaction.state is P.PENDING

    def test_in_error_closes_nothing(self) -> None:
        decision = asked(an_order(), a_record("pending", attempts=(told("a-1", AttemptState.ERROR),)))

        assert decision.order.status is S.PENDING

    def test_that_failed_late_does_not_touch_what_a_later_one_paid(self) -> None:
        attempts = (an_attempt("a-1", AttemptState.FAILED, 1), an_attempt("a-2", AttemptState.SUCCESS, 2))
        paid = an_order(status=S.PAID, attempts_allowed=2, attempts=attempts)

        late = a_record("declined", attempts=(told("a-1", AttemptState.FAILED),))
        decision = asked(paid, late, work=Work.WATCH)

        assert decision.order.status is S.PAID
        assert decision.openings == ()

    def test_that_failed_late_does_not_touch_what_a_later_one_authorized(self) -> None:
        attempts = (an_attempt("a-1", AttemptState.FAILED, 1), an_attempt("a-2", AttemptState.SUCCESS, 2))
        held = an_order(**SEVERAL, state=P.AUTHORIZED, attempts=attempts)

        for late in (a_record("declined", attempts=(told("a-1", AttemptState.FAILED),)), a_record("declined")):
            assert asked(held, late).order.transaction.state is P.AUTHORIZED

    @pytest.mark.parametrize("current", [AttemptState.PENDING, AttemptState.SUCCESS, AttemptState.COD])
    def test_that_is_current_and_not_declined_keeps_a_single_order_open(self, current: AttemptState) -> None:
        record = a_record("declined", attempts=(told("a-1", AttemptState.FAILED), told("a-2", current)))

        decision = asked(an_order(status=S.PENDING), record)

        assert decision.order.status is S.PENDING
        assert [attempt.id for attempt in decision.attempts] == ["a-1", "a-2"]

    @pytest.mark.parametrize(
        ("word", "ending"),
        [
            ("paid", AttemptState.SUCCESS),
            ("authorized", AttemptState.SUCCESS),
            ("cod", AttemptState.COD),
            ("declined", AttemptState.FAILED),
            ("canceled", AttemptState.CANCELED),
        ],
    )
    @pytest.mark.parametrize("attempts", [(), (an_attempt("a-1"),), (an_attempt("a-1", AttemptState.ERROR),)])
    def test_owns_every_final_change_that_the_customer_caused(
        self, word: str, ending: AttemptState, attempts: tuple[Any, ...]
    ) -> None:
        decision = asked(an_order(attempts=attempts), a_record(word))

        assert [attempt.state for attempt in decision.order.transaction.attempts] == [ending]
        assert [attempt.id for attempt in decision.attempts] == ["a-1" if attempts else "1"]

    def test_that_is_paid_on_delivery_succeeds(self) -> None:
        cod = an_order(status=S.PENDING, state=P.COD, attempts=(an_attempt("a-1", AttemptState.COD),))

        attempts = asked(cod, a_record("paid")).order.transaction.attempts

        assert [attempt.state for attempt in attempts] == [AttemptState.SUCCESS]

    def test_that_nobody_told_of_is_implied_after_one_that_failed(self) -> None:
        order = an_order(**SEVERAL, attempts=(an_attempt("2", AttemptState.FAILED),))

        attempts = asked(order, a_record("paid")).order.transaction.attempts

        assert [(attempt.id, attempt.state) for attempt in attempts] == [("2", "failed"), ("3", "success")]

    def test_does_not_own_what_we_canceled_ourselves(self) -> None:
        order = an_order(cancellation=1 * MINUTES, intent=an_intent(confirmed=True), attempts=(an_attempt(),))

        decision = asked(order, a_record("canceled"), work=Work.CLOSE)

        assert decision.attempts == ()

    def test_that_has_ended_is_never_reopened(self) -> None:
        order = an_order(**SEVERAL, attempts=(an_attempt("a-1", AttemptState.FAILED),))

        decision = asked(order, a_record("pending", attempts=(told("a-1", AttemptState.PENDING),)))

        assert decision.attempts == ()
