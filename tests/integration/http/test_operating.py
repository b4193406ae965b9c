"""What operators do and see: merchants, cases, the backlog, health and figures."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.http.app import make_app
from adapters.http.document import document_of
from adapters.messages.parsing import NAMES
from tests.integration.http.server import Server, a_timeout, an_order

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "http.md"
NEW = {"merchant": "third", "name": "Third", "email": "ops@third.example", "callback_url": "https://third.example/"}


class TestAMerchant:
    def test_is_made_with_a_key_that_is_shown_once(self, server: Server) -> None:
        headers = {"Idempotency-Key": "k"}

        made = server.post("/v1/merchants", {**NEW, "tolerance": "0.50"}, key="operator", headers=headers)
        again = server.post("/v1/merchants", {**NEW, "tolerance": "0.50"}, key="operator", headers=headers)

        assert made.status_code == 201, made.text
        assert made.json()["callback_secret"].startswith("whsec_")
        assert server.register("A1", key=made.json()["api_key"]).status_code == 202
        assert again.json() == {"merchant": "third", "api_key": None, "callback_secret": None}
        [(kept,)] = server.ask("SELECT string_agg(convert_from(body, 'UTF8'), '') FROM kept_answers")
        assert made.json()["api_key"] not in kept

    def test_that_is_there_is_a_conflict(self, server: Server) -> None:
        assert server.post("/v1/merchants", {**NEW, "merchant": "shop"}, key="operator").status_code == 409

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"callback_url": "http://third.example/"}, "callback_url"),
            ({"callback_url": "https://10.0.0.1/"}, "callback_url"),
            ({"email": "nobody"}, "email"),
            ({"name": "\x00"}, "name"),
            ({"merchant": ""}, "merchant"),
            ({"tolerance": "-1"}, "tolerance"),
            ({"tolerance": 0.1}, "tolerance"),
            ({"cancellation_timeout": 0}, "cancellation_timeout"),
            ({"checks": ["everything"]}, "checks[0]"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_is_not_made_of_what_cannot_be_used(self, server: Server, wrong: dict[str, object], field: str) -> None:
        answer = server.post("/v1/merchants", {**NEW, **wrong}, key="operator")

        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_is_changed_in_what_is_named(self, server: Server) -> None:
        answer = server.call("PATCH", "/v1/merchants/shop", key="operator", json={"checkout_timeout": 60, "name": "Ä"})

        assert answer.json() == {"merchant": "shop", "callback_secret": None}
        found = server.ask("SELECT name, email, checkout_timeout FROM merchants WHERE id = 'shop'")
        assert found == [("Ä", "ops@shop.example", 60)]
        assert server.call("PATCH", "/v1/merchants/nobody", key="operator", json={}).status_code == 404


class TestACase:
    @pytest.fixture
    def case(self, server: Server) -> int:
        """The case of an order that was given up."""
        server.register("A1")
        server.do("DELETE FROM due_work WHERE kind = 'poll'")
        server.do(
            "INSERT INTO cases (kind, subject, merchant, order_id, known, amount_at_risk, currency, opened_at)"
            " SELECT 'STUCK', id, merchant, id, 'the last error: none', 100, 'EUR', now() FROM orders"
        )
        [(found,)] = server.ask("SELECT id FROM cases")
        return int(found)

    def test_is_listed_and_shown(self, server: Server, case: int) -> None:
        for question, expected in {"": [case], "?open=true": [case], "?open=false": []}.items():
            items = server.get(f"/v1/cases{question}").json()["items"]
            assert [one["id"] for one in items] == expected
        shown = server.get(f"/v1/cases/{case}").json()
        assert (shown["order"], shown["amount_at_risk"], shown["closed_at"]) == ("A1", "100.00", None)
        assert "retry" in shown["actions"]

    def test_closes_only_when_nothing_goes_dark(self, server: Server, case: int) -> None:
        refused = server.post(f"/v1/cases/{case}/close", {"note": "never mind"})
        resolved = server.post(f"/v1/cases/{case}/close", {"note": "never mind", "resolve": True})
        closed = server.post(f"/v1/cases/{case}/close", {"note": "mended", "resume": True})
        again = server.post(f"/v1/cases/{case}/close", {"note": "never mind"})

        assert refused.json()["errors"] == [
            {
                "field": "action",
                "reason": "is needed, for nothing is planned for what the case stands for; possible now: retry",
            }
        ]
        assert [error["field"] for error in resolved.json()["errors"]] == ["resolve"]
        assert (refused.status_code, resolved.status_code, again.status_code) == (409, 409, 409)
        assert closed.status_code == 200, closed.text
        assert closed.json()["closed_by"].startswith("merchant:")
        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'poll'") == [(1,)]

    def test_closes_with_an_action_that_it_names(self, server: Server, case: int) -> None:
        lost = server.post(f"/v1/cases/{case}/close", {"note": "mended", "action": "dance"})
        closed = server.post(f"/v1/cases/{case}/close", {"note": "mended", "action": "retry"})

        assert [error["field"] for error in lost.json()["errors"]] == ["action"]
        assert closed.status_code == 200, closed.text

    def test_wants_a_note(self, server: Server, case: int) -> None:
        assert server.post(f"/v1/cases/{case}/close", {"resume": "yes"}).json()["errors"] == [
            {"field": "note", "reason": "is required"},
            {"field": "resume", "reason": "should be true or false"},
        ]


class TestWhatWaits:
    def test_is_shown_to_operators(self, server: Server) -> None:
        server.register("A1")
        server.do(
            "INSERT INTO refused_messages (digest, name, merchant, body, errors, channel, received_at)"
            """ VALUES ('d', 'n', 'shop', 'b', '[{"field": "f", "reason": "r"}]', 'message', now())"""
        )

        backlog = server.get("/v1/backlog", key="operator").json()
        refused = server.get("/v1/messages/refused", key="operator").json()

        assert {row["kind"] for row in backlog["work"]} == {"poll", "deliver"}
        assert [one["errors"] for one in refused["items"]] == [[{"field": "f", "reason": "r"}]]

    def test_is_shown_with_what_was_kept_first_and_refused_later(self, server: Server) -> None:
        key = server.reject("A1")
        server.post("/v1/orders/A1/cancel", {"by": "user"})
        server.post(f"/v1/rejected-transactions/{key}/mark-failed")
        server.drain()

        (refused,) = server.get("/v1/messages/refused", key="operator").json()["items"]

        (error,) = refused["errors"]
        assert (refused["name"], refused["merchant"], refused["order"]) == ("intake.cancel_order", "shop", "A1")
        assert (error["field"], refused["channel"], refused["times"]) == ("order", "inbox", 1)
        assert "failed for good" in error["reason"]
        assert server.ask("SELECT id FROM inbox WHERE state = 'refused'") == [(refused["command"],)]
        assert refused["received_at"] < refused["refused_at"]
        figures = server.get("/metrics", key=None).text
        assert "trueup_messages_refused 1.0" in figures
        assert "trueup_commands_refused 1.0" in figures

    def test_is_shown_by_sanity_queue(self, server: Server) -> None:
        server.reject("A1")
        server.reject("A2", item="milk")
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})

        (queue,) = server.get("/v1/backlog", key="operator").json()["sanity_queues"]
        figures = server.get("/metrics", key=None).text

        assert (queue["merchant"], queue["pending"], queue["retriggers_open"]) == ("shop", 2, 1)
        assert "trueup_rejected_pending 2.0" in figures
        assert "trueup_retriggers_open 1.0" in figures
        found = {sample.name: sample for family in text_string_to_metric_families(figures) for sample in family.samples}
        assert found["trueup_rejected_oldest_seconds"].value > 0


class TestHealth:
    def test_is_ready_with_its_servers(self, server: Server) -> None:
        answer = server.get("/readyz", key=None)

        assert (answer.status_code, answer.json()) == (
            200,
            {"ready": True, "database": "ok", "schema": "ok", "broker": "ok"},
        )
        server.do("UPDATE alembic_version SET version_num = '0001'")
        assert server.get("/readyz", key=None).json()["schema"] == "missing"
        server.do("UPDATE alembic_version SET version_num = 'of the next release'")
        assert server.get("/readyz", key=None).status_code == 200

    def test_has_figures_whose_labels_nobody_chooses(self, server: Server) -> None:
        server.register("A1")
        server.get("/v1/orders/A1")
        server.get("/v1/orders/somebody's")
        server.get("/nowhere/at/all")
        server.call("BREW", "/v1/orders")

        text = server.get("/metrics", key=None).text

        found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
        assert found["trueup_database_up"].value == 1
        assert 'trueup_due_work{kind="poll"} ' in text
        assert "trueup_due_work_oldest_seconds" in found
        assert 'trueup_cases_open{kind="STUCK"} 0.0' in text
        assert 'route="/v1/orders/{order}",status="200"' in text
        assert 'method="other",route="/v1/orders"' in text or 'method="other",route="none"' in text
        assert "somebody" not in text
        assert "nowhere" not in text


class TestABugOfOurs:
    def test_is_answered_as_a_problem_and_told_in_the_log(self, server: Server) -> None:
        server.do("ALTER TABLE refused_messages RENAME TO somewhere_else")

        answer = server.get("/v1/messages/refused", key="operator")

        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:trueup:problem:internal-error"
        assert answer.json()["trace"] in server.log.read_text()
        assert "somewhere_else" not in answer.text


class TestTheProcess:
    def test_ends_well_when_it_is_asked_to(self, server: Server) -> None:
        server.process.terminate()

        assert server.process.wait(30) == 0


class TestTheDocument:
    def test_names_the_operations_of_the_sanity_queue_as_others_know_them(self) -> None:
        paths = document_of(make_app())["paths"]

        named = {
            "getRejectedTransactions": paths["/v1/rejected-transactions"]["get"],
            "retriggerTransactionAdd": paths["/v1/rejected-transactions/retrigger"]["post"],
            "markFailed": paths["/v1/rejected-transactions/{id}/mark-failed"]["post"],
            "getReTriggerStatus": paths["/v1/retriggers/{id}"]["get"],
        }

        assert {name: operation["operationId"] for name, operation in named.items()} == {name: name for name in named}

    def test_has_an_operation_for_every_message_as_the_guide_says(self) -> None:
        operations = {
            operation["operationId"]
            for methods in document_of(make_app())["paths"].values()
            for operation in methods.values()
        }
        rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| `(\w+)` \|", GUIDE.read_text(), re.MULTILINE)

        assert {message for message, _ in rows} == NAMES
        assert {operation for _, operation in rows} <= operations

    def test_is_served_with_a_page_that_loads_nothing(self, server: Server) -> None:
        document = server.get("/openapi.json", key=None).json()
        page = server.get("/docs", key=None)

        assert document == document_of(make_app())
        assert document["openapi"].startswith("3.1")
        assert "getOrderTimeline" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "<script" not in page.text
        assert "http://" not in page.text
        assert "https://" not in page.text.replace("https, and", "")


class TestAnOperator:
    def test_is_shown_where_to_look_with_whose_it_is(self, server: Server) -> None:
        kept = (
            server.post("/v1/orders?merchant=shop", an_order("A1"), key="operator"),
            server.post("/v1/orders/A1/cancel?merchant=shop", {"by": "user"}, key="operator"),
            server.post("/v1/timeouts?merchant=shop", a_timeout("pay-T1"), key="operator"),
            server.post("/v1/rejected-transactions/retrigger?merchant=shop", {"retrigger": "r"}, key="operator"),
            server.put("stores", {"key": "s"}, key="operator", params={"merchant": "shop"}),
        )

        for answer in kept:
            assert answer.status_code == 202, answer.text
            shown = server.get(answer.headers["Location"], key="operator")
            assert (shown.status_code, shown.json()["merchant"]) == (200, "shop"), answer.headers

    def test_who_names_no_merchant_of_ours_hears_so(self, server: Server) -> None:
        for address in ("orders", "cases", "events", "timeouts", "rejected-transactions", "orders/A1"):
            answer = server.get(f"/v1/{address}?merchant=nobody", key="operator")

            assert answer.status_code == 404, address
            assert [error["field"] for error in answer.json()["errors"]] == ["merchant"]

    def test_hears_whose_merchant_a_body_contradicts(self, server: Server) -> None:
        for key, address, of in (("operator", "/v1/orders?merchant=rival", "address"), ("rival", "/v1/orders", "key")):
            [error] = server.post(address, {**an_order("A1"), "merchant": "shop"}, key=key).json()["errors"]
            assert (error["field"], f"of the {of}" in error["reason"]) == ("merchant", True)
