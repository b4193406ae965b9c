"""How Celery is set up: a value here is one on which the safety of messages stands."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery.app.defaults import NAMESPACES

from adapters import messages
from adapters.queue import MOST_WAITING, QUEUE_OF, Depths
from config.messaging import HINT_QUEUES, QUEUES
from config.settings import Settings, UnusableSettings, load
from domain.model.due_work import Work
from workers.app import App, app, configuration
from workers.schedule import SWEPT, Ticks, entries
from workers.tasks.intake import NAMES

REDIS = "redis://localhost:6379/0"
RABBITMQ = "amqp://localhost//"


def settings(**values: str) -> Settings:
    return load({f"TRUEUP_{name}": value for name, value in {"BROKER_URL": REDIS, **values}.items()})


@pytest.fixture(params=[REDIS, RABBITMQ])
def ours(request: pytest.FixtureRequest) -> App:
    """An application as ours is on this broker."""
    application = App("trueup", set_as_current=False)
    application.conf.update(configuration(settings(BROKER_URL=request.param)))
    return application


@pytest.fixture(autouse=True, scope="module")
def _imported() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEUP_BROKER_URL", REDIS)
        app.loader.import_default_modules()
        yield


class TestTheApplication:
    def test_has_a_task_for_each_message_and_each_queue_that_is_swept(self) -> None:
        tasks = {name for name in app.tasks if not name.startswith("celery.")}

        assert tasks == {*NAMES, "intake.keep_unreadable", *(f"{queue}.drain" for queue in SWEPT)}
        assert set(NAMES) == messages.NAMES

    def test_acknowledges_late_and_keeps_no_results(self, ours: App) -> None:
        conf = ours.conf

        assert conf.task_acks_late
        assert conf.result_backend is None
        assert conf.task_ignore_result
        assert conf.accept_content == ["json"]
        assert not conf.task_create_missing_queues
        assert conf.task_default_exchange_type == "direct"
        assert conf.worker_consumer == "workers.consumer:Consumer"
        assert conf.beat_scheduler == "workers.schedule:Ticks"
        assert conf.worker_prefetch_multiplier == 1
        assert conf.broker_connection_max_retries is None

    def test_knows_every_setting_that_it_is_given(self) -> None:
        known = {
            f"{space}_{name}" if isinstance(entry, dict) else space
            for space, entry in NAMESPACES.items()
            for name in (entry if isinstance(entry, dict) else [""])
        }

        assert set(configuration(settings())) <= known

    def test_reads_queues_of_the_anonymous_exchange_only(self, ours: App) -> None:
        queues = ours.amqp.queues.consume_from

        assert set(queues) == set(QUEUES)
        assert {queue.exchange.name for queue in queues.values()} == {""}
        assert {queue.exchange.type for queue in queues.values()} == {"direct"}

    def test_gives_every_task_limits_and_a_queue(self, ours: App) -> None:
        for name, task in app.tasks.items():
            if not name.startswith("celery."):
                assert 0 < task.soft_time_limit < task.time_limit
                assert ours.amqp.router.route({}, name)["queue"].name == name.partition(".")[0]

    def test_refuses_to_do_anything_later(self, ours: App) -> None:
        for later in ({"countdown": 5}, {"eta": "2030-01-01T00:00:00Z"}):
            with pytest.raises(ValueError, match="is a row"):
                ours.send_task("polling.drain", queue="polling", **later)

    def test_needs_a_broker(self) -> None:
        with pytest.raises(UnusableSettings, match="TRUEUP_BROKER_URL"):
            configuration(load({}))


class TestAnIntakeTask:
    def test_loses_no_message_with_its_worker(self) -> None:
        for name in NAMES:
            task = app.tasks[name]
            assert task.acks_late
            assert not task.acks_on_timeout
            assert task.reject_on_worker_lost
            assert task.retry_on_worker_lost
            assert (task.max_retries, task.default_retry_delay) == (3, 0)
            assert not task.typing


class TestTheSchedule:
    def test_ticks_every_queue_that_is_swept_and_lets_ticks_die(self) -> None:
        for name, entry in entries(2.0).items():
            options: Any = entry["options"]
            assert entry["task"] == name == f"{options['queue']}.drain"
            assert options["expires"] >= 2 * 2.0
            assert options["queue"] in HINT_QUEUES

    def test_skips_a_tick_where_enough_wait(self, monkeypatch: pytest.MonkeyPatch, ours: App) -> None:
        sent: list[str] = []
        waiting = {"polling": 0, "reversals": 1, "notifications": MOST_WAITING - 1, "sweeps": MOST_WAITING}
        waiting["retriggers"] = MOST_WAITING + 1
        monkeypatch.setattr("celery.beat.Scheduler.apply_entry", lambda _self, entry, **_: sent.append(entry.name))
        monkeypatch.setattr(Depths, "__call__", lambda _self, queue: waiting[queue])
        ticks = Ticks(app=ours)

        for entry in ticks.schedule.values():
            ticks.apply_entry(entry)

        assert sorted(sent) == ["notifications.drain", "polling.drain", "reversals.drain"]

    def test_sends_the_tick_where_the_broker_says_nothing(self, monkeypatch: pytest.MonkeyPatch, ours: App) -> None:
        sent: list[str] = []
        monkeypatch.setattr("celery.beat.Scheduler.apply_entry", lambda _self, entry, **_: sent.append(entry.name))
        monkeypatch.setattr(Depths, "__call__", lambda _self, _queue: None)
        ticks = Ticks(app=ours)

        for entry in ticks.schedule.values():
            ticks.apply_entry(entry)

        assert len(sent) == len(SWEPT)

    def test_ends_although_the_first_word_of_it_was_lost(self, ours: App) -> None:
        ticks = Ticks(app=ours)

        ticks.close()  # as Celery's signal handler does, in the middle of anything

        with pytest.raises(SystemExit):
            ticks.tick()
        ticks.close()


class TestAHint:
    def test_has_a_queue_for_every_kind_of_work(self) -> None:
        assert set(QUEUE_OF) == set(Work)
        assert set(QUEUE_OF.values()) <= set(SWEPT)
