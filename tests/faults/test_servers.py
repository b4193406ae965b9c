"""Servers that die in the middle of the work and come back: a broker empty, a database with what it had committed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.plans import QUICK, leaving, paying, waiting
from tests.faults.servers import Broker, OnItsOwnDatabase, OwnPostgres, OwnRabbitmq, OwnValkey
from tests.faults.stage import Stage
from tests.servers import _rabbitmq_server


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest, home: Path) -> Iterator[Broker]:
    if request.param == "valkey":
        broker: Broker = OwnValkey(home)
    else:
        program = _rabbitmq_server()
        if program is None:
            pytest.skip("rabbitmq-server is not installed on this machine")
        broker = OwnRabbitmq(home, program)
    yield broker
    broker.close()


class TestABrokerKilledInTheMiddle:
    @pytest.fixture
    def broker_url(self, broker: Broker) -> str:
        return broker.url

    def test_costs_no_work_although_it_comes_back_empty(self, stage: Stage, broker: Broker) -> None:
        early, late = [*waiting(10), *leaving(10)], [*paying(5, name="late"), *leaving(5, name="late-leaving")]
        stage.simulator.hold(provider=QUICK, operation="cancel", point="after")
        stage.providers(timeout=4)
        beat, worker = stage.beat(), stage.worker()
        stage.register(early)
        stage.until(lambda: stage.simulator.held() == 10)

        broker.kill()
        stage.simulator.let_go()
        for plan in early:
            if not plan.effects:
                stage.simulator.customer(plan.provider, plan.name, "pays")
        broker.start()
        stage.wait_ended(early)
        stage.register(late)

        stage.judge([*early, *late])
        assert beat.lives
        assert worker.lives


class TestADatabaseStoppedInTheMiddle(OnItsOwnDatabase):
    def test_loses_no_message_and_no_worker(self, stage: Stage, database: OwnPostgres) -> None:
        early, late = [*waiting(10), *leaving(10)], [*paying(5, name="late"), *leaving(5, name="late-leaving")]
        stage.simulator.hold(provider=QUICK, operation="cancel", point="after")
        stage.providers(timeout=4)
        stage.beat()
        worker = stage.worker()
        stage.register(early)
        stage.until(lambda: stage.simulator.held() == 10)
        pool = worker.children()

        database.stop_immediately()
        stage.simulator.let_go()
        for plan in early:
            if not plan.effects:
                stage.simulator.customer(plan.provider, plan.name, "pays")
        stage.simulator.add([plan.payment for plan in late])
        for plan in late:
            stage.send("intake.register_order", **plan.message)
        worker.wait_for("store.away")
        database.start()

        stage.judge([*early, *late])
        assert worker.children() == pool
