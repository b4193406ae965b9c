"""Providers that trouble nobody but themselves."""

from tests.faults.plans import OTHER, leaving, waiting
from tests.faults.stage import Stage


class TestAProviderThatHangs:
    def test_holds_up_no_order_of_another(self, stage: Stage) -> None:
        stuck, free = waiting(10, name="stuck", provider=OTHER), [*waiting(5, name="free"), *leaving(5)]
        stage.simulator.rules({"provider": OTHER, "fault": "silent"})
        stage.beat()
        stage.worker(concurrency=1)
        stage.register(stuck)
        stage.until(lambda: stage.simulator.calls(OTHER) > 0)

        stage.register(free)
        stage.wait_registered(free)
        for plan in [*stuck, *free]:
            if not plan.effects:
                stage.simulator.customer(plan.provider, plan.name, "pays")

        stage.wait_ended(free)
        assert {stage.statuses()[plan.name] for plan in stuck} == {"NEW"}
        stage.simulator.rules()
        stage.judge([*stuck, *free])
