"""A broker that loses everything, in the middle of the work."""

from tests.faults.plans import leaving, paying, waiting
from tests.faults.stage import Stage


class TestABrokerEmptiedInTheMiddle:
    def test_loses_no_work_and_takes_messages_again(self, stage: Stage) -> None:
        early, late = [*waiting(10), *leaving(10)], [*paying(5, name="late"), *leaving(5, name="late-leaving")]
        stage.beat()
        stage.worker()
        stage.register(early)
        stage.wait_registered(early)

        stage.empty_broker()
        for plan in early:
            if not plan.effects:
                stage.simulator.customer(plan.provider, plan.name, "pays")
        stage.wait_ended(early)
        stage.register(late)

        stage.judge([*early, *late])

    def test_gets_from_a_producer_what_it_lost_and_nothing_twice(self, stage: Stage) -> None:
        plans = [*paying(10), *leaving(10)]
        stage.beat()
        stage.worker()
        stage.register(plans[::2])
        stage.empty_broker()

        for _ in range(3):
            stage.tell(plans[::2])
        stage.register(plans[1::2])

        stage.judge(plans)
