"""Transactions that timed out, over real HTTP: the simulator misbehaves, and its ledger is the judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters.bootstrap import Application
from adapters.persistence.verify import verify
from config.settings import Settings
from tests.faults.processes import until
from tests.faults.provider import Simulator

PROVIDERS = """
[providers.acme]
adapter = "rest"
base_url = "{url}/acme"
timeout_seconds = 1.0
requests_per_second = 1000
bulk = false
payment_window = {{ fiat = 3600 }}
breaker = {{ failures = 1000, open_seconds = 1 }}
cadence = {{ stages = [[0.2, 100000]], jitter = 0.0 }}
reversals = {{ stages = [[0.2, 100000]] }}
"""
AUTHORIZED: Sequence[Mapping[str, object]] = [{"status": "authorized"}]
ENDED = "SELECT 1 FROM reversals WHERE outcome IS NOT NULL"
IN_AN_HOUR = timedelta(hours=1)
SOON = timedelta(seconds=3)
# A payment of its own for each test: one simulator serves them all.
names = map("pay-{}".format, count())


def on_void(**step: object) -> Sequence[Mapping[str, object]]:
    """A payment that was paid, and what becomes true in the very moment of our first void."""
    return [{"status": "paid"}, {"when": {"operation": "void", "nth": 1, "point": "before"}, **step}]


def first(operation: str, fault: str, **more: object) -> Mapping[str, object]:
    return {"provider": "acme", "operation": operation, "fault": fault, "calls": [1], **more}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is true there, what goes wrong, and what must come of it; `keys` numbers those that our voids carried."""

    outcome: str
    script: Sequence[Mapping[str, object]] | None = field(default_factory=lambda: AUTHORIZED)
    rule: Mapping[str, object] | None = None
    settles: timedelta = IN_AN_HOUR
    done: int = 0
    keys: str = ""
    case: str | None = None


def voided(rule: Mapping[str, object] | None = None, keys: str = "1", **given: Any) -> Run:
    return Run(outcome="VOIDED", rule=rule, done=1, keys=keys, **given)


RUNS: Mapping[str, Run] = {
    "nothing": voided(),
    "nothing, paid": voided(script=[{"status": "paid"}]),
    "slow": voided({"provider": "acme", "operation": "any", "fault": "slow", "seconds": 0.2}),
    "an inquiry is silent": voided(first("inquiry", "silent")),
    "an inquiry is dropped": voided(first("inquiry", "drop")),
    "an inquiry is refused a connection": voided(first("inquiry", "refuse_connection")),
    "an inquiry is cut": voided(first("inquiry", "cut")),
    "an inquiry is garbled": voided(first("inquiry", "garbled")),
    "an inquiry is 500": voided(first("inquiry", "status", code=500)),
    "an inquiry is 429": voided(first("inquiry", "slow_down", retry_after=1)),
    "an inquiry is of another amount": voided(first("inquiry", "nonsense", variant="wrong_amount")),
    "an inquiry is of another payment": voided(first("inquiry", "nonsense", variant="other_reference")),
    "an inquiry has no record": voided(first("inquiry", "no_record")),
    "an inquiry is a new word": voided(first("inquiry", "status_word", word="partially_frozen")),
    "the record is late": voided(script=[*AUTHORIZED, {"after": 0.7, "appears": True}]),
    "a void is silent before": voided(first("void", "silent", point="before")),
    "a void is silent after": voided(first("void", "silent", point="after")),
    "a void is dropped before": voided(first("void", "drop", point="before")),
    "a void is dropped after": voided(first("void", "drop", point="after")),
    "a void is cut": voided(first("void", "cut", point="after")),
    "a void is garbled": voided(first("void", "garbled", point="after")),
    "a void is 503 before": voided(first("void", "status", code=503, point="before")),
    "a void is 503 after": voided(first("void", "status", code=503, point="after")),
    "a void is 429": voided(first("void", "slow_down", retry_after=1, point="before")),
    # In the very status in which it would be tried again: nothing says that it will ever be let through (I3).
    "a void is refused for no reason": Run(
        outcome="SETTLEMENT_PASSED",
        rule=first("void", "refused"),
        settles=SOON,
        keys="1",
        case="SETTLED_UNREVERSED",
    ),
    "a void is refused in other words": voided(first("void", "refused", payment_status="pending"), keys="12"),
    "a void finds it settled": Run(
        outcome="SETTLEMENT_PASSED", script=on_void(settled=True), keys="1", case="SETTLED_UNREVERSED"
    ),
    "a void finds it voided": Run(outcome="VOIDED", script=on_void(status="voided"), keys="1"),
    "a void finds it declined": Run(outcome="DECLINED", script=on_void(status="declined"), keys="1"),
    "it was declined": Run(outcome="DECLINED", script=[{"status": "declined"}]),
    "it was given back": Run(outcome="ALREADY_REVERSED", script=[{"status": "paid"}, {"status": "refunded"}]),
    "it has settled": Run(
        outcome="SETTLEMENT_PASSED", script=[{"status": "paid"}, {"settled": True}], case="SETTLED_UNREVERSED"
    ),
    "it was never there": Run(outcome="SETTLEMENT_PASSED", script=None, settles=SOON),
    "it stays pending": Run(
        outcome="SETTLEMENT_PASSED", script=[{"status": "pending"}], settles=SOON, case="SETTLED_UNREVERSED"
    ),
    "nobody answers until it settles": Run(
        outcome="SETTLEMENT_PASSED",
        rule={"provider": "acme", "operation": "inquiry", "fault": "status", "code": 500},
        settles=SOON,
        case="SETTLED_UNREVERSED",
    ),
    "no void is let through until it settles": Run(
        outcome="SETTLEMENT_PASSED",
        rule={"provider": "acme", "operation": "void", "fault": "drop", "point": "before"},
        settles=SOON,
        keys="1",
        case="SETTLED_UNREVERSED",
    ),
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    simulator.running.end()


@pytest.fixture
def simulator(provider: Simulator) -> Iterator[Simulator]:
    yield provider
    provider.rules()


@pytest.fixture
def application(simulator: Simulator, database_url: str, tmp_path: Path) -> Iterator[Application]:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(url=simulator.url))
    settings = Settings(providers=file, home=tmp_path, wave_seconds=0.05, lease_seconds=5, drain_seconds=1)
    # Nobody listens there: a hint is lost, and nothing with it.
    application = Application(settings, database_url=database_url, broker_url="redis://127.0.0.1:1/0")
    with application.engine.begin() as connection:
        connection.execute(text("INSERT INTO merchants (id, name) VALUES ('shop', 'Shop')"))
    yield application
    application.close()


