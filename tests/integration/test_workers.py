"""Workers as they run, on both brokers: what reaches the application, and what no message can do to them."""

# mypy: allow-untyped-calls

import base64
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection

from adapters.queue import CeleryHints, Depths, publisher
from config.messaging import INTAKE
from domain.model.due_work import Work
from tests.integration.celery_processes import ORDER, ROOT, Broker, Running, a_worker, start, until
from workers.schedule import SWEPT

pytest_plugins = ("tests.servers",)


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    broker = Broker(request.getfixturevalue(f"{request.param}_url"))
    broker.empty()
    yield broker
    broker.close()


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[Broker]:
    broker = Broker(valkey_url)
    broker.empty()
    yield broker
    broker.close()


@pytest.fixture
def worker(broker: Broker, tmp_path: Path) -> Iterator[Running]:
    yield from a_worker(broker, tmp_path)


@pytest.fixture
def valkey_worker(valkey: Broker, tmp_path: Path) -> Iterator[Running]:
    yield from a_worker(valkey, tmp_path)


class TestAWorker:
    def test_takes_what_a_stock_producer_sends(self, worker: Running) -> None:
        worker.broker.send("intake.register_order", **ORDER)

        (note,) = worker.wait("intake")
        assert (note["name"], note["args"], note["kwargs"]) == ("intake.register_order", [], ORDER)

    def test_opens_its_application_in_children_only_and_closes_it_there(self, worker: Running) -> None:
        assert {note["pid"] for note in worker.notes}.isdisjoint({worker.process.pid})

        assert worker.end() == 0
        assert len(worker.noted("closed")) == 1

    def test_ends_when_what_it_does_is_done(self, worker: Running) -> None:
        worker.broker.send("intake.register_order", order="slow")
        worker.wait("slow")

        begun = time.monotonic()
        assert worker.end() == 0

        assert time.monotonic() - begun < 10
        assert len(worker.noted("intake")) == 1
        assert worker.broker.depth(INTAKE) == 0

    def test_drains_what_it_is_hinted_at(self, worker: Running) -> None:
        hints = CeleryHints(worker.broker.url)

        for work in Work:
            hints.hint(work)
        hints.close()

        notes = worker.wait("drain", len(SWEPT))
        assert {note["queue"] for note in notes} == set(SWEPT)

    def test_keeps_what_no_task_can_take_and_goes_on(self, worker: Running) -> None:
        broker = worker.broker
        broker.send("intake.no_such_task", a=1)
        broker.send("celery.backend_cleanup")
        broker.send_raw(b"[[], {}, {}]", content_type="application/x-python-serialize")
        broker.send_raw(b"not json")
        broker.send_raw(b"[[], 5, {}]")
        broker.send_raw(b"[" * 5000)
        broker.send_raw(b'{"a": 1}')
        broker.send_raw(b"\xff\xfe\x00")
        broker.send_raw(b"[[], {}, {}]", compression="application/x-gzip")
        broker.send_raw(b"[[], {}, {}]", eta="2199-01-01T00:00:00+00:00")
        broker.send_raw(b"[[], {}, {}]", expires="2001-01-01T00:00:00+00:00")
        broker.send("intake.register_order", **ORDER)

        refused = worker.wait("refused", 11)
        worker.wait("intake")
        assert [note["name"] for note in refused].count("intake.register_order") == 9
        bodies = {base64.b64decode(note["body"])[:20] for note in refused}
        assert {b"not json", b"[[], 5, {}]", b"\xff\xfe\x00", b'{"a": 1}'} <= bodies
        whys = " ".join(note["why"] for note in refused)
        for said in ("no_such_task", "backend_cleanup", "python-serialize", "not JSON", "expired", "eta", "decoded"):
            assert said in whys
        until(lambda: broker.depth(INTAKE) == 0, worker)

    def test_hands_on_whatever_fields_a_message_has(self, worker: Running) -> None:
        broker = worker.broker
        broker.send("intake.register_order", "by", "position")
        broker.send("intake.register_order", self="a", task="b", name="c")
        broker.send("intake.register_order", order="x" * 10_000_000)

        notes = worker.wait("intake", 3)
        assert notes[0]["args"] == ["by", "position"]
        assert notes[1]["kwargs"] == {"self": "a", "task": "b", "name": "c"}
        assert notes[2]["kwargs"] > 10_000_000

    def test_obeys_no_orders_about_itself(self, worker: Running) -> None:
        embed = {"callbacks": [{"task": "celery.backend_cleanup"}], "chain": 5, "chord": "x"}
        body = json.dumps([[], ORDER, embed]).encode()
        worker.broker.send_raw(body, timelimit=["x", 0], retries="y", id={"a": 1}, root_id=7)

        (note,) = worker.wait("intake")
        assert note["kwargs"] == ORDER

    def test_keeps_a_message_until_the_store_is_back(self, worker: Running) -> None:
        away = worker.home / "notes.away"
        away.touch()
        worker.broker.send("intake.register_order", **ORDER)
        worker.broker.send("intake.no_such_task", a=1)
        worker.wait("away", 8)  # more than two deliveries of both

        away.unlink()

        worker.wait("intake")
        worker.wait("refused")
        until(lambda: worker.broker.depth(INTAKE) == 0, worker)
        time.sleep(0.5)
        assert len(worker.noted("intake")) == len(worker.noted("refused")) == 1

    def test_keeps_a_message_that_meets_a_bug(self, worker: Running) -> None:
        worker.broker.send("intake.cancel_order", order="bug")

        (note,) = worker.wait("refused")
        assert note["name"] == "intake.cancel_order"
        assert json.loads(base64.b64decode(note["body"])) == [[], {"order": "bug"}]
        assert "ZeroDivisionError" in note["why"]

    def test_keeps_a_message_that_kills_its_children_after_a_few(self, worker: Running) -> None:
        worker.broker.send("intake.register_order", order="kills")

        (note,) = worker.wait("refused")
        assert len(worker.noted("killed")) == 4
        assert note["name"] == "intake.register_order"
        assert json.loads(base64.b64decode(note["body"])) == [[], {"order": "kills"}]
        worker.broker.send("intake.register_order", **ORDER)
        worker.wait("intake")


