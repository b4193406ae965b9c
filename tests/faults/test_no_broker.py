"""Nothing needs the broker to stay true."""

from contextlib import closing

import pytest

from adapters.bootstrap import Application, open_application
from config.settings import load
from tests.faults.plans import MERCHANT, leaving, paying
from tests.faults.stage import Stage


@pytest.fixture
def broker_url() -> str:
    """Nobody listens there."""
    return "redis://127.0.0.1:1/0"


class TestWithoutABroker:
    def test_a_loop_of_drains_does_all_the_work(self, stage: Stage) -> None:
        plans = [*paying(5), *leaving(5)]
        stage.simulator.add([plan.payment for plan in plans])

        with closing(open_application(load(stage.settings))) as application:
            orders = {"merchant": MERCHANT, "orders": [plan.message for plan in plans]}
            application.intake("intake.register_orders", (), orders, trace="test", channel="http")
            stage.until(lambda: _ended(application, stage))

        stage.judge(plans)


def _ended(application: Application, stage: Stage) -> bool:
    application.drain()
    return "NEW" not in stage.statuses().values()
