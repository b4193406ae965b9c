"""The demo ends well, and its judge would say so if it had not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.cli.demo.closing import CLOSED
from adapters.cli.demo.faults import bad_messages
from adapters.cli.demo.judge import Evidence, judge
from adapters.cli.demo.looking import Found
from adapters.cli.demo.plan import DIGITS, DemoOrder, make_plan
from adapters.cli.demo.rejecting import SCREENED
from adapters.cli.demo.rejections import make_rejections
from adapters.cli.demo.reversing import TIMEOUTS
from adapters.cli.demo.scenario import Timeout
from adapters.cli.demo.scenarios import SCENARIOS
from adapters.cli.demo.timeouts import make_timeouts
from adapters.embedded import status

COMMAND = [sys.executable, "-c", "from adapters.cli.main import main; main()", "demo"]


class TestTheDemo:
    @pytest.mark.timeout(400)
    def test_brings_every_order_to_its_right_end_or_to_a_case(self, tmp_path: Path) -> None:
        ended = subprocess.run(
            [*COMMAND, "--orders", "260", "--json"], env=_environment(tmp_path), capture_output=True, check=False
        )

        report = json.loads(ended.stdout)
        assert (ended.returncode, report["off"], report["breaches"]) == (0, [], []), ended.stderr.decode()
        assert report["right"]
        assert sum(report["ends"].values()) == 260
        assert sum(report["reversals"].values()) == 39
        assert set(report["reversals"]) == {_end_of(timeout) for timeout in TIMEOUTS}
        assert set(report["rejections"]) == {one.rejected.status for one in SCREENED if one.rejected}
        assert set(report["latency"]) == {"acme", "bolt", "coin"}
        assert not (tmp_path / "demo").exists()

    @pytest.mark.timeout(120)
    def test_leaves_nothing_running_when_it_is_interrupted(self, tmp_path: Path) -> None:
        demo = subprocess.Popen(
            [*COMMAND, "--orders", "200"], env=_environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert demo.stdout is not None
        assert b"200 orders and 30 timeouts, 11 rejections" in demo.stdout.readline()
        assert _processes_of(tmp_path)

        demo.send_signal(signal.SIGINT)

        _, complaint = demo.communicate(timeout=60)
        assert (demo.returncode, complaint.decode().splitlines()[-1:]) == (130, ["trueup: demo: stopped"])
        assert status(tmp_path / "demo") is None
        assert not _processes_of(tmp_path)

    def test_refuses_to_run_twice_in_one_home(self, tmp_path: Path) -> None:
        first = subprocess.Popen([*COMMAND, "--orders", "1"], env=_environment(tmp_path), stdout=subprocess.DEVNULL)
        try:
            _wait_for(tmp_path / "demo" / "servers.json")

            second = subprocess.run([*COMMAND, "--orders", "1"], env=_environment(tmp_path), capture_output=True)  # noqa: PLW1510 - its status is what is asked
        finally:
            first.send_signal(signal.SIGINT)
            first.wait(60)

        assert second.returncode == 2
        assert b"another one runs" in second.stderr

    @pytest.mark.parametrize("count", ["0", "none", "1000000"])
    def test_refuses_a_number_of_orders_that_makes_no_sense(self, tmp_path: Path, count: str) -> None:
        ended = subprocess.run([*COMMAND, "--orders", count], env=_environment(tmp_path), capture_output=True)  # noqa: PLW1510 - its status is what is asked

        assert ended.returncode == 2
        assert b"--orders" in ended.stderr


class TestThePlan:
    def test_is_the_same_for_the_same_seed(self) -> None:
        assert make_plan(orders=500, seed=3, seconds=20) == make_plan(orders=500, seed=3, seconds=20)
        assert make_plan(orders=500, seed=3, seconds=20) != make_plan(orders=500, seed=4, seconds=20)

    def test_has_every_scenario_currency_merchant_and_provider(self) -> None:
        plan = make_plan(orders=2000, seed=7, seconds=20)

        assert len(plan) == 2000
        assert {planned.scenario.name for planned in plan} == {scenario.name for scenario in SCENARIOS}
        assert {planned.currency for planned in plan} == {"JPY", "EUR", "KWD", "USDT", "BTC", "ETH"}
        assert len({planned.merchant for planned in plan}) == 5
        assert len({planned.provider for planned in plan}) == 3

    def test_has_every_timeout_and_its_orders(self) -> None:
        plan = make_timeouts(count=300, seed=7, seconds=20)

        assert plan == make_timeouts(count=300, seed=7, seconds=20)
        assert {planned.scenario.name for planned in plan} == {scenario.name for scenario in TIMEOUTS}
        assert {planned.own is not None for planned in plan if planned.scenario.of} == {True}
        assert {planned.retry is not None for planned in plan if planned.scenario.retried} == {True}
        assert {code for planned in plan if (code := planned.report(0.0)["response_code"])} == {
            "99",
            "797",
            "798",
            "799",
        }

    def test_has_every_kind_of_bill_and_nobody_mends_anothers(self) -> None:
        plan = make_rejections(count=120, seed=7, seconds=20)

        assert plan == make_rejections(count=120, seed=7, seconds=20)
        assert {planned.scenario.name for planned in plan} == {screened.name for screened in SCREENED}
        said = [
            str(planned.words(mend, planned.order))
            for planned in plan
            for mend in planned.scenario.mends
            if str(planned.told.number) in str(planned.words(mend, planned.order))
        ]
        assert len(set(said)) == len(said) == sum(len(planned.scenario.mends) for planned in plan)

    def test_names_no_scenario_twice(self) -> None:
        names = Counter(
            [*(kind.name for kind in SCENARIOS), *(kind.name for kind in TIMEOUTS), *(kind.name for kind in SCREENED)]
        )
        assert [name for name, count in names.items() if count > 1] == []

    def test_uses_all_the_digits_of_a_currency(self) -> None:
        for planned in make_plan(orders=300, seed=7, seconds=20):
            _, _, decimals = planned.amounts["whole"].partition(".")
            assert len(decimals) == DIGITS[planned.currency]


class TestTheJudge:
    def test_is_content_with_a_run_that_went_by_its_scripts(self, plan: list[DemoOrder], evidence: Evidence) -> None:
        assert judge(plan, [], evidence) == []

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"status": "PAID"}, "ended as PAID"),
            ({"reason": "checkout_timeout"}, "and should have"),
            ({"canceled_by": "user"}, "and should have"),
            ({"cases": ("CANCEL_IN_DOUBT",)}, "and should have"),
            ({"sequence": 3}, "heard of [1, 2], of 1 to 3"),
        ],
    )
    def test_sees_an_order_that_ended_otherwise(
        self, plan: list[DemoOrder], evidence: Evidence, change: Mapping[str, Any], complaint: str
    ) -> None:
        key = (plan[0].merchant, plan[0].order)
        orders = {**evidence.orders, key: replace(evidence.orders[key], **change)}

        off = judge(plan, [], replace(evidence, orders=orders))

        assert any(complaint in one.message for one in off)

    def test_sees_an_order_that_is_missing_and_one_too_many(self, plan: list[DemoOrder], evidence: Evidence) -> None:
        orders = dict(evidence.orders)
        orders["bakery", "of-nobody"] = orders.pop((plan[0].merchant, plan[0].order))

        messages = [one.message for one in judge(plan, [], replace(evidence, orders=orders))]

        assert "was never registered" in messages
        assert "is in no plan, and bakery has it" in messages

    def test_sees_an_effect_that_was_done_twice_or_not_at_all(self, plan: list[DemoOrder], evidence: Evidence) -> None:
        done = [entry for entry in evidence.ledger if entry["result"] == "done"]
        rest = [entry for entry in evidence.ledger if entry["result"] != "done"]

        twice = judge(plan, [], replace(evidence, ledger=[*evidence.ledger, done[0]]))
        never = judge(plan, [], replace(evidence, ledger=[*rest, *done[1:]]))

        assert [one.message for one in twice] == ["we did ['cancel', 'cancel'] there, and should have cancel"]
        assert [one.message for one in never] == ["we did nothing there, and should have cancel"]

    def test_sees_money_that_nobody_here_knows_of(self, plan: list[DemoOrder], evidence: Evidence) -> None:
        late = {**evidence.ledger[0], "operation": "state", "result": "changed", "status": "paid"}

        off = judge(plan, [], replace(evidence, ledger=[*evidence.ledger, late]))

        assert any("money is lost or made up" in one.message for one in off)

    def test_sees_callbacks_that_are_missing_unordered_or_forged(
        self, plan: list[DemoOrder], evidence: Evidence
    ) -> None:
        first, second, *rest = evidence.callbacks

        missing = judge(plan, [], replace(evidence, callbacks=[first, *rest]))
        unordered = judge(plan, [], replace(evidence, callbacks=[second, first, *rest]))
        forged = judge(plan, [], replace(evidence, callbacks=[*evidence.callbacks, {**first, "outcome": "unverified"}]))

        assert [one.message for one in missing] == ["its merchant heard of [1], of 1 to 2"]
        assert [one.message for one in unordered] == ["its merchant heard of [2, 1], of 1 to 2"]
        assert [one.message for one in forged] == [f"a callback to {first['merchant']} did not verify"]

    def test_sees_a_bad_message_that_nobody_refused(self, plan: list[DemoOrder], evidence: Evidence) -> None:
        off = judge(plan, list(bad_messages(1)), evidence)

        assert [one.message for one in off] == [
            "0 refusals of intake.register_order were told, and 1 were due",
            "0 were kept, and 1 should have been",
        ]


@pytest.fixture
def plan() -> list[DemoOrder]:
    """Two orders that nobody pays in time."""
    never_paid = next(scenario for scenario in CLOSED if scenario.name == "never_paid")
    return [
        DemoOrder(
            number=number,
            scenario=never_paid,
            merchant="hotel",
            provider="acme",
            currency="EUR",
            amounts={"whole": "12.30"},
            starts_at=0.0,
        )
        for number in (1, 2)
    ]


@pytest.fixture
def evidence(plan: list[DemoOrder]) -> Evidence:
    end = Found("CANCELED", "cancellation_timeout", "system", 2, ())
    return Evidence(
        orders={(planned.merchant, planned.order): end for planned in plan},
        ledger=[entry for planned in plan for entry in _ledger(planned)],
        callbacks=[entry for planned in plan for entry in _callbacks(planned)],
        refused_messages=0,
    )


def _ledger(planned: DemoOrder) -> Iterator[Mapping[str, Any]]:
    entry = {"provider": planned.provider, "reference": planned.reference}
    yield {**entry, "operation": "cancel", "result": "done", "status": "canceled"}
    yield {**entry, "operation": "state", "result": "changed", "status": "canceled"}


def _callbacks(planned: DemoOrder) -> Iterator[Mapping[str, Any]]:
    said = {"merchant": planned.merchant, "order": planned.order, "amount": planned.amounts["whole"]}
    new = {"sequence": 1, "previous_status": None, "status": "NEW", "reason": None, "canceled_by": None}
    end = {
        "sequence": 2,
        "previous_status": "NEW",
        "status": "CANCELED",
        "reason": "cancellation_timeout",
        "canceled_by": "system",
    }
    for told in (new, end):
        yield {
            "id": f"evt_{planned.number}_{told['sequence']}",
            "merchant": planned.merchant,
            "outcome": "accepted",
            "type": "order.status_changed",
            "said": {**said, **told},
        }


def _end_of(timeout: Timeout) -> str:
    return " + ".join(part for part in (timeout.expected.outcome, timeout.expected.case) if part)


def _environment(home: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")}
    return {**ours, "TRUEUP_HOME": str(home)}


def _processes_of(home: Path) -> list[str]:
    """Return the command lines of all processes that were told of this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _wait_for(file: Path) -> None:
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
