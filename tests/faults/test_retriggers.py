"""Retriggers on real workers: however many run, and whoever dies, a rejected transaction is added once."""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.persistence.verify import verify
from config.messaging import INTAKE, RETRIGGERS, SANITY
from tests.faults.plans import MERCHANT, Plan, waiting
from tests.faults.processes import Running, is_stopped
from tests.faults.servers import OnItsOwnDatabase, OwnPostgres, OwnValkey
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


def hold_in_the_middle(stage: Stage, worker: Running, total: int) -> None:
    """Begin a retrigger of so many, and stop the worker's processes when some of them are added."""
    stage.beat()
    stage.send("sanity.retrigger", merchant=MERCHANT, retrigger="mine")
    stage.until(lambda: bool(stage.rows("SELECT added FROM retriggers WHERE added > 0")))
    for child in worker.children():
        worker.signal(child, signal.SIGSTOP)
    stage.until(lambda: all(map(is_stopped, worker.children())))
    [(so_far,)] = stage.rows("SELECT added FROM retriggers")
    assert 0 < so_far < total


def go_on(worker: Running) -> None:
    for child in worker.children():
        worker.signal(child, signal.SIGCONT)


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


class TestARetriggerWhoseDatabaseIsStoppedInTheMiddle(OnItsOwnDatabase):
    def test_goes_on_by_itself_and_adds_each_once(self, stage: Stage, database: OwnPostgres) -> None:
        (worker,) = workers(stage, 1)
        plans = reject(stage, 6000)
        hold_in_the_middle(stage, worker, len(plans))

        database.stop_immediately()
        go_on(worker)
        # Drains end without a word where the store is away; what producers say meanwhile is told of.
        stage.send("intake.put_master_data", merchant=MERCHANT, kind="stores", entries=[{"key": "north"}])
        worker.wait_for("store.away")
        database.start()
        stage.until(lambda: stage.rows(_DONE) == [(1,)])
        stage.until(lambda: stage.rows("SELECT key FROM master_data ORDER BY key") == [("north",), ("tea",)])

        assert stage.rows("SELECT added, already_added, rejected, failed FROM retriggers") == [(6000, 0, 0, 0)]
        judge(stage, plans)
        assert worker.lives


class TestARetriggerWhoseBrokerIsFrozenInTheMiddle:
    @pytest.fixture
    def broker(self, home: Path) -> Iterator[OwnValkey]:
        broker = OwnValkey(home)
        yield broker
        broker.thaw()
        broker.close()

    @pytest.fixture
    def broker_url(self, broker: OwnValkey) -> str:
        return broker.url

    def test_is_through_when_it_answers_again_and_adds_each_once(self, stage: Stage, broker: OwnValkey) -> None:
        (worker,) = workers(stage, 1)
        plans = reject(stage, 6000)
        hold_in_the_middle(stage, worker, len(plans))

        broker.freeze()
        go_on(worker)
        worker.wait_for("hint.lost")
        broker.thaw()
        stage.until(lambda: stage.rows(_DONE) == [(1,)])

        assert stage.rows("SELECT added, already_added, rejected, failed FROM retriggers") == [(6000, 0, 0, 0)]
        judge(stage, plans)
        assert worker.lives