def report(application: Application, reference: str, settles: timedelta) -> None:
    now = datetime.now(UTC)
    times = {"occurred_at": now - timedelta(minutes=1), "settles_at": now + settles}
    terms = {"provider": "acme", "reference": reference, "amount": "12.30", "currency": "EUR", "response_code": "99"}
    say(application, "report_timeout", **terms, **{name: at.isoformat() for name, at in times.items()})


def say(application: Application, name: str, **fields: object) -> None:
    application.intake(f"intake.{name}", (), {"merchant": "shop", **fields}, trace="t-1")


def rows(application: Application, query: str) -> list[tuple[Any, ...]]:
    with application.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def drained(application: Application, holds: str) -> bool:
    """Do what is due of the inbox, reversals and polls; return whether the query finds something then."""
    application.drain("sweeps")
    application.drain("reversals")
    application.drain("polling")
    return bool(rows(application, holds))


@pytest.fixture
def reference() -> str:
    return next(names)


class TestATimedOutPayment:
    @pytest.mark.parametrize("name", RUNS)
    def test_ends_as_it_is_written_by_the_providers_ledger(
        self, application: Application, simulator: Simulator, reference: str, name: str
    ) -> None:
        run = RUNS[name]
        add(simulator, reference, run)

        report(application, reference, run.settles)
        until(lambda: drained(application, ENDED), lambda: explain(application))

        asked = simulator.effects().get(reference, [])
        assert rows(application, "SELECT outcome FROM reversals") == [(run.outcome,)]
        assert [result for _, result in asked].count("done") == run.done
        assert {key for key, _ in asked} == {f"trueup:reverse:acme:{reference}:{number}" for number in run.keys}
        assert [kind for (kind,) in rows(application, "SELECT kind FROM cases")] == ([run.case] if run.case else [])
        assert verify(application.engine) == []

    @pytest.mark.parametrize("first_known", ["the order", "the timeout"])
    def test_of_an_order_cancels_it_and_spares_the_retry(
        self, application: Application, simulator: Simulator, reference: str, first_known: str
    ) -> None:
        retry = next(names)
        add(simulator, reference, voided(script=[{"status": "paid"}]))
        add(simulator, retry, voided(script=[{"status": "paid"}]))

        if first_known == "the timeout":
            report(application, reference, IN_AN_HOUR)
        register(application, "order-1", reference)
        if first_known == "the order":
            report(application, reference, IN_AN_HOUR)
        register(application, "order-2", retry)
        both = "SELECT 1 FROM orders HAVING count(*) FILTER (WHERE status IN ('CANCELED', 'PAID')) = 2"
        until(lambda: drained(application, both), lambda: explain(application))

        query = "SELECT reference, status, reason, canceled_by FROM orders ORDER BY reference"
        assert rows(application, query) == [
            ("order-1", "CANCELED", "reversed", "system"),
            ("order-2", "PAID", None, None),
        ]
        assert [result for _, result in simulator.effects()[reference]] == ["done"]
        assert retry not in simulator.effects()
        assert verify(application.engine) == []


def add(simulator: Simulator, reference: str, run: Run) -> None:
    """Let the payment come into being as it is written, and misbehavior with it."""
    if run.script is not None:
        payment = {"provider": "acme", "reference": reference, "amount": "12.30", "currency": "EUR"}
        simulator.add([{**payment, "script": list(run.script)}])
    if run.rule is not None:
        simulator.rules(run.rule)


def register(application: Application, order: str, reference: str) -> None:
    terms = {"provider": "acme", "reference": reference, "amount": "12.30", "currency": "EUR"}
    say(application, "register_order", order=order, **terms)


def explain(application: Application) -> object:
    return rows(application, "SELECT asked, answer, decided FROM reversal_attempts ORDER BY id DESC LIMIT 9")
