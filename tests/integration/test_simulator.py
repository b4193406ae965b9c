"""The simulated provider as a raw client sees it: its answers, its faults, and what its ledger says is true."""

import base64
import http.client
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from standardwebhooks import Webhook

SIMULATOR = Path(__file__).parents[2] / "adapters" / "simulator"
README = SIMULATOR / "README.md"
CONTRACT = yaml.safe_load((SIMULATOR / "provider.openapi.yaml").read_text())
OPERATIONS = {
    "get": "/payments/{reference}",
    "query": "/payments/query",
    "cancel": "/payments/{reference}/cancel",
    "void": "/payments/{reference}/void",
}
STATUSES = CONTRACT["components"]["schemas"]["Payment"]["properties"]["status"]["enum"]
PAYS_AT_ONCE = {"status": "paid"}
names = map("provider-{}".format, itertools.count())


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Simulator:
    """A raw client of one provider of a running simulator, and of the controls."""

    port: int
    provider: str = field(default_factory=lambda: next(names))

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, timeout: float = 10
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, reference: str, **more: Any) -> Reply:
        return self.request("GET", f"/{self.provider}/payments/{reference}", **more)

    def query(self, *references: str) -> Reply:
        return self.request("POST", f"/{self.provider}/payments/query", {"references": references})

    def cancel(self, reference: str, key: str = "key", **more: Any) -> Reply:
        return self._act(reference, "cancel", key, **more)

    def void(self, reference: str, key: str = "key", **more: Any) -> Reply:
        return self._act(reference, "void", key, **more)

    def _act(self, reference: str, effect: str, key: str, **more: Any) -> Reply:
        return self.request(
            "POST", f"/{self.provider}/payments/{reference}/{effect}", headers={"Idempotency-Key": key}, **more
        )

    def ask(self, operation: str, reference: str) -> Reply:
        calls: dict[str, Callable[[str], Reply]] = {
            "get": self.get,
            "query": self.query,
            "cancel": self.cancel,
            "void": self.void,
        }
        return calls[operation](reference)

    def control(self, method: str, path: str, body: object = None) -> Any:
        reply = self.request(method, f"/_simulator/{path}", body)
        assert reply.status < 300, reply.body
        return reply.json

    def payment(
        self, reference: str, *script: object, amount: str = "12.30", currency: str = "EUR", **more: Any
    ) -> str:
        self.control("POST", "payments", self.script(reference, *script, amount=amount, currency=currency, **more))
        return reference

    def script(self, reference: str, *script: object, **more: Any) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "reference": reference,
            "amount": "12.30",
            "currency": "EUR",
            "script": script,
            **more,
        }

    def rules(self, *rules: Mapping[str, object], seed: int = 0) -> None:
        mine = [{"provider": self.provider, **rule} for rule in rules]
        self.control("PUT", "rules", {"seed": seed, "rules": mine})

    def barrier(self, action: str, **more: object) -> Any:
        return self.control("POST", "barrier/gate", {"action": action, "provider": self.provider, **more})

    def truth(self, reference: str) -> Any:
        return self.control("GET", f"payments/{reference}?provider={self.provider}")

    def customer(self, reference: str, action: str, **more: object) -> Any:
        return self.control("POST", f"customer/{reference}", {"provider": self.provider, "action": action, **more})

    def ledger(self, after: int = 0) -> Any:
        return self.control("GET", f"ledger?provider={self.provider}&after={after}")

    def results(self, operation: str) -> list[str]:
        return [each["result"] for each in self.ledger()["entries"] if each["operation"] == operation]

    def states(self) -> list[str]:
        return [each["status"] for each in self.ledger()["entries"] if each["operation"] == "state"]


