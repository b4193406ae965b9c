"""What the lists of master data and of rejected transactions may hold."""

from typing import Any

import pytest

from adapters.messages import Parsed, parse
from domain.model.command import MarkFailed, PutMasterData
from domain.model.master_data import Entry, FieldType


def received(name: str, *, trace: str = "trace-1", **message: Any) -> Parsed:
    return parse(name, {"merchant": "shop", **message}, trace=trace, channel="message")


def put(*entries: Any, trace: str = "trace-1", kind: str = "customer_fields") -> Parsed:
    return received("intake.put_master_data", trace=trace, kind=kind, entries=list(entries))


def entries_of(parsed: Parsed) -> tuple[Entry, ...]:
    (accepted,) = parsed.accepted
    assert isinstance(accepted.command, PutMasterData)
    return accepted.command.entries


class TestAnEntryOfMasterData:
    @pytest.mark.parametrize(
        ("entry", "field", "reason"),
        [
            ("tea", "entries[1]", "should be an object"),
            ({}, "entries[1].key", "is required"),
            ({"key": ""}, "entries[1].key", "is empty"),
            ({"key": "x" * 129}, "entries[1].key", "is longer than"),
            ({"key": "a\0"}, "entries[1].key", "NUL"),
            ({"key": "a", "type": "list"}, "entries[1].type", "should be 'enum'"),
            ({"key": "a", "type": "enum", "options": "b"}, "entries[1].options", "should be a list"),
            ({"key": "a", "type": "enum", "options": [5]}, "entries[1].options[0]", "should be a string"),
            ({"key": "a", "type": "enum", "options": [""]}, "entries[1].options[0]", "is empty"),
            ({"key": "a", "type": "enum", "options": ["x" * 257]}, "entries[1].options[0]", "is longer than"),
            ({"key": "a", "type": "enum", "options": ["b"] * 10_001}, "entries[1].options", "entries"),
            ({"key": "a", "type": "number", "options": ["1"]}, "entries[1]", "only an enum has options"),
        ],
    )
    def test_is_refused_with_its_place_and_the_reason(self, entry: Any, field: str, reason: str) -> None:
        parsed = put({"key": "good"}, entry)

        (refused,) = parsed.refused
        (error,) = refused.errors
        assert error.field == field
        assert reason in error.reason

    def test_with_options_alone_is_an_enum(self) -> None:
        assert entries_of(put({"key": "tier", "options": ["gold", "gold", "blue"]})) == (
            Entry(key="tier", type=FieldType.ENUM, options=("gold", "blue")),
        )

    def test_may_be_an_enum_that_has_no_options_yet(self) -> None:
        assert entries_of(put({"key": "tier", "type": "enum"})) == (Entry(key="tier", type=FieldType.ENUM),)


class TestMasterData:
    def test_that_is_said_once_more_later_is_no_repeat(self) -> None:
        first, again = put({"key": "a"}), put({"key": "a"}, trace="trace-2")

        assert first.accepted[0].key != again.accepted[0].key
        assert first.accepted[0].content == again.accepted[0].content

    def test_that_is_delivered_twice_is_one(self) -> None:
        assert put({"key": "a"}) == put({"key": "a"})


class TestTheIdOfARejectedTransaction:
    @pytest.mark.parametrize("wrong", ["x", "", "-1", 0, -5, 1.0, True, None, "1e3", "٣", "9" * 30, [1], 2**63])
    def test_is_refused_if_it_is_none(self, wrong: Any) -> None:
        (refused,) = received("sanity.mark_failed", transactions=["17", wrong]).refused

        assert [(error.field, error.reason) for error in refused.errors] == [
            ("transactions[1]", "is no id of a rejected transaction")
        ]

    def test_is_taken_as_text_and_as_a_number_and_once(self) -> None:
        (accepted,) = received("sanity.mark_failed", transactions=["18", 17, "17"]).accepted

        assert isinstance(accepted.command, MarkFailed)
        assert accepted.command.transactions == (17, 18)


class TestARetrigger:
    def test_is_named_by_its_producer(self) -> None:
        (accepted,) = received("sanity.retrigger", retrigger="r-7").accepted

        assert accepted.key == "r-7"

    def test_of_a_newer_producer_is_understood_as_far_as_it_is_known(self) -> None:
        (newer,) = received("sanity.retrigger", retrigger="r-7", not_yet="known").accepted
        (plain,) = received("sanity.retrigger", retrigger="r-7").accepted

        assert (newer.command, newer.content) == (plain.command, plain.content)

    def test_of_other_transactions_has_other_content(self) -> None:
        one, same, other = (
            received("sanity.retrigger", retrigger="r-7", transactions=ids).accepted[0].content
            for ids in (["1", "2"], [2, 1], ["1"])
        )

        assert one == same != other
