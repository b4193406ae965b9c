from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.model.case import CaseKind
from domain.model.due_work import Due, Work
from domain.model.mail import (
    Audience,
    CaseNews,
    Correspondent,
    MailAnswer,
    MailDecision,
    MailEnd,
    MailState,
    StatusNews,
)
from domain.rules.mails import CASES, PATIENCE, SCHEDULE, after_try, letters_of_case, letters_of_status
from tests.builders import DAYS, HOURS, MINUTES, NOON, SECONDS, a_cadence, a_mail, a_row

SHOP = Correspondent(merchant="shop", name="The Shop", email="ops@shop.example")
BOTH = {Audience.MERCHANT, Audience.OPERATOR}
TWICE = a_cadence((1 * MINUTES, 1), (5 * MINUTES, 1))
ROW = a_row(Work.MAIL)

# One row for each kind of case: who hears of it.
AUDIENCES = {
    CaseKind.LATE_PAYMENT: {Audience.MERCHANT},
    CaseKind.AMOUNT_MISMATCH: {Audience.MERCHANT},
    CaseKind.REVERSAL_EXHAUSTED: {Audience.MERCHANT},
    CaseKind.SETTLED_UNREVERSED: {Audience.MERCHANT},
    CaseKind.CANCEL_IN_DOUBT: BOTH,
    CaseKind.CONTRADICTION: BOTH,
    CaseKind.POLLING_EXHAUSTED: BOTH,
    CaseKind.UNDELIVERABLE: BOTH,
    CaseKind.STUCK: BOTH,
}


def a_case(**given: Any) -> CaseNews:
    plain: dict[str, Any] = {
        "case": 17,
        "kind": CaseKind.LATE_PAYMENT,
        "merchant": "shop",
        "order_id": 5,
        "order": "A-1",
        "known": "paid after the end",
        "provider_says": "paid",
        "amount_at_risk": "12.30",
        "currency": "EUR",
    }
    return CaseNews(**plain | given)


def a_change(status: str) -> StatusNews:
    facts = {"order": "A-1", "status": status, "reason": None, "sequence": 2}
    return StatusNews(event="evt_5_2", merchant="shop", order_id=5, facts=facts)


class TestACase:
    @pytest.mark.parametrize("kind", CaseKind)
    def test_is_told_to_whom_it_concerns(self, kind: CaseKind) -> None:
        letters = letters_of_case(a_case(kind=kind), SHOP)

        assert {letter.audience for letter in letters} == AUDIENCES[kind]
        assert len(letters) == len(AUDIENCES[kind])
        assert {letter.event for letter in letters} == {"evt_case_17_opened"}

    @pytest.mark.parametrize("kind", CaseKind)
    def test_says_what_can_be_done(self, kind: CaseKind) -> None:
        assert CASES[kind].actions
        assert CASES[kind].title

    @pytest.mark.parametrize("correspondent", [None, replace(SHOP, email=None)])
    def test_of_nobody_with_an_address_is_told_to_the_operator_at_most(
        self, correspondent: Correspondent | None
    ) -> None:
        assert letters_of_case(a_case(), correspondent) == []
        [letter] = letters_of_case(a_case(kind=CaseKind.STUCK), correspondent)
        assert (letter.audience, letter.recipient) == (Audience.OPERATOR, None)

    def test_says_what_is_known_in_words(self) -> None:
        [letter] = letters_of_case(a_case(), SHOP)

        assert letter.facts["amount_at_risk"] == "12.30 EUR"
        assert letter.facts["provider_says"] == "paid"
        assert letter.facts["deadline"] == ""
        assert letter.facts["name"] == "The Shop"

    def test_says_until_when_something_can_be_done(self) -> None:
        [letter] = letters_of_case(a_case(deadline=NOON), SHOP)

        assert letter.facts["deadline"] == "2026-03-02 12:00 UTC"

    def test_says_where_each_reader_can_do_something_about_it(self) -> None:
        to_merchant, to_operator = letters_of_case(a_case(kind=CaseKind.STUCK), SHOP)

        assert "POST /v1/cases/17/close" in to_merchant.facts["where"]
        assert "`trueup cases show 17`" in to_operator.facts["where"]

    @pytest.mark.parametrize(
        ("link", "order", "shown"),
        [
            (None, "A-1", ""),
            ("https://shop.example/desk", "A-1", "https://shop.example/desk"),
            ("https://shop.example/o/{order}", "A-1", "https://shop.example/o/A-1"),
            ("https://shop.example/o/{order}", "../é ?x=1&y", "https://shop.example/o/..%2F%C3%A9%20%3Fx%3D1%26y"),
        ],
    )
    def test_leads_to_where_its_merchant_looks(self, link: str | None, order: str, shown: str) -> None:
        [letter] = letters_of_case(a_case(order=order), replace(SHOP, mail_link=link))

        assert letter.facts["link"] == shown


