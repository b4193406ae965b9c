"""The race of the design, with everything real: at every step of closing an order its customer pays after all.

The API and the drain are processes, the provider is the simulator, the mail server aiosmtpd, and the merchant's
receiver verifies what it gets. All steps are played in one run, an order for each.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine
from standardwebhooks import Webhook

from adapters.persistence.verify import verify
from tests.faults.processes import Running, until
from tests.faults.provider import Simulator
from tests.integration.http.server import Server
from tests.integration.http.server import serving as serving_http
from tests.integration.mail_server import MailServer
from tests.integration.test_transport import Received, Reply, an_answer
from tests.integration.test_transport import serving as serving_receiver

# Nothing is asked before the deadline, so that the first inquiry is the one of the closing.
PROVIDERS: Final = """
[providers.acme]
base_url = "{url}/acme"
timeout_seconds = 2.0
requests_per_second = 1000
bulk = false
cadence = {{ stages = [[3600, 1]], watch = [[0.3, 100000]], jitter = 0.0 }}
reversals = {{ stages = [[0.3, 100000]] }}
breaker = {{ failures = 1000, open_seconds = 1 }}
"""
QUICK: Final = {
    "TRUEUP_LEASE_SECONDS": "2",
    "TRUEUP_DRAIN_SECONDS": "1",
    "TRUEUP_WAVE_SECONDS": "0.1",
    "TRUEUP_SWEEP_SECONDS": "0.3",
    "TRUEUP_CALLBACK_SECONDS": "5",
    "TRUEUP_MAIL_SECONDS": "5",
    "TRUEUP_CALLBACK_ALLOW_HOSTS": "127.0.0.1",
}


def pays(operation: str, nth: int, point: str) -> Mapping[str, object]:
    """The customer pays in the very moment of our nth call, whatever we have done there by then."""
    when = {"operation": operation, "nth": nth, "point": point}
    return {"when": when, "status": "paid", "even_if_canceled": True}


# One row for each step of the saga: when the customer pays.
STEPS: Final = {
    "as-we-ask": pays("inquiry", 1, "before"),
    "between-ask-and-cancel": pays("inquiry", 1, "after"),
    "as-we-cancel": pays("cancel", 1, "before"),
    "after-a-cancel-that-is-lost": pays("inquiry", 2, "before"),
    "after-the-cancel": pays("cancel", 1, "after"),
    "after-a-cancel-whose-answer-is-lost": pays("cancel", 1, "after"),
    "as-we-confirm": pays("inquiry", 2, "before"),
    "after-the-close": pays("inquiry", 2, "after"),
}
ONCE: Final = Counter(STEPS.keys())
LOST: Final = {"after-a-cancel-that-is-lost": "before", "after-a-cancel-whose-answer-is-lost": "after"}


class Shop:
    """The merchant's receiver: verifies every call, and keeps what it was told of each order, in order."""

    def __init__(self) -> None:
        self.signer: Webhook | None = None
        self.lock = threading.Lock()
        self.told: dict[str, list[Mapping[str, Any]]] = defaultdict(list)

    def __call__(self, received: Received) -> Reply:
        assert self.signer is not None
        said = self.signer.verify(received.body, received.headers)
        with self.lock:
            self.told[said["data"]["order"]].append(said)
        return an_answer(204)

    def statuses(self, order: str) -> list[str]:
        return [said["data"]["status"] for said in self.told[order] if said["type"] == "order.status_changed"]

    def cases(self, order: str) -> list[str]:
        return [said["type"] for said in self.told[order] if said["type"].startswith("case.")]


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path)
    yield simulator
    simulator.running.end()


