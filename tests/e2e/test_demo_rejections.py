"""The demo's judge would say so if a transaction whose bill is checked did not come to its right end."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.cli.demo.judge import Evidence, judge
from adapters.cli.demo.looking import Found, FoundRejection
from adapters.cli.demo.mending import judge_rejections
from adapters.cli.demo.rejections import DemoRejection, known_before, make_rejections

MENDED, GIVEN_UP, PERMANENT, ALLOWED = ("mended_by_master_data", "given_up", "field_unknown", "allowed")


class TestTheJudgeOfRejections:
    def test_is_content_where_all_went_by_the_plan(self, screened: list[DemoRejection], ended: Evidence) -> None:
        assert judge_rejections(screened, ended) == []

    @pytest.mark.parametrize(
        ("name", "found", "complaint"),
        [
            (MENDED, FoundRejection("PENDING", "reprocessable"), "ended as ('PENDING', 'reprocessable')"),
            (MENDED, FoundRejection("REPROCESSED", "reprocessable", "sweep"), "added by a retrigger of sweep"),
            (
                PERMANENT,
                FoundRejection("PERMANENT_FAILED", "reprocessable"),
                "should have as ('PERMANENT_FAILED', 'per",
            ),
            (PERMANENT, None, "ended as None"),
            (ALLOWED, FoundRejection("PENDING", "reprocessable"), "and should have as None"),
        ],
    )
    def test_sees_one_that_ended_otherwise(
        self,
        screened: list[DemoRejection],
        ended: Evidence,
        name: str,
        found: FoundRejection | None,
        complaint: str,
    ) -> None:
        rejections = dict(ended.rejections)
        rejections.pop(_place(screened, name), None)
        if found is not None:
            rejections[_place(screened, name)] = found

        messages = [one.message for one in judge_rejections(screened, replace(ended, rejections=rejections))]

        assert [complaint in message for message in messages] == [True]

    def test_sees_an_order_that_should_never_be_one(self, screened: list[DemoRejection], ended: Evidence) -> None:
        orders = {**ended.orders, _place(screened, PERMANENT): Found("NEW", None, None, 1, ())}

        off = judge_rejections(screened, replace(ended, orders=orders))

        assert [one.message for one in off] == ["is an order, and should never have become one"]

    def test_sees_a_rejection_that_nobody_planned(self, screened: list[DemoRejection], ended: Evidence) -> None:
        rejections = {**ended.rejections, ("kiosk", "of-nobody"): FoundRejection("PENDING", "reprocessable")}

        off = judge_rejections(screened, replace(ended, rejections=rejections))

        assert [(one.subject, one.message) for one in off] == [
            ("of-nobody", "is in no plan, and was rejected for kiosk")
        ]

    def test_sees_an_effect_on_what_is_no_order(self, screened: list[DemoRejection], ended: Evidence) -> None:
        never = next(one for one in screened if one.scenario.name == PERMANENT)
        sent = {"operation": "cancel", "provider": "acme", "reference": never.told.reference}

        off = judge_rejections(screened, replace(ended, ledger=[sent]))

        assert [one.message for one in off] == ["a cancel was sent, and it is no order"]

    def test_sees_what_is_told_too_often_too_late_or_not_at_all(
        self, screened: list[DemoRejection], ended: Evidence
    ) -> None:
        place = _place(screened, MENDED)
        mine = [entry for entry in ended.callbacks if (entry["merchant"], entry["said"]["order"]) == place]
        others = [entry for entry in ended.callbacks if entry not in mine]
        rejected, reprocessed, new = mine

        def complaints(*callbacks: Mapping[str, Any]) -> list[str]:
            told = replace(ended, callbacks=[*others, *callbacks])
            return [one.message for one in judge_rejections(screened, told)]

        both = "['transaction.rejected', 'transaction.reprocessed']"
        assert complaints(rejected, new) == [
            f"its merchant heard of ['transaction.rejected'], and should have of {both}"
        ]
        assert len(complaints(rejected, reprocessed, reprocessed, new)) == 1
        assert complaints(rejected, new, reprocessed) == [
            "its merchant heard of the order before all was told of its rejection"
        ]

    @pytest.mark.parametrize(
        "other", [{"rejection_type": "permanent"}, {"reasons": [{"kind": "stores"}]}, {"bill_number": "B-0"}]
    )
    def test_sees_what_is_told_otherwise(
        self, screened: list[DemoRejection], ended: Evidence, other: Mapping[str, Any]
    ) -> None:
        first, *rest = ended.callbacks
        told = {**first, "said": {**first["said"], **other}}

        off = judge_rejections(screened, replace(ended, callbacks=[told, *rest]))

        assert ["heard that it was rejected as" in one.message for one in off] == [True]

    def test_sees_a_rejection_under_two_names(self, screened: list[DemoRejection], ended: Evidence) -> None:
        first, *rest = ended.callbacks
        told = {**first, "said": {**first["said"], "rejection": "another"}}

        off = judge_rejections(screened, replace(ended, callbacks=[told, *rest]))

        assert [one.message.startswith("its rejection was called") for one in off] == [True]

    def test_wants_what_was_said_of_one_given_up_to_be_refused(
        self, screened: list[DemoRejection], ended: Evidence
    ) -> None:
        given_up = next(one for one in screened if one.scenario.name == GIVEN_UP)

        off = judge([], [], replace(ended, orders={}, callbacks=[]), unregistered=[given_up.told])

        assert {one.message for one in off} == {
            "0 refusals of intake.cancel_order were told, and 1 were due",
            "tailor was not told that intake.cancel_order was refused",
            "0 were kept, and 1 should have been",
        }


class TestWhatIsKnownBefore:
    def test_holds_each_key_once_and_every_transactions_own(self) -> None:
        screened = make_rejections(count=100, seed=7, seconds=20)

        known = known_before(screened)

        keys = [entry["key"] for entry in known["roastery", "transaction_fields"]]
        theirs = [one.told.number for one in screened if one.scenario.name == "option_added"]
        assert len(theirs) > 1
        assert sorted(keys) == [f"grind-{number}" for number in sorted(theirs)]
        assert [entry["key"] for entry in known["kiosk", "stores"]] == ["north"]


@pytest.fixture
def screened() -> list[DemoRejection]:
    """One that is mended, one that is given up, one that nothing mends, one that is allowed."""
    kinds = {one.scenario.name: one for one in make_rejections(count=12, seed=7, seconds=20)}
    return [kinds[name] for name in (MENDED, GIVEN_UP, PERMANENT, ALLOWED)]


@pytest.fixture
def ended(screened: list[DemoRejection]) -> Evidence:
    mended, given_up, permanent, allowed = screened
    paid = Found("PAID", None, None, 2, ())
    return Evidence(
        orders={(one.merchant, one.order): paid for one in (mended, allowed)},
        rejections={
            (mended.merchant, mended.order): FoundRejection("REPROCESSED", "reprocessable", "master_data"),
            (given_up.merchant, given_up.order): FoundRejection("PERMANENT_FAILED", "reprocessable", "merchant:tailor"),
            (permanent.merchant, permanent.order): FoundRejection("PERMANENT_FAILED", "permanent"),
        },
        ledger=[],
        callbacks=[
            *_told(mended, "rejected", "reprocessed"),
            *_told(given_up, "rejected", "failed"),
            *_told(permanent, "rejected"),
            *_told(allowed),
        ],
        refused_messages=0,
    )


def _told(one: DemoRejection, *whats: str) -> Iterator[Mapping[str, Any]]:
    rejected = one.scenario.rejected
    said = {
        "merchant": one.merchant,
        "order": one.order,
        "rejection": str(one.told.number),
        "bill_number": f"B-{one.told.number}",
        "rejection_type": rejected.type if rejected else None,
        "reasons": [{"kind": kind} for kind in rejected.reasons] if rejected else [],
    }
    for what in whats:
        yield {"merchant": one.merchant, "outcome": "accepted", "type": f"transaction.{what}", "said": said}
    if one.scenario.expected is not None:
        yield {"merchant": one.merchant, "outcome": "accepted", "type": "order.status_changed", "said": said}


def _place(screened: list[DemoRejection], name: str) -> tuple[str, str]:
    return next((one.merchant, one.order) for one in screened if one.scenario.name == name)
