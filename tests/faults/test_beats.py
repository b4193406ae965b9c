"""Ticks: twice as many, none for a while, none at all."""

from tests.faults.plans import leaving, paying
from tests.faults.stage import Stage


class TestTwoBeats:
    def test_do_nothing_twice(self, stage: Stage) -> None:
        plans = [*paying(10), *leaving(10)]
        stage.beat()
        stage.beat()
        stage.worker()

        stage.register(plans)

        stage.judge(plans)


class TestWithoutABeat:
    def test_work_waits_and_is_done_when_one_comes(self, stage: Stage) -> None:
        plans = [*paying(5, after=0), *leaving(5)]
        stage.worker()
        stage.register(plans)
        stage.wait_registered(plans)
        stage.until(lambda: stage.rows("SELECT count(*) FROM due_work WHERE due_at <= now()") == [(len(plans),)])
        assert set(stage.statuses().values()) == {"NEW"}

        stage.beat()

        stage.judge(plans)
