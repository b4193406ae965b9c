"""Workers that die while they void: the void is done once, under one key, and what came of it is learnt."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.persistence.verify import verify
from tests.faults.plans import AMOUNT, CURRENCY, MERCHANT, QUICK
from tests.faults.processes import CLAIMED, DECIDED, SAVED
from tests.faults.stage import Stage

WANTED = "SELECT 1 FROM reversals WHERE outcome IS NULL"
NAMES = [f"timed-out-{number}" for number in range(5)]


def report(stage: Stage) -> None:
    """Let the payments be authorized, and tell that nobody knows of it; the first pays an order that is known."""
    payment = {"provider": QUICK, "amount": AMOUNT, "currency": CURRENCY}
    stage.simulator.add([{**payment, "reference": name, "script": [{"status": "authorized"}]} for name in NAMES])
    known = {**payment, "order": NAMES[0], "reference": NAMES[0]}
    stage.send("intake.register_order", merchant=MERCHANT, **known)
    now = datetime.now(UTC)
    terms = {
        "response_code": "99",
        "occurred_at": now.isoformat(),
        "settles_at": (now + timedelta(hours=1)).isoformat(),
    }
    for name in NAMES:
        stage.send("intake.report_timeout", merchant=MERCHANT, reference=name, **payment, **terms)


def judge(stage: Stage) -> None:
    """Wait until all are undone; the provider's ledger says that each was voided once, under its only key."""
    query = "SELECT reference, outcome FROM reversals ORDER BY reference"
    stage.until(lambda: stage.rows(query) == [(name, "VOIDED") for name in NAMES])
    stage.until(lambda: stage.statuses() == {NAMES[0]: "CANCELED"})

    effects = stage.simulator.effects()
    assert {name: Counter(result for _, result in asked)["done"] for name, asked in effects.items()} == dict.fromkeys(
        NAMES, 1
    )
    assert {name: {key for key, _ in asked} for name, asked in effects.items()} == {
        name: {f"trueup:reverse:{QUICK}:{name}:1"} for name in NAMES
    }
    assert stage.rows("SELECT reason, canceled_by FROM orders") == [("reversed", "system")]
    assert verify(stage.engine) == []


class TestAWorkerKilledWhileItVoids:
    @pytest.mark.parametrize("point", ["before", "after"])
    def test_leaves_the_rest_to_another(self, stage: Stage, point: str) -> None:
        stage.providers(timeout=4)
        stage.simulator.hold(provider=QUICK, operation="void", point=point)
        taker = stage.worker(queues=("intake", "sweeps"))
        report(stage)
        stage.until(lambda: stage.rows("SELECT 1 FROM orders") and len(stage.rows(WANTED)) == len(NAMES))
        taker.end()
        # All are due before any is asked about: so one claim takes them, and their voids are held together.
        worker = stage.worker()
        stage.beat()
        stage.until(lambda: stage.simulator.held() == len(NAMES))

        worker.kill()
        stage.simulator.let_go()
        stage.worker()

        judge(stage)


class TestAProcessThatDies:
    @pytest.fixture
    def broker_url(self, valkey: str) -> str:
        return valkey

    @pytest.mark.parametrize("point", [CLAIMED, DECIDED, SAVED])
    def test_around_a_void_leaves_what_the_next_can_finish(self, stage: Stage, home: Path, point: str) -> None:
        stage.settings |= {"TEST_DIE_AT": point, "TEST_DIED": str(home / "died")}
        stage.beat()
        stage.worker(app="tests.faults.killer")

        report(stage)

        judge(stage)
        assert (home / "died").exists()