def started(*options: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "adapters.simulator", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("simulator listening on http://127.0.0.1:")
    return process, int(line.rsplit(":", 1)[1])


def stopped(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    return errors


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    process, port = started("--seed", "1")
    yield port
    assert stopped(process) == ""  # whatever it was made to do, it complained of nothing


@pytest.fixture
def simulator(port: int) -> Simulator:
    """A provider without payments; no rules are left from the test before."""
    simulator = Simulator(port)
    simulator.rules()
    return simulator


def until(condition: Callable[[], object], *, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A server that keeps the headers and bodies that are posted to it."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    thread.join()
    server.server_close()


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def is_by_contract(operation: str, reply: Reply) -> None:
    """Validate an answer against the contract, as the contract's own schema has it."""
    [described] = CONTRACT["paths"][OPERATIONS[operation]].values()
    response = described["responses"][str(reply.status)]
    if "$ref" in response:
        response = CONTRACT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = {"components": CONTRACT["components"], **response["content"][reply.headers["Content-Type"]]["schema"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(reply.json)


class TestTheReadMe:
    def test_shows_what_the_simulator_understands(self) -> None:
        examples = re.findall(r"^```json (\w+)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
        process, port = started()
        simulator = Simulator(port)

        replies = [
            simulator.request("PUT" if control == "rules" else "POST", f"/_simulator/{control}", json.loads(example))
            for control, example in examples
        ]

        stopped(process)
        assert [reply.status for reply in replies] == [201, 201, 201, 200]


class TestTheProcess:
    def test_serves_its_contract(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.yaml") as served:
            contract = yaml.safe_load(served.read())

        assert contract == CONTRACT

    def test_leaves_at_once_when_asked_to_even_with_calls_under_way(self) -> None:
        process, port = started()
        simulator = Simulator(port, "default")
        simulator.rules({"fault": "silent"})
        with ThreadPoolExecutor() as pool:
            held = pool.submit(simulator.get, "anything")
            until(lambda: simulator.ledger()["calls"])

            errors = stopped(process)

            assert errors == ""
            assert isinstance(held.exception(), ConnectionError)

    def test_serves_the_default_provider_without_a_prefix(self, port: int) -> None:
        simulator = Simulator(port, "default")
        simulator.payment("unprefixed")

        reply = simulator.request("GET", "/payments/unprefixed")

        assert (reply.status, reply.json["reference"]) == (200, "unprefixed")


class TestAPayment:
    def test_becomes_what_its_script_says_at_the_time_it_says(self, simulator: Simulator) -> None:
        simulator.payment("slow-payer", {"after": 0.3, "status": "pending"}, {"after": 0.4, "status": "paid"})

        first = simulator.get("slow-payer").json["status"]
        until(lambda: simulator.get("slow-payer").json["status"] == "paid")

        created, pending, paid = simulator.ledger()["entries"]
        assert first == "created"
        assert [each["status"] for each in (created, pending, paid)] == ["created", "pending", "paid"]
        assert seconds_between(created["time"], pending["time"]) == pytest.approx(0.3, abs=0.001)
        assert seconds_between(created["time"], paid["time"]) == pytest.approx(0.4, abs=0.001)
        assert simulator.get("slow-payer").json["paid_at"] == paid["time"]

    def test_is_paid_in_full_unless_said_otherwise(self, simulator: Simulator) -> None:
        simulator.payment("in-full", PAYS_AT_ONCE)
        simulator.payment("too-little", {"status": "paid", "amount_received": "10.00"})

        assert simulator.get("in-full").json["amount_received"] == "12.30"
        assert simulator.get("too-little").json["amount_received"] == "10.00"

    @pytest.mark.parametrize("status", STATUSES)
    def test_is_spoken_of_by_the_contract_in_every_status(self, simulator: Simulator, status: str) -> None:
        attempts = [{"id": "1", "state": "failed", "reason": "no funds"}, {"id": "2", "state": "pending"}]
        simulator.payment("any", {"status": status, "attempts": attempts}, network="bitcoin", kind="crypto")

        for operation in OPERATIONS:
            is_by_contract(operation, simulator.ask(operation, "any"))
        assert simulator.get("any").json["status"] in {status, "canceled", "voided"}

    def test_fails_and_then_succeeds_in_another_attempt(self, simulator: Simulator) -> None:
        failed, succeeded = {"id": "1", "state": "failed", "reason": "no funds"}, {"id": "2", "state": "success"}
        simulator.payment(
            "second-try", {"status": "attempted", "attempt": failed}, {"status": "paid", "attempt": succeeded}
        )

        attempts = simulator.get("second-try").json["attempts"]

        assert [(each["id"], each["state"]) for each in attempts] == [("1", "failed"), ("2", "success")]
        assert simulator.states() == ["created", "attempted", "paid"]

    def test_is_confirmed_block_by_block(self, simulator: Simulator) -> None:
        blocks = {"every": 0.1, "count": 3, "status_at": 2}
        seen_when_asked = {"when": {"operation": "get"}, "confirm": blocks}
        simulator.payment("on-chain", seen_when_asked, amount="0.00150000", currency="BTC", network="bitcoin")

        seen = simulator.get("on-chain")
        until(lambda: simulator.get("on-chain").json["confirmations"] == 3)

        confirmed = simulator.get("on-chain")
        is_by_contract("get", seen)
        is_by_contract("get", confirmed)
        assert (seen.json["status"], seen.json["confirmations"]) == ("pending", 0)
        assert confirmed.json["paid_at"] == seen.json["paid_at"]
        assert simulator.states() == ["created", "pending", "pending", "paid", "paid"]

    def test_appears_late(self, simulator: Simulator) -> None:
        simulator.payment(
            "late", PAYS_AT_ONCE, {"when": {"operation": "query", "point": "after"}, "after": 0.1, "appears": True}
        )

        before, cancel, query = simulator.get("late"), simulator.cancel("late"), simulator.query("late")
        until(lambda: simulator.get("late").status == 200)

        assert (before.status, cancel.status) == (404, 404)
        assert before.headers["Content-Type"] == "application/problem+json"
        assert query.json == {"payments": [], "missing": ["late"]}
        assert simulator.get("late").json["status"] == "paid"
        assert simulator.results("cancel") == ["no_record"]

    def test_is_said_to_be_what_it_is_not_for_a_while(self, simulator: Simulator) -> None:
        regression = {"seconds": 0.3, "status": "pending", "amount_received": None}
        simulator.payment("wavering", PAYS_AT_ONCE, {"when": {"operation": "get"}, "report": regression})

        said, truth = simulator.get("wavering").json, simulator.truth("wavering")
        until(lambda: simulator.get("wavering").json["status"] == "paid")

        assert said["status"] == "pending"
        assert "amount_received" not in said
        assert (truth["status"], truth["amount_received"]) == ("paid", "12.30")
        assert simulator.states() == ["created", "paid"]

    def test_is_refunded(self, simulator: Simulator) -> None:
        simulator.payment("back", {"status": "paid", "settled": True}, {"status": "refunded"})

        record = simulator.get("back").json

        assert (record["status"], record["amount_refunded"], record["settled"]) == ("refunded", "12.30", True)

    def test_may_have_any_characters_in_its_reference(self, simulator: Simulator) -> None:
        simulator.payment("a/b c?")

        assert simulator.get("a%2Fb%20c%3F").json["reference"] == "a/b c?"

    def test_is_ordered_in_thousands(self, simulator: Simulator) -> None:
        scripts = [simulator.script(f"p{number}", PAYS_AT_ONCE) for number in range(10_000)]

        simulator.control("POST", "payments", scripts)

        assert simulator.get("p9999").json["status"] == "paid"
        assert len(simulator.ledger()["entries"]) == 20_000

    @pytest.mark.parametrize(
        "typo",
        [
            {"script": [{"afterwards": 1}]},
            {"script": [{"status": "payed"}]},
            {"amount": "12,30"},
            {"reference": ""},
            {"script": [{"confirm": {"every": 1, "count": 2, "status_at": 3}}]},
        ],
    )
    def test_is_refused_if_its_script_is_not_understood(self, simulator: Simulator, typo: dict[str, object]) -> None:
        reply = simulator.request("POST", "/_simulator/payments", {**simulator.script("odd"), **typo})

        assert reply.status == 400

    def test_is_refused_if_its_reference_is_taken(self, simulator: Simulator) -> None:
        simulator.payment("taken")

        reply = simulator.request("POST", "/_simulator/payments", [simulator.script("new"), simulator.script("taken")])

        assert reply.status == 409
        assert simulator.get("new").status == 404


class TestAQuery:
    def test_answers_for_each_reference(self, simulator: Simulator) -> None:
        simulator.payment("here")

        reply = simulator.query("here", "nowhere")

        is_by_contract("query", reply)
        assert [each["reference"] for each in reply.json["payments"]] == ["here"]
        assert reply.json["missing"] == ["nowhere"]

    @pytest.mark.parametrize("count", [0, 101])
    def test_is_of_1_to_100_references(self, simulator: Simulator, count: int) -> None:
        assert simulator.query(*map(str, range(count))).status == 400

    @pytest.mark.parametrize("code", [404, 405])
    def test_is_not_offered_by_every_provider(self, simulator: Simulator, code: int) -> None:
        simulator.rules({"operation": "query", "fault": "status", "code": code})

        reply = simulator.query("any")

        assert (reply.status, reply.headers["Content-Type"]) == (code, "text/plain")

    def test_is_disturbed_record_by_record(self, simulator: Simulator) -> None:
        for reference in ("sound", "skipped", "denied", "odd", "foreign"):
            simulator.payment(reference)
        simulator.rules(
            {"reference": "skipped", "fault": "unanswered"},
            {"reference": "denied", "fault": "no_record"},
            {"reference": "odd", "fault": "status_word", "word": "mystery"},
            {"reference": "foreign", "fault": "nonsense", "variant": "wrong_currency"},
        )

        reply = simulator.query("sound", "skipped", "denied", "odd", "foreign").json

        assert [(each["reference"], each["status"], each["currency"]) for each in reply["payments"]] == [
            ("sound", "created", "EUR"),
            ("odd", "mystery", "EUR"),
            ("foreign", "created", "XTS"),
        ]
        assert reply["missing"] == ["denied"]


class TestAnEffect:
    @pytest.mark.parametrize(
        ("effect", "status", "answer"),
        [
            ("cancel", "created", 200),
            ("cancel", "pending", 200),
            ("cancel", "attempted", 200),
            ("cancel", "canceled", 200),
            ("cancel", "authorized", 409),
            ("cancel", "paid", 409),
            ("cancel", "expired", 409),
            ("void", "authorized", 200),
            ("void", "paid", 200),
            ("void", "voided", 200),
            ("void", "pending", 409),
            ("void", "canceled", 409),
        ],
    )
    def test_is_allowed_by_the_state(self, simulator: Simulator, effect: str, status: str, answer: int) -> None:
        simulator.payment("any", {"status": status})

        reply = simulator.ask(effect, "any")

        is_by_contract(effect, reply)
        assert reply.status == answer
        assert answer == 200 or reply.json["payment_status"] == status

    def test_is_too_late_once_the_payment_has_settled(self, simulator: Simulator) -> None:
        simulator.payment("settled", {"status": "paid", "settled": True})

        assert simulator.void("settled").status == 409
        assert simulator.results("void") == ["refused:paid"]

    def test_happens_once_for_a_key(self, simulator: Simulator) -> None:
        simulator.payment("once")

        first = simulator.cancel("once", "the-key")
        simulator.customer("once", "pays", even_if_canceled=True)
        second = simulator.cancel("once", "the-key")
        another = simulator.cancel("once", "another-key")

        assert second.body == first.body
        assert (first.status, another.status) == (200, 409)
        assert simulator.results("cancel") == ["done", "replayed", "refused:paid"]
        assert simulator.truth("once")["effects"] == [
            {"operation": "cancel", "key": "the-key", "answered": 200},
            {"operation": "cancel", "key": "another-key", "answered": 409},
        ]

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_needs_a_key(self, simulator: Simulator, key: str) -> None:
        simulator.payment("keyless")

        assert simulator.cancel("keyless", key).status == 400
        assert simulator.truth("keyless")["status"] == "created"

    def test_needs_a_record(self, simulator: Simulator) -> None:
        reply = simulator.void("nowhere")

        is_by_contract("void", reply)
        assert reply.status == 404
        assert simulator.results("void") == ["no_record"]

    def test_is_answered_the_same_under_its_key_though_the_payment_has_appeared(self, simulator: Simulator) -> None:
        first = simulator.cancel("later", "the-key")
        simulator.payment("later")

        again, another = simulator.cancel("later", "the-key"), simulator.cancel("later", "another-key")

        assert (first.status, again.status, another.status) == (404, 404, 200)
        assert again.body == first.body
        assert simulator.results("cancel") == ["no_record", "replayed", "done"]

    def test_ends_what_the_customer_would_still_have_done(self, simulator: Simulator) -> None:
        simulator.payment("closed", {"when": {"operation": "get"}, "status": "paid"})

        simulator.cancel("closed")

        assert simulator.get("closed").json["status"] == "canceled"
        assert simulator.states() == ["created", "canceled"]

    def test_does_not_keep_late_money_away(self, simulator: Simulator) -> None:
        simulator.payment("late", {"when": {"operation": "get"}, "status": "paid", "even_if_canceled": True})

        simulator.cancel("late")

        assert simulator.get("late").json["status"] == "paid"
        assert simulator.states() == ["created", "canceled", "paid"]


class TestACustomer:
    @pytest.mark.parametrize(
        ("action", "status"),
        [("starts", "pending"), ("pays", "paid"), ("declines", "declined"), ("cancels", "canceled")],
    )
    def test_acts_now(self, simulator: Simulator, action: str, status: str) -> None:
        simulator.payment("attended")

        simulator.customer("attended", action, attempt="7")

        record = simulator.get("attended").json
        assert record["status"] == status
        assert [each["id"] for each in record["attempts"]] == ["7"]

    def test_cannot_pay_what_is_closed(self, simulator: Simulator) -> None:
        simulator.payment("closed")
        simulator.cancel("closed")

        reply = simulator.request(
            "POST", "/_simulator/customer/closed", {"provider": simulator.provider, "action": "pays"}
        )

        assert (reply.status, reply.json["payment_status"]) == (409, "canceled")

    def test_pays_just_before_our_cancel(self, simulator: Simulator) -> None:
        when = {"operation": "cancel", "point": "before"}
        simulator.payment("quick", {"when": when, "status": "paid", "amount_received": "12.00"})

        reply = simulator.cancel("quick")

        assert (reply.status, reply.json["payment_status"]) == (409, "paid")
        assert simulator.truth("quick")["amount_received"] == "12.00"

    def test_pays_just_after_our_cancel(self, simulator: Simulator) -> None:
        simulator.payment("slow", {"when": {"operation": "cancel", "point": "after"}, "status": "paid"})

        reply = simulator.cancel("slow")

        assert (reply.status, reply.json["status"]) == (200, "canceled")
        assert simulator.get("slow").json["status"] == "paid"
        assert simulator.states() == ["created", "canceled", "paid"]

    def test_pays_after_we_have_asked_twice(self, simulator: Simulator) -> None:
        when = {"operation": "inquiry", "nth": 2, "point": "after"}
        simulator.payment("asked", {"when": when, "status": "paid"})

        said = [simulator.get("asked").json["status"] for _ in range(2)]
        query = simulator.query("asked").json["payments"][0]["status"]

        assert [*said, query] == ["created", "created", "paid"]


class TestAFault:
    @pytest.fixture(autouse=True)
    def payment(self, simulator: Simulator) -> None:
        simulator.payment("any")

    def test_may_be_slowness(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "slow", "seconds": 0.1}, {"fault": "slow", "seconds": 0.1, "point": "after"})

        since = time.monotonic()
        reply = simulator.get("any")

        assert time.monotonic() - since >= 0.2
        assert reply.status == 200

    @pytest.mark.parametrize(("point", "status"), [("before", "created"), ("after", "canceled")])
    def test_may_be_silence(self, simulator: Simulator, point: str, status: str) -> None:
        simulator.rules({"fault": "silent", "point": point})

        with pytest.raises(TimeoutError):
            simulator.cancel("any", timeout=0.1)

        assert simulator.truth("any")["status"] == status

    def test_may_be_silence_that_ends_with_a_reset(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "silent", "seconds": 0.1})

        with pytest.raises(ConnectionError):
            simulator.get("any")

    @pytest.mark.parametrize(
        ("fault", "point", "status"),
        [
            ("drop", "before", "created"),
            ("drop", "after", "canceled"),
            ("refuse_connection", "before", "created"),
            ("refuse_connection", "after", "created"),
        ],
    )
    def test_may_be_a_lost_connection(self, simulator: Simulator, fault: str, point: str, status: str) -> None:
        simulator.rules({"fault": fault, "point": point})

        with pytest.raises(ConnectionError):
            simulator.cancel("any")

        [entry] = [each for each in simulator.ledger()["entries"] if each["operation"] == "cancel"]
        assert simulator.truth("any")["status"] == status
        assert entry["fault"] == fault
        assert entry["result"] == ("done" if status == "canceled" else "not_done")

    @pytest.mark.parametrize(("point", "status"), [("before", "created"), ("after", "canceled")])
    def test_may_be_half_an_answer(self, simulator: Simulator, point: str, status: str) -> None:
        simulator.rules({"fault": "cut", "point": point})

        with pytest.raises(http.client.IncompleteRead):
            simulator.cancel("any")

        assert simulator.truth("any")["status"] == status

    def test_may_be_an_answer_that_is_not_json(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "garbled"})

        reply = simulator.get("any")

        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
        with pytest.raises(json.JSONDecodeError):
            _ = reply.json

    @pytest.mark.parametrize(
        ("variant", "is_nonsense"),
        [
            ("not_a_payment", lambda body: body == {"ok": True}),
            ("a_list", lambda body: isinstance(body, list)),
            ("null", lambda body: body is None),
            ("missing_fields", lambda body: "status" not in body),
            ("wrong_currency", lambda body: body["currency"] == "XTS"),
            ("wrong_amount", lambda body: body["amount"] != "12.30"),
            ("other_reference", lambda body: body["reference"] != "any"),
            ("no_amount_received", lambda body: body["status"] == "paid" and "amount_received" not in body),
            ("bad_amount", lambda body: body["amount"] == "12,30"),
            ("bad_time", lambda body: body["updated_at"] == "yesterday"),
        ],
    )
    def test_may_be_nonsense(self, simulator: Simulator, variant: str, is_nonsense: Callable[[Any], bool]) -> None:
        simulator.rules({"fault": "nonsense", "variant": variant})

        reply = simulator.get("any")

        assert reply.status == 200
        assert is_nonsense(reply.json)

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 500, 502])
    def test_may_be_any_status(self, simulator: Simulator, code: int) -> None:
        simulator.rules(
            {"fault": "status", "code": code, "problem": True, "calls": [1]}, {"fault": "status", "code": code}
        )

        described, bare = simulator.get("any"), simulator.get("any")

        assert (described.status, described.headers["Content-Type"]) == (code, "application/problem+json")
        assert described.json["status"] == code
        assert (bare.status, bare.headers["Content-Type"]) == (code, "text/plain")

    @pytest.mark.parametrize("code", [429, 503])
    def test_may_be_the_wish_that_we_slow_down(self, simulator: Simulator, code: int) -> None:
        slow_down = {"fault": "slow_down", "code": code, "retry_after": 30}
        simulator.rules({**slow_down, "calls": [1]}, {**slow_down, "http_date": True})

        seconds, date = simulator.get("any"), simulator.get("any")

        is_by_contract("get", seconds)
        assert (seconds.status, seconds.headers["Retry-After"]) == (code, "30")
        assert parsedate_to_datetime(date.headers["Retry-After"]).timestamp() - time.time() == pytest.approx(30, abs=3)

    def test_may_be_a_refusal_for_no_reason(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "refused", "payment_status": "authorized"})

        reply = simulator.cancel("any")

        is_by_contract("cancel", reply)
        assert (reply.status, reply.json["payment_status"]) == (409, "authorized")
        assert simulator.truth("any")["status"] == "created"
        assert simulator.results("cancel") == ["not_done"]

    def test_may_be_a_denied_record(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "no_record"})

        reply = simulator.get("any")

        is_by_contract("get", reply)
        assert reply.status == 404

    def test_may_be_a_word_that_nobody_knows(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "status_word", "word": "mystery"})

        assert simulator.get("any").json["status"] == "mystery"

    def test_may_be_the_demand_for_a_token(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "token", "token": "secret"})

        stranger, friend = simulator.get("any"), simulator.get("any", headers={"Authorization": "Bearer secret"})

        assert (stranger.status, friend.status) == (401, 200)


