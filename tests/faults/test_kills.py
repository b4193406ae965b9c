"""Processes that die in the middle of a batch: while they ask, and after they acted but before they knew."""

from collections.abc import Callable

import pytest

from tests.faults.plans import QUICK, leaving, waiting
from tests.faults.processes import Running
from tests.faults.stage import Stage

Death = Callable[[Running], None]


@pytest.fixture(params=[Running.kill, Running.kill_children], ids=["main", "children"])
def death(request: pytest.FixtureRequest) -> Death:
    """Kill the whole worker, or the processes of its pool only."""
    kill: Death = request.param
    return kill


class TestAWorkerKilledInTheMiddleOfABatch:
    def test_of_polls_leaves_them_to_another(self, stage: Stage, death: Death) -> None:
        plans = waiting(10)
        stage.providers(bulk=False, timeout=4)
        stage.simulator.hold(provider=QUICK, operation="inquiry", point="after")
        stage.beat()
        worker = stage.worker()
        stage.register(plans)
        stage.until(lambda: stage.simulator.held() == len(plans))
        for plan in plans:
            stage.simulator.customer(plan.provider, plan.name, "pays")

        death(worker)
        stage.simulator.let_go()
        _replace(stage, worker)

        stage.judge(plans)

    def test_of_cancels_that_were_done_lets_another_learn_of_it_by_asking(self, stage: Stage, death: Death) -> None:
        plans = leaving(10)
        stage.providers(timeout=4)
        stage.simulator.hold(provider=QUICK, operation="cancel", point="after")
        stage.beat()
        worker = stage.worker()
        stage.register(plans)
        stage.until(lambda: stage.simulator.held() == len(plans))
        assert set(stage.statuses().values()) == {"NEW"}

        death(worker)
        stage.simulator.let_go()
        _replace(stage, worker)

        stage.judge(plans)
        asked = stage.simulator.effects()
        assert all(len(asked[plan.name]) == 1 for plan in plans)

    def test_of_cancels_that_were_not_yet_done_lets_another_do_them(self, stage: Stage, death: Death) -> None:
        plans = leaving(10)
        stage.providers(timeout=4)
        stage.simulator.hold(provider=QUICK, operation="cancel", point="before")
        stage.beat()
        worker = stage.worker()
        stage.register(plans)
        stage.until(lambda: stage.simulator.held() == len(plans))

        death(worker)
        stage.simulator.let_go()
        _replace(stage, worker)

        stage.judge(plans)


def _replace(stage: Stage, worker: Running) -> None:
    """Start another worker where this one is dead; a worker that lost only its children replaces them itself."""
    if not worker.lives:
        stage.worker()
