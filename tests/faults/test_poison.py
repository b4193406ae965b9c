"""What nobody should send, and what nobody survives."""

# mypy: allow-untyped-calls

import uuid

import pytest
import redis
from kombu.connection import Connection

from config.messaging import INTAKE
from tests.faults.plans import leaving, paying, waiting
from tests.faults.stage import Stage

BAD = (
    b"\x00\xff garbage",
    b"[1, 2",
    b"{}",
    b'[["positional"], {}, null]',
    b'[[], {"merchant": "shop", "order": 7}, null]',
)


class TestPoisonBetweenGoodMessages:
    def test_is_kept_and_stands_in_nobodys_way(self, stage: Stage) -> None:
        plans = [*paying(5), *leaving(5)]
        stage.beat()
        worker = stage.worker()

        for plan, poison in zip(plans, BAD * 2, strict=True):
            _send_raw(stage, poison)
            stage.register([plan])

        stage.judge(plans)
        stage.until(lambda: stage.rows("SELECT sum(times) FROM refused_messages") == [(len(plans),)])
        assert worker.lives

    def test_that_is_no_message_at_all_is_kept_too(self, stage: Stage) -> None:
        if not stage.broker_url.startswith("redis"):
            pytest.skip("RabbitMQ carries nothing but messages")
        plans = [*paying(3), *leaving(3)]
        stage.beat()
        worker = stage.worker()

        with redis.Redis.from_url(stage.broker_url) as client:
            for plan in plans:
                client.lpush(INTAKE, b"garbage")
                stage.register([plan])

        stage.judge(plans)
        stage.until(lambda: stage.rows("SELECT sum(times) FROM refused_messages") == [(len(plans),)])
        assert worker.lives


class TestAnOrderThatKillsItsProcess:
    @pytest.fixture
    def broker_url(self, valkey: str) -> str:
        return valkey

    def test_becomes_a_case_while_the_others_go_on(self, stage: Stage) -> None:
        deadly, others = waiting(1, name="deadly"), [*paying(5), *leaving(5)]
        stage.settings |= {"TRUEUP_LEASE_SECONDS": "1", "TRUEUP_DRAIN_SECONDS": "0.5"}
        stage.providers(timeout=0.5)
        stage.beat()
        worker = stage.worker(app="tests.faults.killer")

        stage.register([*deadly, *others])

        stage.wait_ended(others)
        stage.until(lambda: stage.rows("SELECT kind FROM cases"))
        assert stage.rows("SELECT c.kind, o.reference, o.status FROM cases c JOIN orders o ON o.id = c.order_id") == [
            ("STUCK", "deadly-0", "NEW")
        ]
        assert worker.lives
        late = paying(3, after=0, name="late")
        stage.register(late)
        stage.wait_ended(late)


def _send_raw(stage: Stage, body: bytes) -> None:
    """Publish bytes with Celery's headers about them, as a broken producer would."""
    with Connection(stage.broker_url) as connection, connection.Producer() as producer:
        producer.publish(
            body,
            routing_key=INTAKE,
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": "intake.register_order", "id": str(uuid.uuid4())},
        )
