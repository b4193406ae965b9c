"""The machine of reversals by its tables: what a provider says, what follows from it, and when."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.model.answer import Answer, NoRecord, Record, Refused, Unintelligible, Unreachable
from domain.model.due_work import Work
from domain.model.reversal import Ask, LastAnswer
from domain.model.transaction import Intent, ReversalOutcome
from domain.rules.originals import misfit_of, read
from domain.rules.reversal import (
    AgainAt,
    Next,
    Said,
    Stop,
    VoidNow,
    after_inquiry,
    after_refusal,
    ask_of,
    is_kept_for_the_end,
    last_attempt_at,
    needs_a_person,
    next_attempt,
)
from tests.builders import HOURS, MINUTES, NOON, SECONDS, a_policy, a_record, a_reversal, a_row, a_void, money

SETTLES = NOON + 6 * HOURS
LAST = SETTLES - 5 * MINUTES
POLICY = a_policy(most_attempts=10)
IN_HALF_A_MINUTE = AgainAt(NOON + 30 * SECONDS)


class TestWhatAProviderSays:
    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("declined", Said.DECLINED),
            ("expired", Said.DECLINED),
            ("invalid", Said.DECLINED),
            ("voided", Said.REVERSED),
            ("canceled", Said.REVERSED),
            ("refunded", Said.REVERSED),
            ("authorized", Said.APPROVED),
            ("paid", Said.APPROVED),
            ("refund_rejected", Said.APPROVED),
            ("created", Said.OPEN),
            ("pending", Said.OPEN),
            ("attempted", Said.OPEN),
            ("cod", Said.OPEN),
            ("refund_pending", Said.OPEN),
            ("partially_frozen", Said.OPEN),
        ],
    )
    def test_is_read_word_by_word(self, status: str, said: Said) -> None:
        assert read(a_reversal(), a_record(status)) is said

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("paid", Said.SETTLED),
            ("authorized", Said.SETTLED),
            ("refund_rejected", Said.SETTLED),
            ("voided", Said.REVERSED),
            ("refunded", Said.REVERSED),
            ("declined", Said.DECLINED),
            ("refund_pending", Said.OPEN),
        ],
    )
    def test_is_settled_only_where_money_is_held_or_taken(self, status: str, said: Said) -> None:
        assert read(a_reversal(), a_record(status, settled=True)) is said

    @pytest.mark.parametrize(
        ("received", "refunded", "said"),
        [
            ("100.00", None, Said.REVERSED),
            ("100.00", "100.00", Said.REVERSED),
            (None, "100.00", Said.REVERSED),
            ("100.00", "40.00", Said.OPEN),
            (None, "40.00", Said.OPEN),
            ("60.00", "60.00", Said.REVERSED),
        ],
    )
    def test_is_reversed_only_when_all_that_was_received_is_back(
        self, received: str | None, refunded: str | None, said: Said
    ) -> None:
        record = a_record(
            "refunded",
            amount_received=None if received is None else money(received),
            amount_refunded=None if refunded is None else money(refunded),
        )

        assert read(a_reversal(), record) is said

    @pytest.mark.parametrize(
        "answer",
        [
            Unreachable(why="no connection"),
            Unintelligible(why="not JSON"),
            Refused(payment_status="paid"),
        ],
        ids=str,
    )
    def test_is_nothing_where_there_is_no_answer_to_the_question(self, answer: Answer) -> None:
        assert read(a_reversal(), answer) is Said.COULD_NOT_ASK

    @pytest.mark.parametrize(
        "record",
        [
            a_record("paid", reference="another"),
            a_record("paid", currency="USD"),
            a_record("paid", amount=money("100.01")),
            a_record("declined", amount=money("10.00")),
            a_record("voided", currency="JPY"),
        ],
        ids=str,
    )
    def test_is_not_believed_where_it_is_not_about_what_was_reported(self, record: Record) -> None:
        assert read(a_reversal(), record) is Said.NOT_BELIEVED

    def test_may_be_that_there_is_no_record(self) -> None:
        assert read(a_reversal(), NoRecord()) is Said.NO_RECORD

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ({"reference": "another"}, "the record is of another reference"),
            ({"currency": "USD"}, "the record is in USD, the report in EUR"),
            ({"amount": money("10.5")}, "the record is of 10.5, the report of 100.00"),
            ({"amount": money("100")}, None),
        ],
    )
    def test_fits_the_report_or_says_why_not(self, given: dict[str, Any], why: str | None) -> None:
        assert misfit_of(a_reversal(), a_record("paid", **given)) == why


class TestAnInquiryThatWasAnswered:
    @pytest.mark.parametrize(
        ("said", "following"),
        [
            (Said.DECLINED, Stop(ReversalOutcome.DECLINED)),
            (Said.REVERSED, Stop(ReversalOutcome.ALREADY_REVERSED)),
            (Said.SETTLED, Stop(ReversalOutcome.SETTLEMENT_PASSED)),
            (Said.APPROVED, VoidNow()),
            (Said.OPEN, IN_HALF_A_MINUTE),
            (Said.NO_RECORD, IN_HALF_A_MINUTE),
        ],
    )
    def test_leads_on_by_the_table(self, said: Said, following: Next) -> None:
        assert after_inquiry(a_reversal(), said, step=1, policy=POLICY, now=NOON) == following

    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            (Said.DECLINED, ReversalOutcome.DECLINED),
            (Said.REVERSED, ReversalOutcome.ALREADY_REVERSED),
            (Said.SETTLED, ReversalOutcome.SETTLEMENT_PASSED),
            (Said.APPROVED, ReversalOutcome.SETTLEMENT_PASSED),
            (Said.OPEN, ReversalOutcome.SETTLEMENT_PASSED),
            (Said.NO_RECORD, ReversalOutcome.SETTLEMENT_PASSED),
        ],
    )
    @pytest.mark.parametrize("late", [0 * SECONDS, 1 * SECONDS, 24 * HOURS], ids=str)
    def test_ends_it_once_settlement_has_passed(self, said: Said, outcome: ReversalOutcome, late: timedelta) -> None:
        following = after_inquiry(a_reversal(), said, step=1, policy=POLICY, now=SETTLES + late)

        assert following == Stop(outcome)

    @pytest.mark.parametrize(
        ("said", "following"),
        [
            (Said.OPEN, Stop(ReversalOutcome.EXHAUSTED)),
            (Said.APPROVED, Stop(ReversalOutcome.EXHAUSTED)),
            (Said.DECLINED, Stop(ReversalOutcome.DECLINED)),
            (Said.REVERSED, Stop(ReversalOutcome.ALREADY_REVERSED)),
            (Said.SETTLED, Stop(ReversalOutcome.SETTLEMENT_PASSED)),
            (Said.NO_RECORD, AgainAt(LAST)),
        ],
    )
    def test_that_uses_the_attempts_up_ends_it_unless_it_is_no_attempt(self, said: Said, following: Next) -> None:
        refused = a_reversal(attempts=10, provider_status="authorized", intent=a_void(refused_in="authorized"))

        assert after_inquiry(refused, said, step=1, policy=POLICY, now=NOON) == following

    def test_that_uses_the_attempts_up_is_still_followed_by_the_void_that_it_allows(self) -> None:
        used_up = a_reversal(attempts=10, provider_status="authorized")

        assert after_inquiry(used_up, Said.APPROVED, step=1, policy=POLICY, now=NOON) == VoidNow()

    @pytest.mark.parametrize("intent", [a_void(asked=True), a_void(refused_in="pending")], ids=["in doubt", "refused"])
    def test_that_asks_what_became_of_the_last_void_is_the_end(self, intent: Intent) -> None:
        asked_after = a_reversal(attempts=11, provider_status="authorized", intent=intent)

        following = after_inquiry(asked_after, Said.APPROVED, step=1, policy=POLICY, now=NOON)

        assert following == Stop(ReversalOutcome.EXHAUSTED)


class TestAnApprovedOriginal:
    @pytest.mark.parametrize(
        ("intent", "following"),
        [
            (None, VoidNow()),
            (a_void(), VoidNow()),
            (a_void(asked=True), VoidNow()),
            (a_void(refused_in="pending"), VoidNow()),
            (a_void(refused_in="no_record"), VoidNow()),
            (a_void(refused_in="authorized"), IN_HALF_A_MINUTE),
            (a_void(2, refused_in="authorized"), IN_HALF_A_MINUTE),
            (a_void(confirmed=True), IN_HALF_A_MINUTE),
        ],
        ids=["never", "intended", "in doubt", "refused before", "not there", "refused so", "twice", "confirmed"],
    )
    def test_is_voided_again_only_in_another_status_than_the_one_that_refused(
        self, intent: Intent | None, following: Next
    ) -> None:
        reversal = a_reversal(attempts=1, provider_status="authorized", intent=intent)

        assert after_inquiry(reversal, Said.APPROVED, step=1, policy=POLICY, now=NOON) == following


class TestARefusedVoid:
    def test_is_asked_about_at_once_if_it_is_the_first(self) -> None:
        reversal = a_reversal(intent=a_void(refused_in="paid"))

        assert after_refusal(reversal, step=1, policy=POLICY, now=NOON) == AgainAt(NOON)

    def test_is_asked_about_later_if_it_is_a_further_one(self) -> None:
        reversal = a_reversal(intent=a_void(2, refused_in="paid"))

        assert after_refusal(reversal, step=1, policy=POLICY, now=NOON) == IN_HALF_A_MINUTE


def at(now: datetime, step: int = 0, **given: Any) -> datetime:
    """Return when the next attempt is planned, seen from `now`."""
    terms = {name: given.pop(name) for name in ("retry_after", "longest") if name in given}
    return next_attempt(a_reversal(**given), step=step, policy=POLICY, now=now, **terms)


class TestTheNextAttempt:
    @pytest.mark.parametrize("step", [0, 1, 3])
    def test_comes_by_the_cadence(self, step: int) -> None:
        assert at(NOON, step) == NOON + 30 * SECONDS

    def test_is_the_one_just_before_settlement_when_the_cadence_is_used_up(self) -> None:
        assert at(NOON, 4) == LAST

    def test_is_never_planned_past_the_one_just_before_settlement(self) -> None:
        assert at(LAST - 10 * SECONDS) == LAST

    @pytest.mark.parametrize(("attempts", "planned"), [(8, NOON + 30 * SECONDS), (9, LAST), (10, LAST)])
    def test_is_kept_for_just_before_settlement_if_it_is_the_last_that_is_left(
        self, attempts: int, planned: datetime
    ) -> None:
        assert at(NOON, attempts=attempts) == planned

    @pytest.mark.parametrize(
        ("retry_after", "planned"),
        [
            (None, NOON + 30 * SECONDS),
            (10 * SECONDS, NOON + 30 * SECONDS),
            (4 * MINUTES, NOON + 4 * MINUTES),
            (3 * HOURS, NOON + 15 * MINUTES),
        ],
    )
    @pytest.mark.parametrize("longest", [None, 5 * MINUTES], ids=str)
    def test_waits_as_long_as_the_provider_asks_for_up_to_a_quarter_of_an_hour(
        self, retry_after: timedelta | None, planned: datetime, longest: timedelta | None
    ) -> None:
        assert at(NOON, retry_after=retry_after, longest=longest) == planned

    def test_waits_as_long_as_the_provider_asks_for_even_when_the_cadence_is_used_up(self) -> None:
        assert at(NOON, 4, retry_after=10 * MINUTES, longest=5 * MINUTES) == NOON + 10 * MINUTES

    def test_does_not_wait_past_the_one_just_before_settlement_whatever_the_provider_asks_for(self) -> None:
        assert at(LAST - 1 * MINUTES, retry_after=15 * MINUTES) == LAST

    @pytest.mark.parametrize("step", [0, 4])
    def test_after_a_call_that_told_nothing_comes_within_the_longest_wait(self, step: int) -> None:
        assert at(NOON, step, longest=20 * SECONDS) == NOON + 20 * SECONDS

    def test_after_a_call_that_told_nothing_comes_soon_even_when_the_cadence_is_used_up(self) -> None:
        assert at(NOON, 4, longest=5 * MINUTES) == NOON + 5 * MINUTES


class TestTheAttemptJustBeforeSettlement:
    @pytest.mark.parametrize(
        "given",
        [
            {"last_answer": LastAnswer.NO_RECORD},
            {"last_answer": LastAnswer.RECORD},
            {"last_answer": LastAnswer.COULD_NOT_ASK},
            {"last_answer": LastAnswer.RECORD, "intent": a_void(asked=True)},
        ],
        ids=["no record", "open", "could not ask", "a void in doubt"],
    )
    def test_is_followed_up_until_settlement(self, given: dict[str, Any]) -> None:
        soon = at(LAST, last_asked_at=LAST, **given)
        very_late = at(SETTLES - 10 * SECONDS, last_asked_at=LAST, **given)

        assert soon == LAST + 30 * SECONDS
        assert very_late == SETTLES


class TestTheOnlyAttemptThatIsLeft:
    @pytest.mark.parametrize(
        ("attempts", "now", "kept"),
        [
            (8, NOON, False),
            (9, NOON, True),
            (9, LAST - 1 * SECONDS, True),
            (9, LAST, False),
            (9, SETTLES, False),
        ],
    )
    def test_is_kept_until_its_time_has_come(self, attempts: int, now: datetime, kept: bool) -> None:  # noqa: FBT001
        assert is_kept_for_the_end(a_reversal(attempts=attempts, settles_at=SETTLES), POLICY, now) is kept


class TestAClaim:
    @pytest.mark.parametrize(
        ("work", "claims", "intent", "ask"),
        [
            (Work.REVERSE, 1, None, Ask.INQUIRY),
            (Work.REVERSE, 1, a_void(), Ask.INQUIRY),
            (Work.REVERSE, 1, a_void(asked=True), Ask.INQUIRY),
            (Work.VOID, 1, a_void(), Ask.VOID),
            (Work.VOID, 1, a_void(asked=True), Ask.VOID),
            (Work.VOID, 2, a_void(), Ask.INQUIRY),
            (Work.VOID, 3, a_void(asked=True), Ask.INQUIRY),
            (Work.VOID, 1, a_void(refused_in="paid"), Ask.INQUIRY),
            (Work.VOID, 1, a_void(confirmed=True), Ask.INQUIRY),
            (Work.VOID, 1, None, Ask.INQUIRY),
        ],
    )
    def test_sends_a_void_only_at_once_after_it_was_intended(
        self, work: Work, claims: int, intent: Intent | None, ask: Ask
    ) -> None:
        row = a_row(work, claims=claims)

        assert ask_of(a_reversal(intent=intent), row, NOON) is ask

    def test_sends_a_void_until_a_moment_before_settlement(self) -> None:
        intended = a_reversal(intent=a_void())

        assert ask_of(intended, a_row(Work.VOID), SETTLES - timedelta(microseconds=1)) is Ask.VOID

    @pytest.mark.parametrize("intent", [None, a_void(), a_void(asked=True)])
    @pytest.mark.parametrize("work", [Work.REVERSE, Work.VOID])
    def test_sends_no_void_after_settlement_and_asks_a_last_time(self, intent: Intent | None, work: Work) -> None:
        known = a_reversal(last_asked_at=LAST, last_answer=LastAnswer.RECORD, intent=intent)

        assert ask_of(known, a_row(work), SETTLES) is Ask.INQUIRY

    @pytest.mark.parametrize("work", [Work.REVERSE, Work.VOID])
    @pytest.mark.parametrize("now", [NOON, SETTLES], ids=str)
    def test_of_what_has_ended_asks_nothing(self, work: Work, now: datetime) -> None:
        ended = a_reversal(outcome=ReversalOutcome.VOIDED, ended_at=NOON, intent=a_void())

        assert ask_of(ended, a_row(work), now) is Ask.NOTHING


class TestAnEnd:
    @pytest.mark.parametrize(
        ("outcome", "on_record", "last_answer", "a_case"),
        [
            (ReversalOutcome.DECLINED, True, LastAnswer.RECORD, False),
            (ReversalOutcome.ALREADY_REVERSED, True, LastAnswer.RECORD, False),
            (ReversalOutcome.VOIDED, True, LastAnswer.RECORD, False),
            (ReversalOutcome.SETTLEMENT_PASSED, True, LastAnswer.RECORD, True),
            (ReversalOutcome.SETTLEMENT_PASSED, True, LastAnswer.NO_RECORD, True),
            (ReversalOutcome.SETTLEMENT_PASSED, True, LastAnswer.COULD_NOT_ASK, True),
            (ReversalOutcome.SETTLEMENT_PASSED, False, LastAnswer.COULD_NOT_ASK, True),
            (ReversalOutcome.SETTLEMENT_PASSED, False, None, True),
            (ReversalOutcome.SETTLEMENT_PASSED, False, LastAnswer.NO_RECORD, False),
            (ReversalOutcome.EXHAUSTED, True, LastAnswer.RECORD, True),
            (ReversalOutcome.EXHAUSTED, True, LastAnswer.COULD_NOT_ASK, True),
        ],
    )
    def test_needs_a_person_unless_no_money_can_be_there(
        self,
        outcome: ReversalOutcome,
        on_record: bool,  # noqa: FBT001 - a row of the table
        last_answer: LastAnswer | None,
        a_case: bool,  # noqa: FBT001 - a row of the table
    ) -> None:
        known = a_reversal(on_record=on_record, last_answer=last_answer, last_asked_at=LAST)

        assert needs_a_person(known, known, outcome, policy=POLICY) is a_case

    @pytest.mark.parametrize(
        ("before", "asked_at"),
        [
            (None, None),
            (LastAnswer.NOT_BELIEVED, LAST),
            (LastAnswer.COULD_NOT_ASK, LAST),
            (LastAnswer.NO_RECORD, LAST - 1 * SECONDS),
        ],
    )
    def test_needs_a_person_where_no_answer_just_before_settlement_said_that_there_is_no_record(
        self, before: LastAnswer | None, asked_at: datetime | None
    ) -> None:
        known = a_reversal(last_answer=before, last_asked_at=asked_at)
        said = a_reversal(last_answer=LastAnswer.NO_RECORD, last_asked_at=SETTLES)

        assert needs_a_person(known, said, ReversalOutcome.SETTLEMENT_PASSED, policy=POLICY)


class TestAReportThatComesLate:
    def test_still_has_attempts_before_settlement(self) -> None:
        late = a_reversal(reported_at=NOON, settles_at=NOON + 4 * MINUTES)

        assert last_attempt_at(late, a_policy()) == NOON + 2 * MINUTES

    def test_after_settlement_has_none(self) -> None:
        late = a_reversal(reported_at=NOON, settles_at=NOON - 1 * SECONDS)

        assert last_attempt_at(late, a_policy()) == NOON - 1 * SECONDS