class TestAWorkerOnQuorumQueues:
    @pytest.fixture
    def quorum_worker(self, rabbitmq_url: str, tmp_path: Path) -> Iterator[Running]:
        broker = Broker(rabbitmq_url)
        broker.empty()
        yield from a_worker(broker, tmp_path, TRUEUP_INTAKE_QUEUE_TYPE="quorum")
        broker.close()

    def test_sets_nothing_aside_however_long_the_store_is_away(self, quorum_worker: Running) -> None:
        away = quorum_worker.home / "notes.away"
        away.touch()
        producer = publisher(quorum_worker.broker.url, intake_queue_type="quorum")
        producer.send_task("intake.register_order", kwargs=ORDER, queue=INTAKE)
        producer.close()
        quorum_worker.wait("away", 3 * 8)  # three tries each; five deliveries are the limit

        away.unlink()

        assert quorum_worker.wait("intake")[0]["kwargs"] == ORDER

    def test_leaves_what_it_held_to_the_next_worker_when_it_is_killed(
        self, quorum_worker: Running, tmp_path: Path
    ) -> None:
        producer = publisher(quorum_worker.broker.url, intake_queue_type="quorum")
        producer.send_task("intake.register_order", kwargs=ORDER | {"order": "hangs"}, queue=INTAKE)
        producer.close()
        quorum_worker.wait("hangs")

        quorum_worker.end(signal.SIGKILL)
        home = tmp_path / "next"
        home.mkdir()
        (home / "notes.awake").touch()
        following = a_worker(quorum_worker.broker, home, TRUEUP_INTAKE_QUEUE_TYPE="quorum")

        assert next(following).wait("intake")[0]["kwargs"]["order"] == "hangs"
        following.close()


class TestAWorkerOnAList:
    def test_keeps_entries_that_are_no_messages(self, valkey_worker: Running) -> None:
        message = {"body": "e30=", "headers": {}, "content-type": "application/json", "content-encoding": "utf-8"}
        place = {"delivery_info": {"exchange": "", "routing_key": INTAKE}, "delivery_tag": "1"}
        entries = [
            b"garbage",
            b"\xff\x00\xfe",
            b"5",
            b"{}",
            json.dumps(message | {"body": "a", "properties": place | {"body_encoding": "base64"}}).encode(),
            json.dumps(message | {"properties": place | {"body_encoding": "rot13"}}).encode(),
            json.dumps(message | {"properties": place | {"delivery_info": None}}).encode(),
            json.dumps(message | {"headers": [1], "properties": place}).encode(),
            json.dumps(message | {"properties": place | {"delivery_tag": {"a": 1}}}).encode(),
        ]
        with redis.Redis.from_url(valkey_worker.broker.url) as client:
            client.publish("/0.celery.pidbox", b"{}")
            for entry in entries:
                client.lpush(INTAKE, entry)

            refused = valkey_worker.wait("refused", len(entries))
            valkey_worker.broker.send("intake.register_order", **ORDER)
            valkey_worker.wait("intake")

            assert [base64.b64decode(note["body"]) for note in refused] == entries
            assert {note["name"] for note in refused} == {INTAKE}
            until(lambda: client.hlen("unacked") == 0, valkey_worker)

    def test_keeps_them_although_the_store_is_away_when_they_come(self, valkey_worker: Running) -> None:
        away = valkey_worker.home / "notes.away"
        away.touch()
        with redis.Redis.from_url(valkey_worker.broker.url) as client:
            client.lpush(INTAKE, b"garbage")
        valkey_worker.wait("away", 4)

        away.unlink()

        (note,) = valkey_worker.wait("refused")
        assert base64.b64decode(note["body"]) == b"garbage"


