"""Processes that die between two steps, come back too late, or are asked to end: nothing happens twice."""

import signal
from pathlib import Path

import pytest

from tests.faults.plans import QUICK, leaving, waiting
from tests.faults.processes import CLAIMED, DECIDED, SAVED, is_stopped
from tests.faults.stage import Stage

# All that a save would touch of an order, and of what is due for it.
AS_THEY_ARE = """
SELECT o.*, d.*, (SELECT count(*) FROM timeline t WHERE t.order_id = o.id)
FROM orders o LEFT JOIN due_work d ON d.subject = o.id WHERE o.reference NOT LIKE 'late%' ORDER BY o.id
"""


class TestAProcessThatDies:
    @pytest.fixture
    def broker_url(self, valkey: str) -> str:
        return valkey

    @pytest.mark.parametrize("point", [CLAIMED, DECIDED, SAVED])
    def test_between_two_steps_leaves_what_the_next_can_finish(self, stage: Stage, home: Path, point: str) -> None:
        plans = leaving(10)
        stage.settings |= {"TEST_DIE_AT": point, "TEST_DIED": str(home / "died")}
        stage.beat()
        worker = stage.worker(app="tests.faults.killer")

        stage.register(plans)

        stage.judge(plans)
        assert (home / "died").exists()
        assert worker.lives


class TestAWorkerThatSleptLongerThanItsLease:
    @pytest.fixture
    def broker_url(self, valkey: str) -> str:
        return valkey

    def test_overwrites_nothing_when_it_wakes(self, stage: Stage) -> None:
        paid, left = waiting(10), leaving(10)
        stage.providers(timeout=4)
        stage.simulator.hold(provider=QUICK, operation="cancel", point="after")
        stage.beat()
        sleeper = stage.worker(concurrency=1)
        stage.register([*paid, *left])
        stage.until(lambda: stage.simulator.held() == len(left))
        for pid in [sleeper.process.pid, *sleeper.children()]:
            sleeper.signal(pid, signal.SIGSTOP)
            stage.until(lambda pid=pid: is_stopped(pid))
        stage.simulator.let_go()
        for plan in paid:
            stage.simulator.customer(plan.provider, plan.name, "pays")
        other = stage.worker()
        stage.wait_ended([*paid, *left])
        before = stage.rows(AS_THEY_ARE)

        for pid in [*sleeper.children(), sleeper.process.pid]:
            sleeper.signal(pid, signal.SIGCONT)
        other.kill()
        late = leaving(5, name="late")
        stage.register(late)  # which only the sleeper's one child can do, after it has saved what it holds

        stage.judge([*paid, *left, *late])
        assert stage.rows(AS_THEY_ARE) == before


class TestAWorkerThatIsAskedToEnd:
    def test_learns_first_what_it_has_asked(self, stage: Stage) -> None:
        plans = leaving(10)
        stage.providers(timeout=30)
        stage.simulator.hold(provider=QUICK, operation="cancel", point="after")
        stage.beat()
        worker = stage.worker()
        stage.register(plans)
        stage.until(lambda: stage.simulator.held() == len(plans))

        worker.signal(worker.process.pid, signal.SIGTERM)
        worker.wait_for("Warm shutdown")
        stage.simulator.let_go()
        stage.until(lambda: not worker.lives)
        assert worker.process.returncode == 0
        stage.worker()

        stage.judge(plans)
        asked = stage.simulator.effects()
        assert {plan.name: len(asked[plan.name]) for plan in plans} == {plan.name: 1 for plan in plans}
