"""A receiver that misbehaves in every way, while workers and the broker die: it hears everything, and in order."""

# mypy: allow-untyped-calls

import hashlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from standardwebhooks import Webhook

from adapters.administration.acting import Person
from adapters.administration.endpoints import Endpoints
from adapters.persistence import endpoints
from adapters.persistence.verify import verify
from tests.faults.plans import MERCHANT, leaving, paying
from tests.faults.servers import OwnValkey
from tests.faults.stage import Stage
from tests.integration.test_transport import CUT, DROPPED, RESET, SILENCE, Received, Reply, an_answer, serving

SLOW = Reply(b"", "keep")
# What a try may meet, each as often as it stands here.
MOODS = (
    an_answer(200), an_answer(204), an_answer(200), an_answer(204), SLOW, SLOW,
    an_answer(500), an_answer(429, Retry_After="1"), DROPPED, RESET, CUT, SILENCE,
)  # fmt: skip


@dataclass
class Receiver:
    """Answers by a dice that each try of each event throws anew; the one at `gone_at` is told 410."""

    gone_at: int
    signer: Webhook | None = None
    tries: Counter[str] = field(default_factory=Counter)
    taken: list[tuple[str, str]] = field(default_factory=list)  # (order, event), in their order
    gone: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, received: Received) -> Reply:
        assert self.signer is not None
        said = self.signer.verify(received.body, received.headers)["data"]
        with self.lock:
            self.tries[said["event"]] += 1
            if sum(self.tries.values()) == self.gone_at:
                self.gone.set()
                return an_answer(410)
            thrown = hashlib.blake2b(f"{said['event']} {self.tries[said['event']]}".encode(), digest_size=4).digest()
            mood = MOODS[int.from_bytes(thrown) % len(MOODS)]
            if mood is SLOW:
                threading.Event().wait(0.3)
                mood = an_answer(200)
            if mood.wire.startswith(b"HTTP/1.1 20") and mood is not CUT:
                self.taken.append((said["order"], said["event"]))
        return mood


@pytest.fixture
def broker(home: Path) -> Iterator[OwnValkey]:
    broker = OwnValkey(home)
    yield broker
    broker.close()


@pytest.fixture
def broker_url(broker: OwnValkey) -> str:
    return broker.url


def endpoint_at(engine: Engine, url: str) -> int:
    """Make an endpoint that is tried again every second."""
    with engine.begin() as connection:
        return endpoints.add(connection, MERCHANT, url, waits=[1] * 50)[0]


class TestAReceiverThatMisbehaves:
    def test_hears_everything_and_each_order_in_its_order(self, stage: Stage, broker: OwnValkey) -> None:
        plans = [*paying(8), *leaving(8)]
        receiver = Receiver(gone_at=20)
        stage.settings["TRUEUP_CALLBACK_ALLOW_HOSTS"] = "127.0.0.1"
        with serving(receiver) as shop:
            endpoint = endpoint_at(stage.engine, shop.url)
            receiver.signer = Webhook(stage.rows("SELECT secrets[1] FROM endpoints")[0][0])
            stage.beat()
            worker = stage.worker()
            stage.register(plans)
            stage.wait_registered(plans)
            stage.until(lambda: len(receiver.taken) > 3)

            worker.kill()
            broker.kill()
            broker.start()
            stage.worker()
            stage.until(lambda: stage.rows("SELECT 1 FROM endpoints WHERE NOT enabled"))
            assert receiver.gone.is_set()
            assert [row[0] for row in stage.rows("SELECT kind FROM cases")] == ["UNDELIVERABLE"]
            assert verify(stage.engine) == []
            operator = Endpoints(engine=stage.engine, person=Person(actor="operator:test"), allow_hosts=())
            operator.switch(endpoint, on=True)

            stage.wait_ended(plans)
            stage.until(lambda: without_rest(stage) and told(stage) <= {event for _, event in receiver.taken})
            stage.until(lambda: without_rest(stage) and not stage.rows("SELECT 1 FROM due_work WHERE kind = 'deliver'"))

        stage.judge(plans)
        assert heard(receiver) == stories(stage)
        assert max(receiver.tries.values()) > 1


def without_rest(stage: Stage) -> bool:
    """Let no dice make the lane rest for longer than a test waits: each failure of a probe is half a minute."""
    with stage.engine.begin() as connection:
        connection.execute(text("UPDATE lanes SET paused_until = NULL WHERE family = 'endpoint' AND NOT paused"))
    return True


def told(stage: Stage) -> set[str]:
    return {event for (event,) in stage.rows("SELECT event FROM events")}


def stories(stage: Stage) -> dict[str, list[str]]:
    """Return {order: its events as they happened}."""
    found = defaultdict(list)
    for body, event in stage.rows("SELECT convert_from(body, 'UTF8'), event FROM events ORDER BY id"):
        found[json.loads(body)["data"]["order"]].append(event)
    return dict(found)


def heard(receiver: Receiver) -> dict[str, list[str]]:
    """Return {order: its events in the order in which each was first taken}."""
    found: dict[str, list[str]] = defaultdict(list)
    for order, event in receiver.taken:
        if event not in found[order]:
            found[order].append(event)
    return dict(found)
