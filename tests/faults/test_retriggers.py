"""Retriggers on real workers: however many run, and whoever dies, a rejected transaction is added once."""

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from adapters.persistence.verify import verify
from config.messaging import INTAKE, RETRIGGERS, SANITY
from tests.faults.plans import MERCHANT, Plan, waiting
from tests.faults.processes import Running
from tests.faults.stage import Stage

# Nothing polls: what is added here is not what is tried here.
QUEUES = (INTAKE, SANITY, RETRIGGERS)
TEA = {"number": "B-1", "line_items": ["tea"]}
_DONE = "SELECT count(*) FROM retriggers WHERE finished_at IS NOT NULL"


@pytest.fixture(params=["valkey"])
def broker_url(request: pytest.FixtureRequest) -> str:
    # What the broker does is tried elsewhere; here it is the rows' locks.
    return str(request.getfixturevalue(request.param))


def reject(stage: Stage, count: int) -> list[Plan]:
    """Let as many transactions be rejected that a line item of master data would mend."""
    with stage.engine.begin() as connection:
        connection.execute(text("UPDATE merchants SET checks = '{line_items}', sanity_queue = true"))
    plans = waiting(count, name="tea")
    for start in range(0, count, 500):
        orders = [{**plan.message, "bill": TEA} for plan in plans[start : start + 500]]
        stage.send("intake.register_orders", merchant=MERCHANT, orders=orders)
    pending = "SELECT count(*) FROM rejections WHERE status = 'PENDING'"
    stage.until(lambda: stage.rows(pending) == [(count,)])
    stage.send("intake.put_master_data", merchant=MERCHANT, kind="line_items", entries=[{"key": "tea"}])
    stage.until(lambda: stage.rows("SELECT count(*) FROM master_data") == [(1,)])
    return plans


def judge(stage: Stage, plans: Sequence[Plan]) -> None:
    """Assert that each is an order, that it was told once of each, and that every invariant holds."""
    assert stage.statuses() == {plan.name: "NEW" for plan in plans}
    told = stage.rows("SELECT type, count(*) FROM events GROUP BY type")
    assert dict(told) == dict.fromkeys(
        ("transaction.rejected", "transaction.reprocessed", "order.status_changed"), len(plans)
    )
    assert verify(stage.engine) == []


def workers(stage: Stage, count: int) -> list[Running]:
    started = [stage.worker(ready=False, queues=QUEUES) for _ in range(count)]
    for worker in started:
        worker.wait_for("ready.")
    return started


class TestTenRetriggersAtOnceOfTheSameThousandTransactions:
    def test_add_each_of_them_once(self, stage: Stage) -> None:
        workers(stage, 2)
        plans = reject(stage, 1000)

        for number in range(10):
            stage.send("sanity.retrigger", merchant=MERCHANT, retrigger=f"r-{number}")
        stage.beat()
        stage.until(lambda: stage.rows(_DONE) == [(10,)])

        # A retrigger that came late enough finds fewer that are pending; none counts another's.
        [(added, lost)] = stage.rows("SELECT sum(added), sum(total - added - already_added) FROM retriggers")
        assert (added, lost) == (1000, 0)
        judge(stage, plans)


class TestARetriggerWhoseWorkerIsKilled:
    def test_is_taken_up_by_another_and_adds_each_once(self, stage: Stage) -> None:
        (worker,) = workers(stage, 1)
        plans = reject(stage, 4000)
        begun = "SELECT added FROM retriggers WHERE added > 0"
        stage.beat()

        stage.send("sanity.retrigger", merchant=MERCHANT, retrigger="mine")
        stage.until(lambda: bool(stage.rows(begun)))
        worker.kill()
        [(so_far,)] = stage.rows("SELECT added FROM retriggers")
        workers(stage, 1)
        stage.until(lambda: stage.rows(_DONE) == [(1,)])

        assert so_far < len(plans)
        assert stage.rows("SELECT added, already_added, rejected, failed FROM retriggers") == [(4000, 0, 0, 0)]
        judge(stage, plans)