@pytest.fixture
def server(
    engine: Engine, database_url: str, valkey_url: str, tmp_path: Path, simulator: Simulator, mail_server: MailServer
) -> Iterator[Server]:
    file = tmp_path / "acme.toml"
    file.write_text(PROVIDERS.format(url=simulator.url))
    settings = {**QUICK, "TRUEUP_PROVIDERS": str(file), "TRUEUP_SMTP_URL": mail_server.url}
    with serving_http(engine, database_url, valkey_url, tmp_path / "home", settings) as running:
        yield running


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    shop = Shop()
    with serving_receiver(shop) as endpoint:
        server.do("UPDATE endpoints SET url = %(url)s WHERE merchant = 'shop'", url=endpoint.url)
        [(secret,)] = server.ask("SELECT secrets[1] FROM endpoints WHERE merchant = 'shop'")
        shop.signer = Webhook(secret)
        yield shop


@pytest.fixture
def drain(server: Server, tmp_path: Path) -> Iterator[Running]:
    ours = {name: value for name, value in server.environment.items() if name.startswith("TRUEUP_")}
    command = ["-c", "from adapters.cli.main import main; main()", "drain", "--loop"]
    running = Running.start(command, log=tmp_path / "drain.log", settings=ours)
    yield running
    running.end()


def begin(server: Server, simulator: Simulator) -> None:
    """Register an order for each step, whose customer has two seconds and takes a little longer."""
    simulator.rules(
        *(
            {"provider": "acme", "reference": f"pay-{step}", "operation": "cancel", "fault": "drop"}
            | {"point": point, "calls": [1]}
            for step, point in LOST.items()
        )
    )
    payment = {"provider": "acme", "amount": "100.00", "currency": "EUR"}
    simulator.add([{**payment, "reference": f"pay-{step}", "script": [paying]} for step, paying in STEPS.items()])
    for step in STEPS:
        assert server.register(step, cancellation_timeout=2).status_code == 202


def mailed(mail_server: MailServer) -> Counter[str]:
    """Return how many mails came about each order's case."""
    subjects = [str(taken.message["Subject"]) for taken in mail_server.taken]
    assert all("Money came late" in subject for subject in subjects)
    return Counter(subject.rpartition("order ")[2] for subject in subjects)


class TestACustomerWhoPaysAtTheSecondOfTheTimeout:
    def test_is_seen_at_every_step_told_of_once_and_settled_by_the_merchant(
        self, server: Server, simulator: Simulator, mail_server: MailServer, shop: Shop, drain: Running
    ) -> None:
        def wait(status: str) -> None:
            def holds() -> bool:
                return all(shop.statuses(step)[-1:] == [status] for step in STEPS)

            until(holds, lambda: (server.ask("SELECT reference, status FROM orders"), drain.said()[-4000:]))

        begin(server, simulator)
        wait("UNRESOLVED")
        until(lambda: len(mail_server.taken) >= len(STEPS), lambda: (mailed(mail_server), drain.said()[-4000:]))
        open_cases = server.get("/v1/cases?open=true").json()["items"]
        assert Counter(case["order"] for case in open_cases) == ONCE
        assert {(case["kind"], case["amount_at_risk"]) for case in open_cases} == {("LATE_PAYMENT", "100.00")}

        for step in STEPS:
            answer = server.post(f"/v1/orders/{step}/resolve", {"note": f"delivered after all: {step}"})
            assert (answer.status_code, answer.json()["repeat"]) == (202, False)
        wait("RESOLVED")
        until(lambda: all(shop.cases(step)[1:] for step in STEPS), drain.said)

        assert {step: shop.statuses(step) for step in STEPS} == {
            step: ["NEW", *(["CANCELED"] if step == "after-the-close" else []), "UNRESOLVED", "RESOLVED"]
            for step in STEPS
        }
        assert {step: shop.cases(step) for step in STEPS} == {step: ["case.opened", "case.closed"] for step in STEPS}
        closed = server.get("/v1/cases?open=false").json()["items"]
        assert {case["order"]: case["note"] for case in closed} == {
            step: f"delivered after all: {step}" for step in STEPS
        }
        assert mailed(mail_server) == ONCE
        assert len(mail_server.offered) == len(STEPS)
        assert verify(server.engine) == []