class TestARule:
    def test_is_for_the_calls_that_it_names(self, simulator: Simulator) -> None:
        for reference in ("order-1", "order-2", "other"):
            simulator.payment(reference)
        simulator.rules(
            {"reference": "order-*", "operation": "get", "calls": {"from": 2, "to": 3}, "fault": "status", "code": 500}
        )

        codes = {
            reference: [simulator.get(reference).status for _ in range(4)]
            for reference in ("order-1", "order-2", "other")
        }

        assert codes == {"order-1": [200, 500, 500, 200], "order-2": [200, 500, 500, 200], "other": [200] * 4}
        assert simulator.query("order-1").status == 200

    def test_is_for_one_provider(self, simulator: Simulator, port: int) -> None:
        another = Simulator(port)
        another.payment("any")
        simulator.payment("any")

        simulator.rules({"fault": "status"})

        assert (simulator.get("any").status, another.get("any").status) == (500, 200)

    def test_holds_for_a_while(self, simulator: Simulator) -> None:
        simulator.payment("any")
        simulator.rules({"between": [0.4, 0.8], "fault": "refuse_connection"})

        def is_answered() -> bool:
            try:
                return simulator.get("any").status == 200
            except ConnectionError:
                return False

        first = is_answered()
        until(lambda: not is_answered())
        until(is_answered)

        assert first

    def test_of_a_share_repeats_itself_for_a_seed_in_any_order(self, simulator: Simulator, port: int) -> None:
        references = [f"p{number}" for number in range(200)]

        def failed(seed: int, order: list[str]) -> set[str]:
            fresh = Simulator(port, simulator.provider)
            fresh.rules({"share": 0.2, "fault": "status"}, seed=seed)
            return {each for each in order if fresh.get(each).status == 500}

        process, second_port = started()
        again = Simulator(second_port, simulator.provider)
        again.rules({"share": 0.2, "fault": "status"}, seed=5)
        there = {each for each in reversed(references) if again.get(each).status == 500}
        stopped(process)

        assert failed(5, references) == there
        assert 20 <= len(there) <= 60

    def test_is_shown(self, simulator: Simulator) -> None:
        simulator.rules({"fault": "silent", "share": 0.5}, seed=9)

        assert simulator.control("GET", "rules") == {
            "seed": 9,
            "rules": [{"fault": "silent", "provider": simulator.provider, "share": 0.5}],
        }

    @pytest.mark.parametrize(
        "typo", [{"fault": "explode"}, {"fault": "slow"}, {"fault": "nonsense", "variant": "x"}, {"share": 2}]
    )
    def test_is_refused_if_not_understood(self, simulator: Simulator, typo: dict[str, object]) -> None:
        assert simulator.request("PUT", "/_simulator/rules", [typo]).status == 400


