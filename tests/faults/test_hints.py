"""Hints: as many as anybody likes, and none more than one of them does the work."""

from config.messaging import POLLING
from tests.faults.plans import QUICK, leaving, waiting
from tests.faults.stage import Stage


class TestAHintDeliveredFiftyTimesToTwoWorkers:
    def test_asks_about_each_order_once(self, stage: Stage) -> None:
        plans = waiting(20)
        stage.providers(bulk=False, timeout=30)
        stage.simulator.hold(provider=QUICK, operation="inquiry")
        workers = [stage.worker(ready=False), stage.worker(ready=False)]
        for worker in workers:
            worker.wait_for("ready.")
        stage.register(plans)
        stage.wait_registered(plans)
        stage.until(lambda: stage.rows("SELECT count(*) FROM due_work WHERE due_at <= now()") == [(len(plans),)])

        stage.hint(POLLING, times=50)

        stage.until(lambda: stage.depth(POLLING) == 0)
        stage.until(lambda: stage.simulator.held() == len(plans))
        assert stage.simulator.calls(QUICK) == len(plans)
        for plan in plans:
            stage.simulator.customer(plan.provider, plan.name, "pays")
        stage.simulator.let_go()
        stage.beat()
        stage.judge(plans)

    def test_cancels_each_payment_once(self, stage: Stage) -> None:
        plans = leaving(20)
        workers = [stage.worker(ready=False), stage.worker(ready=False)]
        for worker in workers:
            worker.wait_for("ready.")
        stage.register(plans)
        stage.wait_registered(plans)

        def hint_again() -> bool:
            stage.hint(POLLING, times=50)
            return "NEW" not in stage.statuses().values()

        stage.until(hint_again)

        stage.judge(plans)
        asked = stage.simulator.effects()
        assert {plan.name: len(asked[plan.name]) for plan in plans} == {plan.name: 1 for plan in plans}