class TestAChangeOfStatus:
    @pytest.mark.parametrize(
        ("chosen", "status", "told"),
        [
            ((), "PAID", False),
            (("PAID",), "PAID", True),
            (("PAID",), "CANCELED", False),
            (("NEW", "PAID"), "NEW", True),
        ],
    )
    def test_is_told_if_its_merchant_chose_it(self, chosen: tuple[str, ...], status: str, told: bool) -> None:  # noqa: FBT001
        letters = letters_of_status(a_change(status), replace(SHOP, statuses=frozenset(chosen)))

        assert [letter.event for letter in letters] == ["evt_5_2"] * told

    def test_is_told_to_nobody_without_an_address(self) -> None:
        assert letters_of_status(a_change("PAID"), replace(SHOP, email=None, statuses=frozenset({"PAID"}))) == []


def tried(end: MailEnd, *, tries: int = 0, now: timedelta = timedelta(), why: str = "said so") -> MailDecision:
    answer = MailAnswer(end=end, status=None, why=why)
    return after_try(ROW, a_mail(tries=tries), answer, now=NOON + now, schedule=TWICE)


class TestATry:
    @pytest.mark.parametrize(
        ("end", "tries", "state", "counted", "wait"),
        [
            (MailEnd.ACCEPTED, 0, MailState.SENT, 1, None),
            (MailEnd.ACCEPTED, 1, MailState.SENT, 2, None),
            (MailEnd.KEPT, 0, MailState.KEPT, 0, None),
            (MailEnd.REFUSED, 0, MailState.FAILED, 1, None),
            (MailEnd.LATER, 0, MailState.WAITING, 1, 1 * MINUTES),
            (MailEnd.LATER, 1, MailState.WAITING, 2, 5 * MINUTES),
            (MailEnd.LATER, 2, MailState.FAILED, 3, None),
        ],
    )
    def test_leads_on_by_what_the_server_said(
        self, end: MailEnd, tries: int, state: MailState, counted: int, wait: timedelta | None
    ) -> None:
        decision = tried(end, tries=tries)

        assert (decision.state, decision.tries) == (state, counted)
        assert decision.due == (None if wait is None else Due(work=Work.MAIL, at=NOON + wait, step=counted))
        assert (decision.opening is not None) == (state is MailState.FAILED)
        assert (decision.error is None) == (end is MailEnd.ACCEPTED)

    @pytest.mark.parametrize("after", [timedelta(), 1 * HOURS, PATIENCE - 1 * SECONDS])
    def test_that_reached_nobody_is_not_counted_and_soon_made_again(self, after: timedelta) -> None:
        decision = tried(MailEnd.UNREACHED, now=after)

        assert (decision.state, decision.tries) == (MailState.WAITING, 0)
        assert decision.due is not None
        assert 20 * SECONDS < decision.due.at - (NOON + after) < 40 * SECONDS

    def test_that_reached_nobody_for_days_was_the_last(self) -> None:
        decision = tried(MailEnd.UNREACHED, now=PATIENCE, why="nobody listens")

        assert (decision.state, decision.due) == (MailState.FAILED, None)
        assert decision.opening is not None
        assert decision.opening.kind is CaseKind.UNDELIVERABLE
        assert "nobody listens" in decision.opening.known
        assert decision.opening.known.endswith(f"; `trueup mails send-again {decision.mail.id}` sends it once more")
        assert decision.opening.details == {"mail": "7", "recipient": "ops@shop.example"}

    def test_that_was_put_off_is_made_again_for_more_than_two_days(self) -> None:
        waits = [stage.delay for stage in SCHEDULE.stages]

        assert waits == sorted(waits)
        assert 2 * DAYS < sum(waits, timedelta()) < 4 * DAYS
