from collections.abc import Sequence
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from celery.exceptions import QueueNotFound

from config.messaging import (
    HINT_QUEUES,
    PRODUCER_QUEUES,
    QUEUES,
    ROUTES,
    IntakeQueueType,
    TimeLimits,
    celery_config,
    dead_queue,
    hint_expires,
    read_together,
    task_queues,
    time_limits,
    transport_options,
)
from config.settings import UnusableSettings

REDIS = "redis://cache/0"
RABBIT = "amqp://rabbit//"
BROKERS = ["redis://cache/0", "rediss://cache/0", "redis+socket:///run/v.sock", "amqp://rabbit//", "amqps://rabbit//"]
LIMITS = TimeLimits(soft=95, hard=105)

# Every value here was measured, or read in the source of Celery 5.7 and kombu 5.7.
TABLE = {
    "task_acks_late": True,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_reject_on_worker_lost": False,
    "task_retry_on_worker_lost": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_deduplicate_successful_tasks": False,
    "task_ignore_result": True,
    "result_backend": None,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": False,
    "worker_eta_task_limit": 100,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_create_missing_queues": False,
    "task_default_exchange": "",
    "task_default_exchange_type": "direct",
    "worker_detect_quorum_queues": True,
    "task_send_sent_event": False,
    "worker_send_task_events": False,
    "worker_enable_prefetch_count_reduction": True,
    "broker_heartbeat": 30,
    "control_queue_exclusive": True,
    "event_queue_exclusive": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": 4,
    "broker_pool_limit": 10,
    "broker_pool_acquire_timeout": 5,
    "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_max_tasks_per_child": 5000,
    "worker_max_memory_per_child": 400_000,
    "worker_proc_alive_timeout": 30,
    "worker_pool": "prefork",
    "worker_pool_start_method": "fork",
    "worker_lost_wait": 10,
    "worker_enable_remote_control": True,
    "worker_hijack_root_logger": False,
    "beat_max_loop_interval": 5,
    "beat_cron_starting_deadline": 600,
    "beat_enable_remote_control": True,
    "beat_remote_control_max_tick_age": 30,
}
ARGUMENTS_OF_A_HINT = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 5,
    "x-max-length": 100,
    "x-overflow": "drop-head",
}


def the_queues(broker_url: str, *, intake: IntakeQueueType = "default") -> Any:
    return task_queues(broker_url, intake)


def an_app(broker_url: str = REDIS) -> Any:
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(broker_url=broker_url, limits=LIMITS))
    return app


class TestTheCeleryConfiguration:
    @pytest.mark.parametrize("broker_url", [REDIS, RABBIT])
    @pytest.mark.parametrize("setting", TABLE)
    def test_holds_what_was_measured(self, broker_url: str, setting: str) -> None:
        assert celery_config(broker_url=broker_url, limits=LIMITS)[setting] == TABLE[setting]

    @pytest.mark.parametrize("setting", TABLE)
    def test_is_in_force_in_an_application(self, setting: str) -> None:
        assert an_app().conf[setting] == TABLE[setting]

    def test_names_only_settings_that_celery_knows(self) -> None:
        known = dict(flatten(NAMESPACES))

        assert set(celery_config(broker_url=REDIS, limits=LIMITS)) <= set(known)

    def test_keeps_no_results(self) -> None:
        assert type(an_app().backend).__name__ == "DisabledBackend"

    def test_carries_the_limits_and_ends_by_finishing_what_was_begun(self) -> None:
        config = celery_config(broker_url=REDIS, limits=LIMITS, concurrency=3)

        assert (config["task_soft_time_limit"], config["task_time_limit"]) == (95, 105)
        assert config["worker_soft_shutdown_timeout"] == 0.0
        assert config["worker_concurrency"] == 3

    def test_sets_no_eta_or_countdown_or_annotation_on_tasks(self) -> None:
        config = celery_config(broker_url=REDIS, limits=LIMITS)

        assert not {"task_annotations", "task_default_rate_limit", "task_acks_on_failure_or_timeout"} & set(config)
        assert not any(word in str(route) for word in ("eta", "countdown") for route in ROUTES.values())


class TestAWorker:
    @pytest.mark.parametrize(
        ("queues", "read"),
        [
            (["intake"], ("intake", "sweeps")),
            (["sanity", "polling"], ("sanity", "polling", "retriggers")),
            (["sweeps", "intake"], ("sweeps", "intake")),
            (["intake", "polling", "reversals", "sanity", "notifications"], QUEUES),
        ],
    )
    def test_carries_out_what_it_takes_in(self, queues: list[str], read: Sequence[str]) -> None:
        assert sorted(read_together(queues)) == sorted(read)


