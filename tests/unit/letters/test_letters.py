import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from adapters.letters import words_of
from domain.model.mail import Audience, Letter, Topic

CASE = Letter(
    event="evt_case_17_opened",
    topic=Topic.CASE,
    audience=Audience.MERCHANT,
    facts={
        "case": "17",
        "kind": "LATE_PAYMENT",
        "title": "Money came late",
        "actions": "Deliver after all.",
        "merchant": "shop",
        "name": "The Shop",
        "order": "A-1",
        "known": "paid after the end",
        "provider_says": "paid",
        "amount_at_risk": "12.30 EUR",
        "deadline": "2026-03-01 12:00 UTC",
        "where": "GET /v1/cases/17 shows what can be done now.",
    },
)
STATUS = Letter(
    event="evt_5_2",
    topic=Topic.STATUS,
    audience=Audience.MERCHANT,
    facts={
        "merchant": "shop",
        "name": "The Shop",
        "order": "A-1",
        "status": "CANCELED",
        "reason": "cancellation_timeout",
        "canceled_by": "system",
        "amount": "12.30",
        "amount_received": "",
        "currency": "EUR",
    },
)


class Tags(HTMLParser):
    """The tags of a page, with where its links lead, and what a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.seen = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.seen += data


def with_facts(letter: Letter, **facts: str) -> Letter:
    return replace(letter, facts={**letter.facts, **facts})


class TestALetter:
    def test_of_a_case_says_all_that_is_known_twice_over(self) -> None:
        words = words_of(CASE)

        assert words.subject == "[Trueup] Case 17: Money came late, order A-1"
        for fact in CASE.facts.values():
            assert fact in words.text
            assert fact in Tags(words.html).seen

    def test_of_a_change_says_what_it_led_to(self) -> None:
        words = words_of(STATUS)

        assert words.subject == "[Trueup] Order A-1 is CANCELED"
        assert "Reason: cancellation_timeout" in words.text
        assert "Amount: 12.30 EUR" in words.text

    @pytest.mark.parametrize("name", ["order", "provider_says", "amount_at_risk", "deadline", "merchant"])
    def test_is_silent_where_nothing_is_known(self, name: str) -> None:
        words = words_of(with_facts(CASE, **{name: ""}))

        assert not re.search(r"(: $)|(None)", words.text, re.MULTILINE)
        assert "<td></td>" not in words.html

    def test_speaks_as_its_merchant_wants_and_leads_there(self) -> None:
        words = words_of(with_facts(CASE, brand="Der Laden", link="https://shop.example/?o=1&x=2"))

        assert words.subject.startswith("[Der Laden]")
        assert "Trueup" not in words.text + words.html
        assert "https://shop.example/?o=1&x=2" in words.text
        assert Tags(words.html).links == ["https://shop.example/?o=1&x=2"]

    @pytest.mark.parametrize("letter", [CASE, STATUS], ids=lambda letter: str(letter.topic))
    @pytest.mark.parametrize(
        "hostile",
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "$name ${order} $$",
            "a\r\nBcc: thief@evil.example\r\n\r\n<b>",
            "a\nb\x0bc\x85d\u2028e\u2029f\x00g",
            "\u202egnp.exe",
            "{order} {0} %s",
        ],
    )
    def test_takes_nothing_that_is_said_for_more_than_a_word(self, letter: Letter, hostile: str) -> None:
        plain = words_of(with_facts(letter, **dict.fromkeys(letter.facts, "x"), link="x", brand="x"))

        words = words_of(with_facts(letter, **dict.fromkeys(letter.facts, hostile), link=hostile, brand=hostile))

        assert Tags(words.html).tags == Tags(plain.html).tags
        assert len(words.text.splitlines()) == len(plain.text.splitlines())
        assert len(words.html.splitlines()) == len(plain.html.splitlines())
        assert len(words.subject.splitlines()) == 1
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", words.subject + words.text + words.html)

    def test_has_a_subject_of_bounded_length(self) -> None:
        assert len(words_of(with_facts(CASE, order="x" * 5000)).subject) <= 200
