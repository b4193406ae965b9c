"""The demo's judge would say so if a timed-out transaction were not undone as it should be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.cli.demo.judge import Evidence
from adapters.cli.demo.looking import FoundReversal
from adapters.cli.demo.plan import DemoOrder
from adapters.cli.demo.reversing import TIMEOUTS
from adapters.cli.demo.scenarios import SCENARIOS
from adapters.cli.demo.timeouts import DemoTimeout
from adapters.cli.demo.undoing import judge_timeouts


class TestTheJudgeOfTimeouts:
    def test_is_content_where_all_went_by_the_scripts(self, timeouts: list[DemoTimeout], undone: Evidence) -> None:
        assert judge_timeouts(timeouts, undone) == []

    @pytest.mark.parametrize(
        ("found", "complaint"),
        [
            (FoundReversal("hotel", "DECLINED", ()), "its reversal ended as DECLINED"),
            (FoundReversal("hotel", "VOIDED", ("REVERSAL_EXHAUSTED",)), "and should have as VOIDED"),
            (FoundReversal("books", "VOIDED", ()), "and should have as VOIDED"),
            (FoundReversal("hotel", None, ()), "its reversal ended as None"),
        ],
    )
    def test_sees_a_reversal_that_ended_otherwise(
        self, timeouts: list[DemoTimeout], undone: Evidence, found: FoundReversal, complaint: str
    ) -> None:
        approved = _payment(timeouts[0])

        off = judge_timeouts(timeouts, replace(undone, reversals={**undone.reversals, approved: found}))

        assert [complaint in one.message for one in off] == [True]

    def test_sees_a_reversal_that_is_missing_and_one_too_many(
        self, timeouts: list[DemoTimeout], undone: Evidence
    ) -> None:
        reversals = dict(undone.reversals)
        reversals["acme", "of-nobody"] = reversals.pop(_payment(timeouts[0]))

        messages = [one.message for one in judge_timeouts(timeouts, replace(undone, reversals=reversals))]

        assert "its reversal was never opened" in messages
        assert "is in no plan, and a reversal of it at acme was opened" in messages

    def test_sees_a_void_that_was_done_twice_or_not_at_all(self, timeouts: list[DemoTimeout], undone: Evidence) -> None:
        done = [entry for entry in undone.ledger if entry["result"] == "done"]
        rest = [entry for entry in undone.ledger if entry["result"] != "done"]

        twice = judge_timeouts(timeouts, replace(undone, ledger=[*undone.ledger, *done]))
        never = judge_timeouts(timeouts, replace(undone, ledger=rest))

        assert [one.message for one in twice] == ["we did ['void', 'void'] there, and should have void"]
        assert [one.message for one in never] == ["we did nothing there, and should have void"]

    def test_sees_a_second_key_for_what_had_no_answer(self, timeouts: list[DemoTimeout], undone: Evidence) -> None:
        void = next(entry for entry in undone.ledger if entry["operation"] == "void")
        lost = {**void, "key": "another", "result": "not_done", "fault": "drop"}
        refused = {**lost, "fault": "refused"}

        off = judge_timeouts(timeouts, replace(undone, ledger=[lost, *undone.ledger]))

        assert [one.message for one in off] == ["was to be voided under several keys: another, one"]
        assert judge_timeouts(timeouts, replace(undone, ledger=[refused, *undone.ledger])) == []

    def test_sees_money_that_is_kept_without_a_case(self, timeouts: list[DemoTimeout], undone: Evidence) -> None:
        settled = _payment(timeouts[1])
        silent = {**undone.reversals, settled: FoundReversal("hotel", "SETTLEMENT_PASSED", ())}

        messages = [one.message for one in judge_timeouts(timeouts, replace(undone, reversals=silent))]

        assert "is paid at its provider, and no case tells a person" in messages

    def test_sees_a_customer_who_pays_twice(self, timeouts: list[DemoTimeout], undone: Evidence) -> None:
        kept = {**undone.ledger[0], "operation": "state", "result": "changed", "status": "authorized"}
        retry = timeouts[0].retry
        assert retry is not None
        paid = {**kept, "reference": retry.reference, "status": "paid"}

        off = judge_timeouts(timeouts, replace(undone, ledger=[*undone.ledger, kept, paid]))

        assert any("the customer pays twice" in one.message for one in off)

    def test_sees_an_end_that_is_told_twice_otherwise_or_not_at_all(
        self, timeouts: list[DemoTimeout], undone: Evidence
    ) -> None:
        first, *others = undone.callbacks

        def complaints(*callbacks: Mapping[str, Any]) -> list[str]:
            return [one.message for one in judge_timeouts(timeouts, replace(undone, callbacks=callbacks))]

        assert complaints(*others) == ["its merchant heard 0 times of the end of its reversal"]
        assert complaints(first, first, *others) == ["its merchant heard 2 times of the end of its reversal"]
        other = {**first, "said": {**first["said"], "outcome": "DECLINED"}}
        assert complaints(other, *others) == ["its merchant heard of outcome DECLINED, and should have of VOIDED"]


@pytest.fixture
def timeouts() -> list[DemoTimeout]:
    """One that is voided while the customer pays by another order, and one that is settled."""
    retried, settled = (_timeout(number, name) for number, name in ((1, "retried"), (2, "settled")))
    another = DemoOrder(
        number=3,
        scenario=SCENARIOS[0],
        merchant="hotel",
        provider="acme",
        currency="EUR",
        amounts={"whole": "12.30"},
        starts_at=0.0,
    )
    return [replace(retried, retry=another), settled]


@pytest.fixture
def undone(timeouts: list[DemoTimeout]) -> Evidence:
    retried, settled = timeouts
    void = {**_of(retried), "operation": "void", "key": "one", "result": "done", "fault": None, "status": "voided"}
    voided = {**_of(retried), "operation": "state", "result": "changed", "status": "voided"}
    paid = {**_of(settled), "operation": "state", "result": "changed", "status": "paid"}
    return Evidence(
        orders={},
        reversals={
            _payment(retried): FoundReversal("hotel", "VOIDED", ()),
            _payment(settled): FoundReversal("hotel", "SETTLEMENT_PASSED", ("SETTLED_UNREVERSED",)),
        },
        ledger=[void, voided, paid],
        callbacks=[_told(timeout) for timeout in timeouts],
        refused_messages=0,
    )


def _timeout(number: int, name: str) -> DemoTimeout:
    return DemoTimeout(
        number=number,
        scenario=next(scenario for scenario in TIMEOUTS if scenario.name == name),
        merchant="hotel",
        provider="acme",
        currency="EUR",
        amounts={"whole": "12.30"},
        starts_at=0.0,
    )


def _payment(timeout: DemoTimeout) -> tuple[str, str]:
    return timeout.provider, timeout.reference


def _of(timeout: DemoTimeout) -> Mapping[str, Any]:
    return {"provider": timeout.provider, "reference": timeout.reference}


def _told(timeout: DemoTimeout) -> Mapping[str, Any]:
    said = {
        **_of(timeout),
        "merchant": "hotel",
        "order": timeout.report(0.0)["order"],
        "outcome": timeout.scenario.expected.outcome,
        "on_record": True,
        "amount": "12.30",
        "currency": "EUR",
    }
    return {"merchant": "hotel", "outcome": "accepted", "type": "reversal.ended", "said": said}