class TestTheQueues:
    @pytest.mark.parametrize("broker_url", BROKERS)
    def test_are_direct_ones_of_the_anonymous_exchange(self, broker_url: str) -> None:
        queues = an_app(broker_url).amqp.queues

        assert set(queues) == set(QUEUES)
        for name, queue in queues.items():
            assert (queue.exchange.name, queue.exchange.type, queue.routing_key) == ("", "direct", name)
            assert queue.durable

    @pytest.mark.parametrize("broker_url", ["redis://cache/0", "redis+socket:///run/v.sock"])
    def test_have_no_arguments_on_redis(self, broker_url: str) -> None:
        assert [queue.queue_arguments for queue in the_queues(broker_url)] == [None] * len(QUEUES)

    def test_of_hints_are_short_and_drop_the_oldest_on_rabbitmq(self) -> None:
        hints = [queue for queue in the_queues(RABBIT) if queue.name in HINT_QUEUES]

        assert [queue.queue_arguments for queue in hints] == [ARGUMENTS_OF_A_HINT] * len(HINT_QUEUES)

    def test_of_producers_are_declared_as_a_stock_producer_declares_them(self) -> None:
        stock = Celery(set_as_current=False)

        for queue in the_queues(RABBIT):
            if queue.name in PRODUCER_QUEUES:
                theirs = stock.amqp.queues[queue.name]
                assert queue.queue_arguments == theirs.queue_arguments is None
                assert (queue.durable, queue.auto_delete, queue.exclusive) == (True, False, False)
                assert (theirs.durable, theirs.auto_delete, theirs.exclusive) == (True, False, False)

    def test_of_producers_lose_nothing_where_quorum_is_asked_for(self) -> None:
        intake = [queue for queue in the_queues(RABBIT, intake="quorum") if queue.name in PRODUCER_QUEUES]

        for queue in intake:
            assert queue.queue_arguments["x-queue-type"] == "quorum"
            assert queue.queue_arguments["x-overflow"] == "reject-publish"
            assert queue.queue_arguments["x-dead-letter-routing-key"] == "dead"
            assert queue.queue_arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.queue_arguments["x-delivery-limit"] == 5

    def test_have_one_for_the_dead_only_where_it_is_named(self) -> None:
        dead = dead_queue(RABBIT, "quorum")

        assert dead is not None
        assert dead.name == "dead"
        assert dead_queue(RABBIT) is None
        assert dead_queue(REDIS, "quorum") is None
        assert "dead" not in [queue.name for queue in the_queues(RABBIT, intake="quorum")]


class TestATask:
    @pytest.mark.parametrize(
        ("task", "queue"),
        [
            ("intake.register_order", "intake"),
            ("sanity.retrigger", "sanity"),
            ("polling.poll_due", "polling"),
            ("reversals.reverse_due", "reversals"),
            ("notifications.deliver_due", "notifications"),
            ("sweeps.look_for_due_work", "sweeps"),
        ],
    )
    def test_goes_to_the_queue_that_its_name_begins_with(self, task: str, queue: str) -> None:
        assert an_app().amqp.router.route({}, task)["queue"].name == queue

    @pytest.mark.parametrize("task", ["refunds.refund", "poll_due", "pollingx"])
    def test_is_refused_where_its_name_belongs_to_no_queue(self, task: str) -> None:
        with pytest.raises(QueueNotFound):
            an_app().amqp.router.route({}, task)

    def test_is_refused_on_a_queue_that_is_not_there(self) -> None:
        with pytest.raises(QueueNotFound):
            an_app().amqp.router.route({"queue": "poling"}, "polling.poll_due")


class TestTheTransport:
    def test_of_redis_recovers_soon_and_never_waits_forever(self) -> None:
        assert transport_options(REDIS, limits=LIMITS, role="beat") == {
            "visibility_timeout": 315,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "max_connections": 10,
            "queue_order_strategy": "round_robin",
            "client_name": "beat",
        }

    @pytest.mark.parametrize("broker_url", BROKERS)
    def test_has_no_prefix_that_would_hide_the_queues_from_producers(self, broker_url: str) -> None:
        assert "global_keyprefix" not in transport_options(broker_url, limits=LIMITS)

    def test_of_rabbitmq_confirms_what_is_published(self) -> None:
        assert transport_options("amqps://rabbit//", limits=LIMITS)["confirm_publish"] is True


class TestTheTimeLimits:
    @pytest.mark.parametrize(("lease", "call"), [(30, 60), (2, 1), (600, 120)])
    def test_lie_above_the_longest_lease(self, lease: float, call: float) -> None:
        limits = time_limits(lease_seconds=lease, longest_call_seconds=call)

        assert lease + call < limits.soft < limits.hard
        assert limits.visibility_timeout >= max(300, 3 * limits.hard)

    def test_that_outlast_the_patience_of_rabbitmq_are_refused_by_name(self) -> None:
        with pytest.raises(UnusableSettings, match=r"^TRUEUP_LEASE_SECONDS: .*timeout_seconds.*900"):
            time_limits(lease_seconds=600, longest_call_seconds=600)


class TestAHint:
    @pytest.mark.parametrize("sweep", [0.1, 1, 60, 3600])
    def test_outlives_the_next_sweep_and_soon_expires(self, sweep: float) -> None:
        assert 2 * sweep <= hint_expires(sweep) <= max(30, 3 * sweep)