class TestHints:
    def test_are_few_however_often_they_are_given(self, broker: Broker) -> None:
        hints = [CeleryHints(broker.url) for _ in range(5)]

        for each in hints:
            for _ in range(10):
                each.hint(Work.POLL)

        # A hint is not confirmed, so the next sender may not see it yet.
        assert 3 <= (hints[0].depth("polling") or 0) <= 4
        for each in hints:
            each.close()

    def test_cost_little_and_raise_nothing_while_the_broker_is_away(self) -> None:
        for url in ("redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"):
            hints = CeleryHints(url)

            begun = time.monotonic()
            for _ in range(100):
                hints.hint(Work.POLL)

            assert time.monotonic() - begun < 1
            assert hints.depth("polling") is None
            hints.close()


class Opening(Connection):
    """A connection that counts what is opened on it."""

    opened = 0

    def channel(self) -> object:
        self.opened += 1
        return super().channel()


class TestDepths:
    def test_ask_about_a_queue_that_is_not_there_over_one_channel(self, broker: Broker) -> None:
        with Opening(broker.url) as connection:
            depths = Depths(connection)
            # On Redis an empty queue is not there: so are all of them while workers keep up.
            assert [depths("nobody's") for _ in range(20)] == [0] * 20
            broker.send("intake.register_order", **ORDER)
            while not depths(INTAKE):
                time.sleep(0.05)

            assert connection.opened == 1


class TestAPublisherOfOurs:
    def test_writes_to_the_queues_that_workers_read(self, worker: Running) -> None:
        app = publisher(worker.broker.url)
        app.send_task("intake.register_order", kwargs=ORDER, queue=INTAKE)
        app.close()

        assert worker.wait("intake")[0]["kwargs"] == ORDER


class TestBeat:
    def test_leaves_no_more_than_a_few_ticks_where_nobody_reads(self, broker: Broker, tmp_path: Path) -> None:
        def depths() -> dict[str, int]:
            return {queue: broker.depth(queue) for queue in SWEPT}

        beat = start(broker, tmp_path, "beat", "--pidfile=", TRUEUP_SWEEP_SECONDS="0.1")
        try:
            until(lambda: sum(depths().values()) >= 3 * len(SWEPT), beat)
            time.sleep(1)
            after = depths()
        finally:
            beat.end()

        # Whether one more was on its way when it was counted, a broker does not say.
        assert all(3 <= depth <= 4 for depth in after.values()), after
        assert not list(ROOT.glob("celerybeat-schedule*"))

    def test_has_workers_drain_every_queue(self, worker: Running, tmp_path: Path) -> None:
        home = tmp_path / "beat"
        home.mkdir()
        beat = start(worker.broker, home, "beat", "--pidfile=", TRUEUP_SWEEP_SECONDS="0.2")
        try:
            notes = worker.wait("drain", 4 * len(SWEPT))
        finally:
            beat.end()

        assert {note["queue"] for note in notes} == set(SWEPT)

    def test_and_workers_go_on_when_all_connections_break(self, valkey_worker: Running, tmp_path: Path) -> None:
        home = tmp_path / "beat"
        home.mkdir()
        beat = start(valkey_worker.broker, home, "beat", "--pidfile=", TRUEUP_SWEEP_SECONDS="0.2")
        hints = CeleryHints(valkey_worker.broker.url)
        hints.hint(Work.POLL)
        try:
            valkey_worker.wait("drain", 3)
            with redis.Redis.from_url(valkey_worker.broker.url) as client:
                client.client_kill_filter(_type="normal", skipme=True)
            before = len(valkey_worker.noted("drain"))

            valkey_worker.wait("drain", before + 6)
            valkey_worker.broker.send("intake.register_order", **ORDER)
            valkey_worker.wait("intake")
            hints.hint(Work.POLL)
            assert hints.depth("polling") is not None
        finally:
            beat.end()
            hints.close()
