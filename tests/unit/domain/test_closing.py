from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.model.answer import Answer, NoRecord, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.decision import CommandState, EntryKind
from domain.model.due_work import Due, Work
from domain.model.order import CanceledBy, Order, OrderStatus, PaymentKind
from domain.model.transaction import Effect, ParentState, ReversalOutcome
from tests.builders import (
    DAYS,
    HOURS,
    MINUTES,
    NOON,
    SECONDS,
    a_cancel_request,
    a_record,
    an_intent,
    an_order,
    path_of,
)
from tests.unit.domain.steps import acted, asked

DEADLINE = NOON + 5 * MINUTES
CANCEL_NOW = Due(work=Work.CANCEL, at=DEADLINE)
ASK_NOW = Due(work=Work.CONFIRM, at=DEADLINE)


def overdue(**given: Any) -> Order:
    return an_order(**{"status": OrderStatus.PENDING, "cancellation": 5 * MINUTES} | given)


def wanted_canceled(**given: Any) -> Order:
    request = a_cancel_request()
    return an_order(**{"status": OrderStatus.PENDING, "cancel_request": request} | given)


class TestAnOrderAtItsDeadline:
    @pytest.mark.parametrize("status", ["created", "pending", "attempted"])
    def test_is_to_be_canceled_at_the_provider_if_nothing_final_is_known_there(self, status: str) -> None:
        decision = asked(overdue(), a_record(status), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == (an_intent(),)
        assert decision.due == CANCEL_NOW
        assert decision.moves == ()

    def test_is_not_closed_by_a_poll_a_second_before(self) -> None:
        decision = asked(overdue(), a_record(), now=DEADLINE - 1 * SECONDS)

        assert decision.intents == ()
        assert decision.due == Due(work=Work.CLOSE, at=DEADLINE)

    def test_is_to_be_closed_by_a_poll_that_came_late(self) -> None:
        assert asked(overdue(), a_record(), now=DEADLINE, step=8).due == CANCEL_NOW

    @pytest.mark.parametrize("status", ["authorized", "cod"])
    def test_has_none_any_more_if_the_customer_has_done_their_part(self, status: str) -> None:
        decision = asked(overdue(), a_record(status), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == ()
        assert decision.due == Due(work=Work.POLL, at=DEADLINE + 1 * MINUTES)

    def test_has_none_any_more_if_the_payment_is_seen_on_its_network(self) -> None:
        order = overdue(kind=PaymentKind.CRYPTO)

        decision = asked(order, a_record(confirmations=0), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == ()
        assert decision.due is not None
        assert decision.due.work is Work.POLL

    def test_is_not_touched_on_a_word_that_nobody_knows(self) -> None:
        decision = asked(overdue(), a_record("partially_frozen"), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == ()
        assert decision.due == Due(work=Work.CLOSE, at=DEADLINE + 30 * SECONDS, step=1)

    @pytest.mark.parametrize(
        ("order", "status", "reason", "by"),
        [
            (overdue(), "CANCELED", "cancellation_timeout", CanceledBy.SYSTEM),
            (
                overdue(cancellation=1 * HOURS, checkout=5 * MINUTES, checkout_completed_at=NOON),
                "CANCELED",
                "checkout_timeout",
                CanceledBy.SYSTEM,
            ),
            (overdue(cancellation=None, window=5 * MINUTES), "EXPIRED", "payment_window", None),
        ],
        ids=["cancellation", "checkout", "window"],
    )
    @pytest.mark.parametrize("word", ["canceled", "voided"])
    def test_ends_by_the_clock_that_ran_out_once_it_is_canceled_there(
        self, order: Order, status: str, reason: str, by: CanceledBy | None, word: str
    ) -> None:
        confirmed = acted(_with(order, an_intent()), a_record("canceled"), now=DEADLINE)

        decision = asked(confirmed.order, a_record(word), now=DEADLINE, work=Work.CLOSE)

        assert (decision.order.status, decision.order.reason, decision.order.canceled_by) == (status, reason, by)
        assert decision.order.watching

    def test_is_the_users_if_it_was_canceled_there_before_we_asked_for_it(self) -> None:
        order = asked(overdue(), a_record("canceled"), now=DEADLINE, work=Work.CLOSE).order

        assert (order.status, order.reason, order.canceled_by) == ("CANCELED", "provider_canceled", "user")

    def test_is_the_users_if_our_cancel_was_refused_and_never_in_doubt(self) -> None:
        refused = overdue(intent=an_intent(refused_in="attempted"))

        order = asked(refused, a_record("canceled"), now=DEADLINE, work=Work.CLOSE).order

        assert (order.reason, order.canceled_by) == ("provider_canceled", "user")

    def test_is_ours_if_our_cancel_was_in_doubt_before_it_was_refused(self) -> None:
        refused = overdue(intent=an_intent(refused_in="canceled", asked=True))

        order = asked(refused, a_record("canceled"), now=DEADLINE, work=Work.CLOSE).order

        assert (order.reason, order.canceled_by) == ("cancellation_timeout", "system")

    @pytest.mark.parametrize(
        "intent",
        [None, an_intent(), an_intent(asked=True), an_intent(confirmed=True), an_intent(refused_in="paid")],
        ids=["before the cancel", "while it is due", "in doubt", "confirmed", "refused"],
    )
    def test_is_paid_if_it_is_found_paid_in_time_at_any_step(self, intent: Any) -> None:
        record = a_record("paid", paid_at=DEADLINE - 1 * SECONDS)

        decision = asked(overdue(intent=intent), record, now=DEADLINE + 1 * HOURS, work=Work.CLOSE)

        assert path_of(decision) == [OrderStatus.PAID]
        assert decision.due is None

    def test_is_unresolved_if_it_is_found_paid_too_late(self) -> None:
        record = a_record("paid", paid_at=DEADLINE + 1 * SECONDS)

        decision = asked(overdue(intent=an_intent(refused_in="paid")), record, now=DEADLINE + 1 * HOURS)

        assert (decision.order.status, decision.order.reason) == ("UNRESOLVED", "delayed")
        assert [opening.kind for opening in decision.openings] == [CaseKind.LATE_PAYMENT]


def _with(order: Order, intent: Any) -> Order:
    return overdue(
        cancellation=order.timeouts.cancellation,
        checkout=order.timeouts.checkout,
        window=order.timeouts.window,
        checkout_completed_at=order.checkout_completed_at,
        intent=intent,
    )


class TestAnEffect:
    def test_that_is_confirmed_is_asked_about_at_once(self) -> None:
        decision = acted(overdue(intent=an_intent()), a_record("canceled"), now=DEADLINE)

        assert decision.intents == (an_intent(confirmed=True),)
        assert decision.due == ASK_NOW
        assert decision.moves == ()

    @pytest.mark.parametrize("status", ["paid", "authorized", "pending", "word_of_its_own"])
    def test_that_is_refused_keeps_the_refusing_status_and_is_asked_about_at_once(self, status: str) -> None:
        decision = acted(overdue(intent=an_intent()), Refused(payment_status=status), now=DEADLINE)

        assert decision.intents == (an_intent(refused_in=status),)
        assert decision.due == ASK_NOW

    def test_on_a_payment_that_is_not_on_record_was_refused(self) -> None:
        decision = acted(overdue(intent=an_intent()), NoRecord(), now=DEADLINE)

        assert decision.intents == (an_intent(refused_in="no_record"),)

    @pytest.mark.parametrize(
        "answer",
        [
            Unreachable(why="timeout"),
            Unintelligible(why="cut off"),
            Refused(payment_status=None),
            a_record("pending"),
            a_record("canceled", reference="another"),
        ],
        ids=["unreachable", "unintelligible", "refused for no reason", "another status", "another payment"],
    )
    def test_without_an_intelligible_answer_is_in_doubt_and_the_next_step_asks(self, answer: Answer) -> None:
        decision = acted(overdue(intent=an_intent()), answer, now=DEADLINE)

        assert decision.intents == (an_intent(asked=True),)
        assert decision.due == Due(work=Work.CONFIRM, at=DEADLINE + 30 * SECONDS, step=1)
        assert [entry.kind for entry in decision.entries] == [EntryKind.EFFECT_IN_DOUBT]
        assert decision.moves == ()

    @pytest.mark.parametrize(("wait", "kept"), [(5 * MINUTES, 5 * MINUTES), (6 * HOURS, 15 * MINUTES)])
    def test_waits_as_long_as_the_provider_asks_and_at_most_a_quarter_of_an_hour(
        self, wait: timedelta, kept: timedelta
    ) -> None:
        decision = acted(overdue(intent=an_intent()), Unreachable(why="429", retry_after=wait), now=DEADLINE)

        assert decision.due == Due(work=Work.CONFIRM, at=DEADLINE + kept, step=1)

    @pytest.mark.parametrize("word", ["voided", "canceled"])
    def test_that_voids_is_confirmed_by(self, word: str) -> None:
        order = wanted_canceled(state=ParentState.AUTHORIZED, intent=an_intent(Effect.VOID))

        assert acted(order, a_record(word)).intents == (an_intent(Effect.VOID, confirmed=True),)

    def test_that_ended_already_is_only_asked_about(self) -> None:
        decision = acted(overdue(intent=an_intent(confirmed=True)), a_record("canceled"), now=DEADLINE)

        assert decision.intents == ()
        assert decision.due == ASK_NOW

    def test_whose_cadence_is_used_up_becomes_a_case(self) -> None:
        decision = acted(overdue(intent=an_intent(asked=True)), Unreachable(why="timeout"), now=DEADLINE, step=4)

        assert decision.due is None
        assert [opening.kind for opening in decision.openings] == [CaseKind.CANCEL_IN_DOUBT]
        assert decision.order.status is OrderStatus.PENDING

    def test_is_named_by_provider_and_reference(self) -> None:
        one = asked(overdue(provider="acme"), a_record(), now=DEADLINE).intents[0].key
        other = asked(overdue(provider="zenith"), a_record(), now=DEADLINE).intents[0].key

        assert one == "trueup:cancel:acme:pay-1:1"
        assert one != other


class TestAnEffectThatLeftThePaymentOpen:
    """The answer to the inquiry that follows a cancel."""

    @pytest.mark.parametrize("intent", [an_intent(), an_intent(asked=True)], ids=["not sent yet", "in doubt"])
    def test_is_sent_again_under_its_own_key(self, intent: Any) -> None:
        decision = asked(overdue(intent=intent), a_record(), now=DEADLINE, work=Work.CLOSE, step=2)

        assert decision.intents == ()
        assert decision.order.transaction.intent == intent
        assert decision.due == Due(work=Work.CANCEL, at=DEADLINE, step=2)

    def test_by_a_refusal_in_this_very_status_is_only_asked_about_later(self) -> None:
        refused = overdue(intent=an_intent(refused_in="pending"))

        decision = asked(refused, a_record("pending"), now=DEADLINE, work=Work.CLOSE, step=1)

        assert decision.intents == ()
        assert decision.due == Due(work=Work.CONFIRM, at=DEADLINE + 30 * SECONDS, step=2)

    def test_by_a_refusal_in_another_status_may_be_intended_anew(self) -> None:
        refused = overdue(intent=an_intent(refused_in="attempted"))

        decision = asked(refused, a_record("pending"), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == (an_intent(number=2),)
        assert decision.due == CANCEL_NOW

    def test_by_a_second_refusal_takes_its_time(self) -> None:
        decision = acted(overdue(intent=an_intent(number=2)), Refused(payment_status="attempted"), now=DEADLINE, step=1)

        assert decision.due == Due(work=Work.CONFIRM, at=DEADLINE + 30 * SECONDS, step=2)

    def test_though_confirmed_is_asked_about_later(self) -> None:
        confirmed = overdue(intent=an_intent(confirmed=True))

        decision = asked(confirmed, a_record("pending"), now=DEADLINE, work=Work.CLOSE)

        assert decision.intents == ()
        assert decision.due == Due(work=Work.CONFIRM, at=DEADLINE + 30 * SECONDS, step=1)

    @pytest.mark.parametrize("intent", [an_intent(confirmed=True), an_intent(refused_in="pending")])
    def test_is_a_persons_when_the_cadence_is_used_up(self, intent: Any) -> None:
        decision = asked(overdue(intent=intent), a_record("pending"), now=DEADLINE, work=Work.CLOSE, step=4)

        assert decision.due is None
        assert [opening.kind for opening in decision.openings] == [CaseKind.CANCEL_IN_DOUBT]
        assert decision.order.status is OrderStatus.PENDING

    def test_because_the_payment_is_declined_closes_the_order_that_allows_other_attempts(self) -> None:
        declined = overdue(attempts_allowed=3, state=ParentState.ATTEMPTED, intent=an_intent(refused_in="declined"))

        decision = asked(declined, a_record("declined"), now=DEADLINE, work=Work.CLOSE)

        assert (decision.order.status, decision.order.reason) == ("CANCELED", "cancellation_timeout")
        assert decision.order.transaction.state is ParentState.CANCELED
        assert decision.due == Due(work=Work.WATCH, at=DEADLINE + 1 * HOURS)


class TestACancelOnCommand:
    def test_asks_first_and_then_cancels_before_any_deadline(self) -> None:
        decision = asked(wanted_canceled(), a_record(), work=Work.CLOSE)

        assert decision.intents == (an_intent(),)

    @pytest.mark.parametrize("by", [CanceledBy.USER, CanceledBy.MERCHANT])
    def test_ends_as_its_own(self, by: CanceledBy) -> None:
        request = a_cancel_request(by=by, reason="changed my mind")
        confirmed = wanted_canceled(cancel_request=request, intent=an_intent(confirmed=True))

        decision = asked(confirmed, a_record("canceled"), work=Work.CLOSE)

        assert (decision.order.status, decision.order.canceled_by) == ("CANCELED", by)
        assert decision.order.reason == "changed my mind"
        assert decision.order.cancel_request is None
        assert [(o.command, o.state) for o in decision.outcomes] == [(41, CommandState.APPLIED)]

    def test_keeps_its_name_when_the_window_passes_meanwhile(self) -> None:
        confirmed = wanted_canceled(intent=an_intent(confirmed=True))

        decision = asked(confirmed, a_record("canceled"), now=NOON + 9 * HOURS, work=Work.CLOSE)

        assert (decision.order.status, decision.order.canceled_by) == ("CANCELED", CanceledBy.MERCHANT)

    @pytest.mark.parametrize("received", ["100.00", "90.00"])
    def test_is_refused_if_the_payment_is_found_paid(self, received: str) -> None:
        record = a_record("paid", amount_received=overdue().currency.amount(received))

        decision = asked(wanted_canceled(intent=an_intent(refused_in="paid")), record, work=Work.CLOSE)

        assert decision.order.status in (OrderStatus.PAID, OrderStatus.UNRESOLVED)
        assert decision.order.cancel_request is None
        assert [(o.command, o.state, o.reason) for o in decision.outcomes] == [
            (41, CommandState.REFUSED, f"the order is {decision.order.status}")
        ]

    def test_voids_what_is_authorized(self) -> None:
        decision = asked(wanted_canceled(state=ParentState.AUTHORIZED), a_record("authorized"), work=Work.CLOSE)

        assert decision.intents == (an_intent(Effect.VOID),)
        assert decision.due is not None
        assert decision.due.work is Work.VOID

    @pytest.mark.parametrize("intent", [an_intent(refused_in="authorized"), an_intent()], ids=["refused", "not sent"])
    def test_voids_what_was_authorized_while_we_were_canceling(self, intent: Any) -> None:
        decision = asked(wanted_canceled(intent=intent), a_record("authorized"), work=Work.CLOSE)

        assert decision.intents == (an_intent(Effect.VOID, number=2),)

    def test_that_is_in_doubt_never_voids_what_was_authorized_meanwhile(self) -> None:
        decision = asked(wanted_canceled(intent=an_intent(asked=True)), a_record("authorized"), work=Work.CONFIRM)

        assert decision.intents == (an_intent(asked=True, refused_in="authorized"),)
        assert EntryKind.EFFECT_OVERTAKEN in [entry.kind for entry in decision.entries]
        assert (decision.order.status, decision.order.cancel_request) == ("PENDING", None)
        assert [(one.command, one.state) for one in decision.outcomes] == [(41, CommandState.REFUSED)]
        assert decision.due is not None
        assert decision.due.work is Work.POLL

    def test_that_gave_way_is_not_what_canceled_the_order_later(self) -> None:
        overtaken = an_intent(asked=True, refused_in="authorized")
        order = an_order(
            status=OrderStatus.PENDING, state=ParentState.AUTHORIZED, intent=overtaken, cancellation=5 * MINUTES
        )

        decision = asked(order, a_record("canceled"), now=DEADLINE - 1 * MINUTES)

        assert (decision.order.status, decision.order.reason) == ("CANCELED", "provider_canceled")

    @pytest.mark.parametrize("order", [wanted_canceled(), overdue()], ids=["on command", "at a deadline"])
    def test_whose_payment_is_found_expired_is_no_end_of_its_own(self, order: Order) -> None:
        in_doubt = replace(order, transaction=replace(order.transaction, intent=an_intent(asked=True)))

        decision = asked(in_doubt, a_record("expired"), now=DEADLINE, work=Work.CONFIRM)

        assert (decision.order.status, decision.order.reason) == ("EXPIRED", None)

    @pytest.mark.parametrize("outcome", [ReversalOutcome.EXHAUSTED, ReversalOutcome.SETTLEMENT_PASSED])
    def test_voids_nothing_that_a_reversal_could_not_undo(self, outcome: ReversalOutcome) -> None:
        order = wanted_canceled(state=ParentState.AUTHORIZED, reversal=outcome)

        decision = asked(order, a_record("authorized"), work=Work.CLOSE)

        assert (decision.intents, decision.order.cancel_request) == ((), None)
        assert [(one.command, one.state) for one in decision.outcomes] == [(41, CommandState.REFUSED)]
        assert decision.due is not None
        assert decision.due.work is Work.POLL

    def test_voids_what_an_earlier_cancel_gave_way_to(self) -> None:
        overtaken = an_intent(asked=True, refused_in="authorized")
        order = wanted_canceled(state=ParentState.AUTHORIZED, intent=overtaken)

        decision = asked(order, a_record("authorized"), work=Work.CLOSE)

        assert decision.intents == (an_intent(Effect.VOID, number=2),)

    def test_is_done_when_the_provider_says_voided(self) -> None:
        order = wanted_canceled(state=ParentState.AUTHORIZED, intent=an_intent(Effect.VOID, confirmed=True))

        decision = asked(order, a_record("voided"), work=Work.CLOSE)

        assert (decision.order.status, decision.order.canceled_by) == ("CANCELED", CanceledBy.MERCHANT)

    def test_never_closes_an_authorized_order_because_the_provider_forgot_it(self) -> None:
        held = wanted_canceled(state=ParentState.AUTHORIZED, no_records=9, no_record_since=NOON - 1 * DAYS)

        decision = asked(held, NoRecord(), work=Work.CLOSE)

        assert decision.moves == ()
        assert decision.due is not None
        assert decision.due.work is Work.CLOSE

    def test_does_not_void_at_a_deadline_what_nobody_asked_to_cancel(self) -> None:
        decision = asked(overdue(intent=an_intent(asked=True)), a_record("authorized"), now=DEADLINE, work=Work.CLOSE)

        assert [intent.effect for intent in decision.intents] == [Effect.CANCEL]
        assert decision.due is not None
        assert decision.due.work is Work.POLL
