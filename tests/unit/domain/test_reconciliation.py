from datetime import timedelta

import pytest

from domain.model.answer import Answer, NoRecord, ProviderStatus, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.decision import EntryKind
from domain.model.due_work import Due, Work
from domain.model.event import EventType
from domain.model.order import CanceledBy, OrderStatus
from domain.model.transaction import ParentState
from tests.builders import (
    DAYS,
    HOURS,
    MINUTES,
    NOON,
    a_record,
    an_order,
    money,
    path_of,
)
from tests.unit.domain.steps import SOON, asked

S = OrderStatus
P = ParentState
SETTLED = [S.PAID, S.REFUND_PENDING, S.REFUNDED, S.RESOLVED]
CLOSED = [S.CANCELED, S.EXPIRED, S.FAILED]


class TestARecord:
    @pytest.mark.parametrize(
        ("word", "parent", "status", "reason", "by"),
        [
            ("created", P.CREATED, S.NEW, None, None),
            ("pending", P.PENDING, S.PENDING, None, None),
            ("authorized", P.AUTHORIZED, S.PENDING, None, None),
            ("cod", P.COD, S.PENDING, None, None),
            ("paid", P.PAID, S.PAID, None, None),
            ("declined", P.FAILED, S.FAILED, "declined", None),
            ("canceled", P.CANCELED, S.CANCELED, "provider_canceled", CanceledBy.USER),
            ("voided", P.CANCELED, S.CANCELED, "provider_canceled", CanceledBy.USER),
            ("expired", P.EXPIRED, S.EXPIRED, None, None),
            ("invalid", P.INVALID, S.CANCELED, "invalid", CanceledBy.SYSTEM),
            ("refund_rejected", P.PAID, S.PAID, None, None),
        ],
    )
    def test_drives_parent_and_order(
        self, word: str, parent: ParentState, status: OrderStatus, reason: str | None, by: CanceledBy | None
    ) -> None:
        order = asked(an_order(), a_record(word)).order

        assert (order.transaction.state, order.status) == (parent, status)
        assert (order.reason, order.canceled_by) == (reason, by)

    @pytest.mark.parametrize(
        ("word", "path"),
        [
            ("refund_pending", [S.PAID, S.REFUND_PENDING]),
            ("refunded", [S.PAID, S.REFUNDED]),
        ],
    )
    def test_of_a_refund_takes_an_order_through_paid_first(self, word: str, path: list[OrderStatus]) -> None:
        decision = asked(an_order(), a_record(word))

        assert path_of(decision) == path
        assert [move.sequence for move in decision.moves] == [2, 3]

    def test_makes_one_event_for_each_change(self) -> None:
        decision = asked(an_order(), a_record("refunded"))

        assert [event.type for event in decision.events] == [EventType.ORDER_STATUS_CHANGED] * 2
        assert [(event.data["previous_status"], event.data["status"]) for event in decision.events] == [
            ("NEW", "PAID"),
            ("PAID", "REFUNDED"),
        ]
        assert decision.events[0].data["amount_received"] == "100.00"

    @pytest.mark.parametrize("word", list(ProviderStatus))
    def test_that_comes_twice_has_the_effect_of_once(self, word: str) -> None:
        once = asked(an_order(), a_record(word)).order

        again = asked(once, a_record(word), work=Work.WATCH if once.watching else Work.POLL)

        assert again.order == once
        assert again.moves == ()
        assert again.events == ()
        assert not again.openings

    @pytest.mark.parametrize(
        ("received", "tolerance", "status", "reason"),
        [
            ("100.00", "0", S.PAID, None),
            ("99.00", "1.00", S.PAID, None),
            ("0", "1.00", S.UNRESOLVED, "underpaid"),
            ("90.00", "1.00", S.UNRESOLVED, "underpaid"),
            ("110.00", "1.00", S.UNRESOLVED, "overpaid"),
        ],
    )
    def test_of_a_payment_is_weighed(
        self, received: str, tolerance: str, status: OrderStatus, reason: str | None
    ) -> None:
        order = an_order(tolerance=money(tolerance))

        decision = asked(order, a_record("paid", amount_received=money(received)))

        assert (decision.order.status, decision.order.reason) == (status, reason)
        assert bool(decision.openings) == (status is S.UNRESOLVED)

    def test_of_an_odd_payment_says_what_is_at_risk(self) -> None:
        decision = asked(an_order(), a_record("paid", amount_received=money("130.00")))

        (case,) = decision.openings
        assert (case.kind, case.amount_at_risk) == (CaseKind.AMOUNT_MISMATCH, money("30.00"))
        assert case.provider_says == "paid"

    def test_that_is_learnt_late_of_a_payment_in_time_is_paid(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        decision = asked(order, a_record("paid", paid_at=NOON + 4 * MINUTES), now=NOON + 3 * DAYS)

        assert decision.order.status is S.PAID

    def test_without_a_time_of_payment_counts_from_its_last_change(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        decision = asked(order, a_record("paid", updated_at=NOON + 6 * MINUTES), now=NOON + 9 * MINUTES)

        assert decision.order.reason == "delayed"

    def test_by_a_clock_that_is_fast_is_in_time_if_we_saw_it_in_time(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        decision = asked(order, a_record("paid", paid_at=NOON + 8 * MINUTES), now=NOON + 4 * MINUTES)

        assert decision.order.status is S.PAID

    def test_of_an_authorization_in_time_makes_a_later_capture_timely(self) -> None:
        order = an_order(cancellation=5 * MINUTES)
        held = asked(order, a_record("authorized", updated_at=NOON + 1 * MINUTES), now=NOON + 2 * MINUTES).order

        decision = asked(held, a_record("paid", paid_at=NOON + 2 * DAYS), now=NOON + 2 * DAYS)

        assert decision.order.status is S.PAID


class TestCouldNotAsk:
    ANSWERS = (
        Unreachable(why="down"),
        Unreachable(why="credentials", alarm=True),
        Unintelligible(why="<html>"),
        Refused(payment_status="canceled"),
        a_record("paid", reference="another"),
        a_record("paid", currency="USD"),
        a_record("paid", amount_received=None),
        a_record("refunded", amount_received=None),
        a_record("paid", amount_received=money("100.001")),
        a_record("paid", amount_refunded=money("100.01")),
        a_record("canceled", reference="another"),
    )

    @pytest.mark.parametrize("answer", ANSWERS)
    @pytest.mark.parametrize("status", [S.NEW, S.PENDING, S.REFUND_PENDING, S.CANCELED])
    def test_moves_nothing_and_is_not_counted(self, answer: Answer, status: OrderStatus) -> None:
        order = an_order(status=status)
        work = Work.WATCH if order.watching else Work.POLL

        decision = asked(order, answer, work=work, step=3)

        assert decision.order == order
        assert decision.moves == ()
        assert decision.entries == ()
        assert decision.due == Due(work=work, at=SOON + 1 * MINUTES, step=3)

    @pytest.mark.parametrize(("wait", "kept"), [(4 * MINUTES, 4 * MINUTES), (9 * HOURS, 15 * MINUTES)])
    def test_keeps_to_the_time_that_the_provider_names_up_to_a_quarter_of_an_hour(
        self, wait: timedelta, kept: timedelta
    ) -> None:
        decision = asked(an_order(), Unreachable(why="429", retry_after=wait))

        assert decision.due == Due(work=Work.POLL, at=SOON + kept)

    def test_does_not_sleep_through_a_deadline(self) -> None:
        order = an_order(cancellation=5 * MINUTES)

        decision = asked(order, Unreachable(why="429", retry_after=10 * MINUTES))

        assert decision.due == Due(work=Work.CLOSE, at=NOON + 5 * MINUTES)

    def test_after_a_deadline_leaves_the_closing_due(self) -> None:
        decision = asked(an_order(cancellation=5 * MINUTES), Unreachable(why="down"), now=NOON + 6 * MINUTES, step=4)

        assert decision.due == Due(work=Work.CLOSE, at=NOON + 7 * MINUTES)

    def test_is_not_no_record(self) -> None:
        counted = an_order(cancellation=5 * MINUTES, no_records=2, no_record_since=NOON)

        decision = asked(counted, Unreachable(why="down"), now=NOON + 9 * HOURS, work=Work.CLOSE)

        assert decision.order == counted


class TestAnAnswerThatTheTableDoesNotAllow:
    @pytest.mark.parametrize("word", ["created", "pending", "attempted", "authorized", "cod"])
    def test_is_stale_after_paid_and_changes_nothing(self, word: str) -> None:
        paid = an_order(status=S.REFUND_PENDING, provider_status="paid")

        decision = asked(paid, a_record(word))

        assert [entry.kind for entry in decision.entries] == [EntryKind.STALE]
        assert decision.order.status is S.REFUND_PENDING
        assert decision.order.transaction.state is P.PAID
        assert not decision.openings

    @pytest.mark.parametrize("word", ["declined", "canceled", "voided", "expired", "invalid"])
    @pytest.mark.parametrize("status", SETTLED)
    def test_contradicts_what_was_paid_and_opens_a_case(self, status: OrderStatus, word: str) -> None:
        decision = asked(an_order(status=status), a_record(word), work=Work.WATCH)

        (case,) = decision.openings
        assert (case.kind, case.provider_says) == (CaseKind.CONTRADICTION, word)
        assert case.known == f"the order is {status}, and its provider says {word} now"
        assert case.amount_at_risk == money("100.00")
        assert decision.order.status is status

    @pytest.mark.parametrize("status", CLOSED)
    def test_contradicts_a_closed_order_by_having_been_paid_and_given_back(self, status: OrderStatus) -> None:
        decision = asked(an_order(status=status), a_record("refunded"), work=Work.WATCH)

        assert [opening.kind for opening in decision.openings] == [CaseKind.CONTRADICTION]
        assert decision.order.status is status
        assert decision.due is not None

    @pytest.mark.parametrize("word", ["pending", "declined", "word_of_its_own"])
    def test_is_noted_once(self, word: str) -> None:
        first = asked(an_order(status=S.REFUND_PENDING), a_record(word))

        second = asked(first.order, a_record(word))

        assert first.entries
        assert second.entries == ()
        assert second.openings == ()

    def test_is_stale_for_an_authorization_that_is_pending_again(self) -> None:
        decision = asked(an_order(status=S.PENDING, state=P.AUTHORIZED), a_record("pending"))

        assert decision.order.transaction.state is P.AUTHORIZED

    @pytest.mark.parametrize("status", [S.NEW, S.PENDING, S.PAID, S.REFUND_PENDING, S.CANCELED])
    def test_has_a_word_that_we_do_not_know(self, status: OrderStatus) -> None:
        order = an_order(status=status)

        decision = asked(order, a_record("partially_frozen"), work=Work.WATCH if order.watching else Work.POLL)

        assert [entry.kind for entry in decision.entries] == [EntryKind.UNKNOWN_STATUS]
        assert decision.moves == ()
        assert decision.order.transaction.state is order.transaction.state
        assert decision.order.transaction.provider_status == "partially_frozen"


class TestMoreMoneyAfterTheEnd:
    @pytest.mark.parametrize("status", CLOSED)
    @pytest.mark.parametrize("word", ["paid", "authorized", "refund_pending", "refund_rejected"])
    def test_makes_a_closed_order_unresolved_with_a_case(self, status: OrderStatus, word: str) -> None:
        decision = asked(an_order(status=status), a_record(word), work=Work.WATCH)

        assert (decision.order.status, decision.order.reason) == (S.UNRESOLVED, "delayed")
        assert [opening.kind for opening in decision.openings] == [CaseKind.LATE_PAYMENT]
        assert decision.openings[0].amount_at_risk == money("100.00")
        assert not decision.order.watching
        assert decision.order.canceled_by is None
        assert decision.due is None

    def test_that_was_only_given_back_in_part_is_unresolved_too(self) -> None:
        record = a_record("refunded", amount_refunded=money("40.00"))

        assert asked(an_order(status=S.CANCELED), record, work=Work.WATCH).order.status is S.UNRESOLVED

    def test_is_noticed_by_a_poll_after_the_watch_has_ended(self) -> None:
        forgotten = an_order(status=S.CANCELED, watching=False)

        assert asked(forgotten, a_record("paid"), work=Work.WATCH).order.status is S.UNRESOLVED

    def test_than_a_paid_order_needs_is_a_persons(self) -> None:
        decision = asked(an_order(status=S.PAID), a_record("paid", amount_received=money("200.00")), work=Work.WATCH)

        (case,) = decision.openings
        assert (case.kind, case.amount_at_risk) == (CaseKind.AMOUNT_MISMATCH, money("100.00"))
        assert case.known.endswith("more was received since: 200.00 EUR in place of 100.00")
        assert decision.order.status is S.PAID

    def test_is_not_taken_back_by_an_older_answer(self) -> None:
        paid = an_order(status=S.PAID, amount_received=money("100.00"))

        decision = asked(paid, a_record("paid", amount_received=money("60.00")), work=Work.WATCH)

        assert decision.order.transaction.amount_received == money("100.00")


class TestNoRecordWhilePolling:
    def test_goes_on_by_the_cadence(self) -> None:
        decision = asked(an_order(), NoRecord(), step=3)

        assert decision.order == an_order()
        assert decision.due == Due(work=Work.POLL, at=SOON + 1 * MINUTES, step=4)

    def test_of_a_closed_order_goes_on_watching(self) -> None:
        decision = asked(an_order(status=S.CANCELED), NoRecord(), work=Work.WATCH, step=0)

        assert decision.due == Due(work=Work.WATCH, at=SOON + 1 * HOURS, step=1)

    def test_changes_nothing_for_a_payment_that_was_seen(self) -> None:
        held = an_order(status=S.PENDING, state=P.AUTHORIZED)

        assert asked(held, NoRecord(), now=NOON + 9 * HOURS).moves == ()
