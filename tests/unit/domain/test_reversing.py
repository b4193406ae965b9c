"""What an answer makes of a reversal: its intents, its end, its case, its event, and its order."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from domain.model.answer import Answer, NoRecord, Record, Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.decision import EntryKind
from domain.model.due_work import Due, Work
from domain.model.event import EventType
from domain.model.order import Order, OrderStatus
from domain.model.reversal import Ask, LastAnswer, Reversal, ReversalDecision
from domain.model.transaction import Intent, ParentState, ReversalOutcome
from domain.rules.reversing import reverse
from tests.builders import (
    HOURS,
    MINUTES,
    NOON,
    SECONDS,
    a_policy,
    a_record,
    a_reversal,
    a_row,
    a_void,
    an_intent,
    an_order,
    money,
    path_of,
)

SETTLES = NOON + 6 * HOURS
LAST = SETTLES - 5 * MINUTES
LOST = (
    Unreachable(why="no answer"),
    Unintelligible(why="cut off"),
    Refused(payment_status=None),
    a_record("voided", reference="another"),
    a_record("authorized"),
)


def reversed_by(
    answer: Answer | None,
    reversal: Reversal | None = None,
    *,
    asked: Ask = Ask.INQUIRY,
    now: datetime = NOON,
    order: Order | None = None,
    **row: Any,
) -> ReversalDecision:
    row = {"work": Work.VOID if asked is Ask.VOID else Work.REVERSE, "subject": 9} | row
    return reverse(
        reversal or a_reversal(),
        answer,
        asked=asked,
        row=a_row(**row),
        order=order,
        policy=a_policy(most_attempts=10),
        now=now,
    )


def voided_by(answer: Answer, intent: Intent | None = None, **given: Any) -> ReversalDecision:
    known: dict[str, Any] = {"attempts": 1, "on_record": True, "provider_status": "authorized"}
    known |= {"last_answer": LastAnswer.RECORD, "last_asked_at": NOON}
    return reversed_by(answer, a_reversal(**known, intent=intent or a_void()), asked=Ask.VOID, **given)


class TestAnAnswerAboutTheOriginal:
    @pytest.mark.parametrize(
        ("answer", "outcome", "case"),
        [
            (a_record("declined"), ReversalOutcome.DECLINED, None),
            (a_record("expired"), ReversalOutcome.DECLINED, None),
            (a_record("invalid"), ReversalOutcome.DECLINED, None),
            (a_record("voided"), ReversalOutcome.ALREADY_REVERSED, None),
            (a_record("canceled"), ReversalOutcome.ALREADY_REVERSED, None),
            (a_record("refunded"), ReversalOutcome.ALREADY_REVERSED, None),
            (a_record("paid", settled=True), ReversalOutcome.SETTLEMENT_PASSED, CaseKind.SETTLED_UNREVERSED),
        ],
    )
    def test_stops_it_by_the_table(self, answer: Answer, outcome: ReversalOutcome, case: CaseKind | None) -> None:
        decision = reversed_by(answer)

        assert (decision.reversal.outcome, decision.reversal.ended_at) == (outcome, NOON)
        assert (decision.due, decision.intents) == (None, ())
        assert [opening.kind for opening in decision.openings] == ([] if case is None else [case])
        assert decision.event is not None

    @pytest.mark.parametrize("status", ["authorized", "paid", "refund_rejected"])
    def test_that_it_was_approved_records_the_intent_of_a_void_that_is_due_now(self, status: str) -> None:
        decision = reversed_by(a_record(status))

        assert decision.intents == (a_void(),)
        assert decision.reversal.intent == a_void()
        assert decision.due == Due(work=Work.VOID, at=NOON, step=0)
        assert (decision.reversal.outcome, decision.event, decision.openings) == (None, None, ())

    @pytest.mark.parametrize("status", ["created", "pending", "attempted", "cod", "refund_pending", "on_hold"])
    def test_that_it_may_still_become_anything_leads_to_asking_again(self, status: str) -> None:
        decision = reversed_by(a_record(status), step=2)

        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=3)
        assert decision.reversal == a_reversal(
            attempts=1,
            on_record=True,
            last_answer=LastAnswer.RECORD,
            last_asked_at=NOON,
            provider_status=status,
        )

    @pytest.mark.parametrize("now", [LAST, SETTLES], ids=["before", "after"])
    def test_that_it_is_there_takes_back_that_there_was_no_record(self, now: datetime) -> None:
        known = a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=NOON)

        assert reversed_by(a_record("pending"), known, now=now).reversal.last_answer is LastAnswer.RECORD

    @pytest.mark.parametrize(
        ("asked_at", "now", "last_answer"),
        [
            (LAST - 1 * SECONDS, LAST, LastAnswer.COULD_NOT_ASK),
            (LAST - 1 * SECONDS, SETTLES, LastAnswer.COULD_NOT_ASK),
            (LAST, SETTLES - 1 * SECONDS, LastAnswer.NO_RECORD),
            (LAST, SETTLES, LastAnswer.NO_RECORD),
        ],
    )
    def test_that_did_not_come_does_not_take_back_that_there_was_no_record_just_before_settlement(
        self, asked_at: datetime, now: datetime, last_answer: LastAnswer
    ) -> None:
        known = a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=asked_at)

        lost = reversed_by(Unreachable(why="no answer"), known, now=now).reversal

        stands = last_answer is LastAnswer.NO_RECORD
        assert (lost.last_answer, lost.last_asked_at) == (last_answer, asked_at if stands else now)

    def test_that_is_of_another_amount_is_not_what_became_of_a_void(self) -> None:
        known = a_reversal(attempts=1, on_record=True, intent=a_void(asked=True))

        decision = reversed_by(a_record("voided", amount=money("1.00")), known)

        assert (decision.reversal.outcome, decision.reversal.intent) == (None, a_void(asked=True))

    def test_after_a_claim_that_did_not_come_back_is_of_a_void_in_doubt(self) -> None:
        known = a_reversal(attempts=1, on_record=True, intent=a_void())

        died = reversed_by(a_record("authorized"), known, work=Work.VOID, claims=2)
        alive = reversed_by(a_record("authorized"), known, work=Work.REVERSE, claims=2)

        assert (died.reversal.intent, died.intents) == (a_void(asked=True), (a_void(asked=True),))
        assert (alive.reversal.intent, alive.intents) == (a_void(), ())

    def test_that_there_is_no_record_is_no_attempt(self) -> None:
        decision = reversed_by(NoRecord())

        assert decision.reversal == a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=NOON)
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=1)

    def test_that_there_is_no_record_does_not_forget_that_there_was_one(self) -> None:
        known = a_reversal(attempts=1, on_record=True, provider_status="pending")

        reversal = reversed_by(NoRecord(), known).reversal

        assert (reversal.attempts, reversal.on_record, reversal.provider_status) == (1, True, "pending")

    @pytest.mark.parametrize(
        "answer",
        [
            Unreachable(why="no answer"),
            Unintelligible(why="not JSON"),
            Refused(payment_status="paid"),
        ],
        ids=str,
    )
    def test_that_says_nothing_is_no_attempt_and_no_step(self, answer: Answer) -> None:
        decision = reversed_by(answer, step=2)

        assert decision.reversal == a_reversal(last_answer=LastAnswer.COULD_NOT_ASK, last_asked_at=NOON)
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=2)
        assert decision.intents == ()

    @pytest.mark.parametrize(
        "record", [a_record("authorized", amount=money("1.00")), a_record("voided", currency="USD")], ids=str
    )
    def test_that_does_not_fit_the_report_is_no_attempt_and_takes_its_time(self, record: Record) -> None:
        decision = reversed_by(record, step=2)

        assert decision.reversal == a_reversal(last_answer=LastAnswer.NOT_BELIEVED, last_asked_at=NOON)
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=3)
        assert decision.intents == ()

    def test_that_does_not_fit_the_report_to_the_end_says_so_in_the_case(self) -> None:
        decision = reversed_by(a_record("authorized", amount=money("1.00")), now=SETTLES)

        assert "another amount or currency" in decision.openings[0].known

    def test_that_asks_for_patience_is_waited_for(self) -> None:
        decision = reversed_by(Unreachable(why="slow down", retry_after=4 * MINUTES))

        assert decision.due == Due(work=Work.REVERSE, at=NOON + 4 * MINUTES, step=0)

    def test_that_is_not_believed_is_kept_with_the_reason(self) -> None:
        decision = reversed_by(a_record("paid", amount=money("10.00")))

        assert decision.attempt is not None
        assert decision.attempt.answer == {
            "answer": "record",
            "status": "paid",
            "settled": "no",
            "not_believed": "the record is of 10.00, the report of 100.00",
        }

    def test_that_a_void_in_doubt_was_done_confirms_it(self) -> None:
        decision = reversed_by(a_record("voided"), a_reversal(intent=a_void(asked=True)))

        assert decision.reversal.outcome is ReversalOutcome.VOIDED
        assert decision.intents == (a_void(asked=True, confirmed=True),)

    def test_that_it_was_refunded_is_no_void_of_ours(self) -> None:
        decision = reversed_by(a_record("refunded"), a_reversal(intent=a_void(asked=True)))

        assert decision.reversal.outcome is ReversalOutcome.ALREADY_REVERSED
        assert decision.intents == ()

    def test_that_it_is_voided_after_our_void_was_refused_is_not_our_doing(self) -> None:
        decision = reversed_by(a_record("voided"), a_reversal(intent=a_void(refused_in="voided")))

        assert decision.reversal.outcome is ReversalOutcome.ALREADY_REVERSED


class TestAnApprovedOriginal:
    @pytest.mark.parametrize(
        ("intent", "recorded"),
        [
            (None, (a_void(1),)),
            (a_void(1), ()),
            (a_void(1, asked=True), ()),
            (a_void(1, refused_in="pending"), (a_void(2),)),
            (a_void(3, refused_in="no_record"), (a_void(4),)),
        ],
    )
    def test_is_voided_under_the_key_of_the_open_intent_or_the_next(
        self, intent: Intent | None, recorded: tuple[Intent, ...]
    ) -> None:
        decision = reversed_by(a_record("authorized"), a_reversal(intent=intent))

        assert decision.intents == recorded
        assert decision.due == Due(work=Work.VOID, at=NOON, step=0)

    def test_is_left_alone_in_the_status_that_refused(self) -> None:
        decision = reversed_by(a_record("paid"), a_reversal(intent=a_void(refused_in="paid")))

        assert decision.intents == ()
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=1)


class TestAVoid:
    @pytest.mark.parametrize("status", ["voided", "canceled"])
    def test_that_is_confirmed_ends_it(self, status: str) -> None:
        decision = voided_by(a_record(status))

        assert decision.reversal.outcome is ReversalOutcome.VOIDED
        assert decision.reversal.provider_status == status
        assert decision.intents == (a_void(confirmed=True),)
        assert decision.due is None

    @pytest.mark.parametrize("answer", LOST, ids=str)
    def test_without_an_intelligible_answer_stays_in_doubt_and_is_asked_about(self, answer: Answer) -> None:
        decision = voided_by(answer, step=1)

        assert decision.reversal.outcome is None
        assert decision.intents == (a_void(asked=True),)
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=2)

    def test_that_is_told_to_wait_waits(self) -> None:
        decision = voided_by(Unreachable(why="slow down", retry_after=4 * MINUTES))

        assert decision.due == Due(work=Work.REVERSE, at=NOON + 4 * MINUTES, step=1)

    @pytest.mark.parametrize("answer", [Refused(payment_status="paid"), NoRecord()], ids=["paid", "no_record"])
    def test_that_is_refused_is_asked_about_at_once(self, answer: Answer) -> None:
        decision = voided_by(answer)

        status = "paid" if isinstance(answer, Refused) else "no_record"
        assert decision.intents == (a_void(refused_in=status),)
        assert decision.due == Due(work=Work.REVERSE, at=NOON, step=1)

    def test_keeps_its_key_with_the_attempt(self) -> None:
        attempt = voided_by(Refused(payment_status="paid")).attempt

        assert attempt is not None
        assert (attempt.asked, attempt.key) == (Ask.VOID, "trueup:reverse:acme:pay-1:1")
        assert attempt.answer == {"answer": "refused", "status": "paid"}
        assert (attempt.decided, attempt.next_at) == ("ask again", NOON)

    def test_that_was_sent_before_settlement_is_believed_after_it(self) -> None:
        assert voided_by(a_record("voided"), now=SETTLES + 1 * SECONDS).reversal.outcome is ReversalOutcome.VOIDED

    def test_whose_answer_is_lost_in_settlement_is_asked_about_once_more(self) -> None:
        decision = voided_by(Unreachable(why="no answer"), now=SETTLES)

        assert decision.reversal.outcome is None
        assert decision.due == Due(work=Work.REVERSE, at=SETTLES, step=1)


class TestAReversalThatHasPassedSettlement:
    @pytest.mark.parametrize(
        ("known", "cases"),
        [
            ({"last_answer": LastAnswer.NO_RECORD}, []),
            ({}, [CaseKind.SETTLED_UNREVERSED]),
            ({"last_answer": LastAnswer.NO_RECORD, "last_asked_at": NOON}, [CaseKind.SETTLED_UNREVERSED]),
            ({"last_answer": LastAnswer.COULD_NOT_ASK}, [CaseKind.SETTLED_UNREVERSED]),
            ({"last_answer": LastAnswer.NO_RECORD, "on_record": True}, [CaseKind.SETTLED_UNREVERSED]),
            ({"last_answer": LastAnswer.RECORD, "on_record": True}, [CaseKind.SETTLED_UNREVERSED]),
        ],
    )
    def test_and_is_on_no_record_ends_by_what_was_known_before(
        self, known: dict[str, Any], cases: list[CaseKind]
    ) -> None:
        just_before = SETTLES - 1 * MINUTES
        decision = reversed_by(NoRecord(), a_reversal(**{"last_asked_at": just_before} | known), now=SETTLES)

        assert decision.reversal.outcome is ReversalOutcome.SETTLEMENT_PASSED
        assert [opening.kind for opening in decision.openings] == cases
        assert decision.due is None

    def test_ends_by_the_last_attempt_before_it_if_the_last_look_fails(self) -> None:
        known = a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=LAST)

        decision = reversed_by(Unreachable(why="no answer"), known, now=SETTLES)

        assert decision.reversal.outcome is ReversalOutcome.SETTLEMENT_PASSED
        assert decision.openings == ()

    def test_ends_with_a_case_if_it_could_not_be_asked_about(self) -> None:
        decision = reversed_by(Unreachable(why="no answer"), now=SETTLES)

        assert decision.reversal.outcome is ReversalOutcome.SETTLEMENT_PASSED
        assert [opening.kind for opening in decision.openings] == [CaseKind.SETTLED_UNREVERSED]

    @pytest.mark.parametrize(
        ("answer", "known", "says"),
        [
            (a_record("authorized"), {}, "it is authorized"),
            (a_record("authorized"), {"intent": a_void(asked=True)}, "it was authorized, and a void has no answer yet"),
            (
                a_record("authorized"),
                {"intent": a_void(refused_in="paid")},
                "it is authorized, and its void was refused as paid",
            ),
            (
                a_record("paid", amount=money("1.00")),
                {},
                "the provider's record is of another amount or currency than the report; look which of them is wrong",
            ),
            (NoRecord(), {}, "the provider has no record of it"),
            (NoRecord(), {"on_record": True}, "the provider has no record of it any more"),
            (Unreachable(why="no answer"), {}, "the provider could not be asked when it was last tried"),
            (
                Unreachable(why="no answer"),
                {"on_record": True, "intent": a_void(asked=True)},
                "the provider could not be asked when it was last tried",
            ),
        ],
    )
    def test_says_what_is_known_of_it(self, answer: Answer, known: dict[str, Any], says: str) -> None:
        [opening] = reversed_by(answer, a_reversal(**known), now=SETTLES).openings

        assert opening.known == f"pay-1 at acme, which timed out, was not undone: {says}"

    def test_has_no_time_left_in_which_it_could_be_voided(self) -> None:
        [too_late] = reversed_by(a_record("authorized"), now=SETTLES).openings
        [in_time] = reversed_by(a_record("pending"), a_reversal(attempts=9), now=LAST).openings

        assert (too_late.deadline, in_time.deadline) == (None, SETTLES)

    def test_tells_what_is_at_risk(self) -> None:
        opening = reversed_by(a_record("authorized"), now=SETTLES).openings[0]

        assert (opening.amount_at_risk, opening.provider_says) == (money("100.00"), "authorized")
        assert opening.details == {
            "provider": "acme",
            "reference": "pay-1",
            "settles_at": "2026-03-02T18:00:00+00:00",
            "attempts": "1",
        }


class TestAReversalThatHasEnded:
    @pytest.mark.parametrize("answer", [a_record("voided"), a_record("authorized"), Unreachable(why="no answer"), None])
    def test_is_not_taken_up_again_whatever_is_answered(self, answer: Answer | None) -> None:
        ended = a_reversal(outcome=ReversalOutcome.VOIDED, ended_at=NOON, intent=a_void(confirmed=True))
        asked = Ask.NOTHING if answer is None else Ask.INQUIRY

        decision = reversed_by(answer, ended, asked=asked, now=NOON + 1 * MINUTES, order=an_order())

        assert decision.reversal == ended
        assert (decision.due, decision.event, decision.order) == (None, None, None)
        assert (decision.intents, decision.openings) == ((), ())


class TestAReversalOfAnOrdersOwnPayment:
    def test_that_is_open_holds_an_order_that_was_not_held_yet(self) -> None:
        decision = reversed_by(a_record("pending"), order=an_order())

        assert decision.order is not None
        assert decision.order.order.transaction.reversing
        assert decision.order.moves == ()
        assert decision.order.keep_due

    def test_that_goes_on_says_nothing_to_an_order_that_is_held(self) -> None:
        assert reversed_by(a_record("pending"), order=an_order(reversing=True)).order is None

    @pytest.mark.parametrize("status", [OrderStatus.NEW, OrderStatus.PENDING])
    @pytest.mark.parametrize("word", ["voided", "canceled", "refunded"])
    def test_that_finds_it_undone_ends_an_open_order(self, status: OrderStatus, word: str) -> None:
        decision = reversed_by(a_record(word), order=an_order(status=status, reversing=True))

        assert decision.order is not None
        order = decision.order.order
        assert (order.status, order.reason, order.canceled_by) == ("CANCELED", "reversed", "system")
        assert (order.transaction.reversing, order.transaction.reversal) == (False, ReversalOutcome.ALREADY_REVERSED)
        assert (order.transaction.state, order.transaction.provider_status) == (ParentState.CANCELED, word)
        assert decision.order.due == Due(work=Work.WATCH, at=NOON + 1 * HOURS)
        assert path_of(decision.order) == [OrderStatus.CANCELED]

    @pytest.mark.parametrize(
        ("order", "word"),
        [
            (an_order(status=OrderStatus.CANCELED, reversing=True), "voided"),
            (an_order(status=OrderStatus.PENDING, reversing=True, intent=an_intent(asked=True)), "canceled"),
            (an_order(status=OrderStatus.PENDING, reversing=True), "declined"),
        ],
        ids=["closed before", "perhaps by our own cancel", "declined"],
    )
    def test_that_ends_otherwise_lets_the_order_go_and_look_now(self, order: Order, word: str) -> None:
        decision = reversed_by(a_record(word), order=order)

        assert decision.order is not None
        transaction = decision.order.order.transaction
        assert not transaction.reversing
        assert transaction.reversal is not None
        assert decision.order.moves == ()
        assert decision.order.due is not None
        assert decision.order.due.at == NOON
        assert [entry.kind for entry in decision.order.entries] == [EntryKind.REVERSAL_ENDED]

    def test_that_ends_lets_an_order_rest_that_owes_nothing(self) -> None:
        order = replace(an_order(status=OrderStatus.CANCELED, reversing=True), watching=False)

        decision = reversed_by(a_record("declined"), order=order)

        assert decision.order is not None
        assert decision.order.keep_due
        assert not decision.order.order.transaction.reversing

    @pytest.mark.parametrize("status", ["PAID", "REFUND_PENDING", "UNRESOLVED", "RESOLVED"])
    def test_is_not_undone_once_the_order_is_settled(self, status: str) -> None:
        decision = reversed_by(a_record("paid"), order=an_order(status=OrderStatus(status)))

        assert decision.intents == ()
        assert decision.due == Due(work=Work.REVERSE, at=NOON + 30 * SECONDS, step=1)
        assert [opening.kind for opening in decision.openings] == [CaseKind.CONTRADICTION]


class TestTheEventOfAnEnd:
    def test_says_what_became_of_the_transaction(self) -> None:
        event = reversed_by(a_record("voided"), a_reversal(order="order-1")).event

        assert event is not None
        assert event.type is EventType.REVERSAL_ENDED
        assert (event.merchant, event.order_id) == ("shop", None)
        assert event.data == {
            "merchant": "shop",
            "order": "order-1",
            "provider": "acme",
            "reference": "pay-1",
            "outcome": "ALREADY_REVERSED",
            "on_record": True,
            "provider_says": "voided",
            "attempts": 1,
            "amount": "100.00",
            "currency": "EUR",
            "response_code": "99",
            "occurred_at": "2026-03-02T11:59:00+00:00",
            "settles_at": "2026-03-02T18:00:00+00:00",
        }

    def test_says_that_a_transaction_was_never_on_record(self) -> None:
        known = a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=LAST)

        decision = reversed_by(NoRecord(), known, now=SETTLES)

        assert decision.event is not None
        assert decision.event.data["on_record"] is False
        assert decision.openings == ()

    def test_belongs_to_the_order_whose_own_payment_it_is(self) -> None:
        event = reversed_by(a_record("voided"), a_reversal(order="a note"), order=an_order()).event

        assert event is not None
        assert (event.order_id, event.data["order"]) == (7, "order-1")