class TestABarrier:
    @pytest.mark.parametrize(("point", "status"), [("before", "created"), ("after", "canceled")])
    def test_holds_a_call_at_its_point_until_it_is_released(
        self, simulator: Simulator, point: str, status: str
    ) -> None:
        simulator.payment("held")
        simulator.barrier("arm", operation="cancel", reference="held", point=point)
        with ThreadPoolExecutor() as pool:
            call: Future[Reply] = pool.submit(partial(simulator.cancel, "held"))
            until(lambda: simulator.barrier("status")["held"] == 1)

            meanwhile = simulator.truth("held")["status"]
            inquiry = simulator.get("held")
            released = simulator.barrier("release")

            assert call.result().json["status"] == "canceled"
            assert (meanwhile, inquiry.status) == (status, 200)
            assert not released["armed"]

    def test_lets_the_customer_pay_meanwhile(self, simulator: Simulator) -> None:
        simulator.payment("held")
        simulator.barrier("arm", operation="effect", reference="hel*")
        with ThreadPoolExecutor() as pool:
            call = pool.submit(simulator.cancel, "held")
            until(lambda: simulator.barrier("status")["held"] == 1)

            simulator.customer("held", "pays")
            simulator.barrier("release")

            assert call.result().status == 409


class TestAnEvent:
    @pytest.mark.parametrize("secret", [None, "whsec_" + base64.b64encode(b"s" * 24).decode()])
    def test_tells_of_a_change_and_of_nothing_else(self, simulator: Simulator, secret: str | None) -> None:
        with listening() as (url, received):
            endpoint = {"provider": simulator.provider, "url": url, "secret": secret}
            simulator.control("PUT", "events", endpoint)

            simulator.payment("told", {"after": 0.05, "status": "paid"})
            until(lambda: len(received) == 2)

            simulator.control("PUT", "events", {**endpoint, "url": None})
            assert [json.loads(body) for _, body in received] == [{"reference": "told"}] * 2
            for headers, body in received if secret else []:
                Webhook(str(secret)).verify(body, headers)

    def test_is_not_signed_with_half_a_secret(self, simulator: Simulator) -> None:
        endpoint = {"provider": simulator.provider, "url": "http://127.0.0.1:9/", "secret": "whsec_x"}

        assert simulator.request("PUT", "/_simulator/events", endpoint).status == 400


