"""Whose key opens what: every operation of the document is tried with every key that must not open it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from adapters.http.app import make_app
from adapters.http.document import document_of
from tests.integration.http.server import Server, serving, until

OPEN = {"isAlive", "isReady", "getMetrics", "providerEvent"}
# What an operation answers to a key of another merchant: not there, or nothing of it.
EMPTY = {
    "listOrders",
    "listCases",
    "listEvents",
    "listCallbacks",
    "redeliverFailed",
    "listTimeouts",
    "getRejectedTransactions",
}
# These begin something of the caller's own, and lack its fields here.
BEGINNING = {
    "registerOrder",
    "reportTimeout",
    "retriggerTransactionAdd",
    "putMasterData",
    "addEndpoint",
    "redeliverRange",
}
# What every merchant has, be it empty.
OWN = {"getMasterData"}
# What every merchant has of its own.
THEIRS = {"listEndpoints"}
BODIES: Mapping[str, object] = {
    "cancelOrder": {"by": "user"},
    "resolveOrder": {"note": "done"},
    "closeCase": {"note": "done"},
    "recordAttempt": {"attempt": {"id": "1", "state": "pending"}},
    "recordOperation": {"operation": {"id": "1", "kind": "refund", "state": "queued", "amount": "1"}},
}


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document_of(make_app())["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def call(server: Server, method: str, path: str, operation: Mapping[str, Any], *, key: str | None, **given: Any) -> Any:
    """Call an operation about things that shop has."""
    [(case,)] = server.ask("SELECT max(id) FROM cases")
    [(event,)] = server.ask("SELECT min(event) FROM events WHERE merchant = 'shop'")
    name = str(case) if "/cases/" in path else str(event)
    if "/rejected-transactions/" in path:
        [(name,)] = server.ask("SELECT max(id)::text FROM rejections")
    elif "/endpoints/" in path:
        [(name,)] = server.ask("SELECT min(id)::text FROM endpoints WHERE merchant = 'shop'")
    elif "/retriggers/" in path:
        name = "r-1"
    names = {"order": "A1", "merchant": "shop", "id": name, "reference": "pay-T1", "kind": "stores"}
    address = path.format(**names)
    body = BODIES.get(operation["operationId"], {}) if method != "GET" else None
    return server.call(method, address, key=key, json=body, **given)


class TestEveryOperation:
    def test_is_closed_to_who_has_no_key_that_opens_it(self, server: Server) -> None:
        self._furnish(server)
        for method, path, operation in operations():
            name = operation["operationId"]
            if name in OPEN:
                assert "security" not in operation, name
                continue
            assert operation["security"], name
            for key in (None, "nobody's", "revoked", "x" * 5000):
                answer = call(server, method, path, operation, key=key)
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), (name, key)
            answer = call(server, method, path, operation, key="rival")
            if operation.get("x-operators-only"):
                assert answer.status_code == 403, name
            elif name in EMPTY:
                said = answer.json()
                assert answer.ok, name
                assert said in ({"items": [], "next_cursor": None}, {"deliveries": 0}), (name, said)
            elif name in BEGINNING:
                assert answer.status_code == 422, name
            elif name in THEIRS:
                assert {one["merchant"] for one in answer.json()["items"]} == {"rival"}, name
            elif name in OWN:
                assert (answer.status_code, answer.json()["items"]) == (200, []), name
            else:
                assert answer.status_code == 404, (name, answer.text)

    def test_asks_about_the_merchant_of_its_key_only(self, server: Server) -> None:
        self._furnish(server)
        for method, path, operation in operations():
            name = operation["operationId"]
            if name in OPEN:
                continue
            for whose in ("shop", "nobody", "\x00"):
                answer = call(server, method, path, operation, key="rival", params={"merchant": whose})
                assert answer.status_code == 403, (name, answer.text)
                assert [error["field"] for error in answer.json()["errors"]] == ["merchant"], name
            if not operation.get("x-operators-only"):
                answer = call(server, method, path, operation, key="shop", params={"merchant": "shop"})
                assert answer.status_code != 403, (name, answer.text)

    def _furnish(self, server: Server) -> None:
        server.register("A1")
        server.report("pay-T1")
        server.reject("R1")
        server.put("stores", {"key": "s-1"})
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})
        revoked = server.make_key("revoked", merchant="shop")
        server.do("UPDATE api_keys SET revoked_at = now() WHERE id = %(id)s", id=revoked)
        server.do(
            "INSERT INTO cases (kind, subject, merchant, order_id, known, opened_at)"
            " SELECT 'CONTRADICTION', id, merchant, id, 'something', now() FROM orders"
        )


class TestKeys:
    def test_are_kept_as_their_hash_and_live_several_at_a_time(self, server: Server) -> None:
        server.make_key("second", merchant="shop")
        server.register("A1")

        assert server.get("/v1/orders/A1", key="second").status_code == 200
        assert server.get("/v1/orders/A1", key="shop").status_code == 200
        [(kept,)] = server.ask("SELECT string_agg(k::text, ' ') FROM api_keys k")
        assert not [token for token in server.keys.values() if token in kept]

    def test_of_operators_are_named_in_the_history(self, server: Server) -> None:
        server.make_key("ann", operator="ann")
        server.register("A1")

        server.post("/v1/orders/A1/cancel?merchant=shop", {"by": "merchant"}, key="ann")

        entries = server.get("/v1/orders/A1/timeline?merchant=shop", key="operator").json()["items"]
        assert entries[-1]["actor"] == "operator:ann"
        assert server.get("/v1/backlog", key="ann").status_code == 200

    def test_have_a_budget_that_all_processes_share(
        self, engine: Engine, database_url: str, valkey_url: str, tmp_path: Path
    ) -> None:
        slow = {"TRUEUP_HTTP_REQUESTS_PER_SECOND": "0.02"}  # one at once, and the next after 50 seconds
        with serving(engine, database_url, valkey_url, tmp_path / "home", slow) as server:
            assert server.get("/v1/orders").status_code == 200
            answer = server.get("/v1/orders")
            assert answer.status_code == 429
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert 40 <= int(answer.headers["Retry-After"]) <= 51
            assert server.get("/v1/orders", key="rival").status_code == 200
            server.do("UPDATE key_budgets SET refilled_at = refilled_at - interval '60 seconds'")
            assert server.get("/v1/orders").status_code == 200


class TestTheOperatorsKey:
    def test_is_made_at_the_first_start_and_kept_for_its_owner(
        self, engine: Engine, database_url: str, valkey_url: str, tmp_path: Path
    ) -> None:
        home = tmp_path / "home"
        with serving(engine, database_url, valkey_url, home, {"TRUEUP_ADMIN_KEY": None}) as server:
            file = home / "admin.key"
            until(file.exists, server)
            assert file.stat().st_mode & 0o777 == 0o600
            assert server.get("/v1/backlog", key=file.read_text().strip()).status_code == 200