class TestTheLedger:
    def test_is_read_on_from_where_one_was(self, simulator: Simulator) -> None:
        simulator.payment("first")
        start = simulator.ledger()
        simulator.cancel("first", "the-key")

        rest = simulator.ledger(after=start["next"])

        assert [(each["operation"], each["key"], each["status"]) for each in rest["entries"]] == [
            ("cancel", "the-key", "canceled"),
            ("state", None, "canceled"),
        ]
        assert simulator.ledger(after=rest["next"])["entries"] == []

    def test_tells_changes_in_the_order_in_which_they_came_true(self, simulator: Simulator) -> None:
        simulator.payment("later", {"after": 0.1, "status": "paid"})
        simulator.payment("sooner", {"after": 0.05, "status": "paid"})

        until(lambda: simulator.states().count("paid") == 2)

        entries = simulator.ledger()["entries"]
        assert [each["reference"] for each in entries if each["status"] == "paid"] == ["sooner", "later"]
        assert [each["time"] for each in entries] == sorted(each["time"] for each in entries)

    def test_counts_calls(self, simulator: Simulator) -> None:
        simulator.payment("any")
        for operation in ("get", "get", "query", "cancel"):
            simulator.ask(operation, "any")

        assert simulator.ledger()["calls"] == {"get": 2, "query": 1, "cancel": 1}

    @pytest.mark.parametrize("wrong", ["after=x", "limit=-1"])
    def test_wants_whole_numbers(self, simulator: Simulator, wrong: str) -> None:
        assert simulator.request("GET", f"/_simulator/ledger?{wrong}").status == 400
