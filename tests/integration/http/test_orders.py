"""Orders over HTTP: kept before they are answered, shown as they are, and nobody else's."""

from pathlib import Path

from sqlalchemy import Engine

from adapters.bootstrap import open_application
from config.settings import load
from tests.integration.http.server import Server, an_order, serving
from tests.servers import free_ports


class TestAnOrderThatIsRegistered:
    def test_is_kept_and_shown_at_its_address(self, server: Server) -> None:
        answer = server.register("2026/117 ä")

        assert answer.status_code == 202, answer.text
        shown = server.get(answer.headers["Location"])
        assert shown.status_code == 200, shown.text
        order = shown.json()
        assert (order["order"], order["status"], order["amount"]) == ("2026/117 ä", "NEW", "100.00")
        assert order["transaction"]["reference"] == "pay-2026/117 ä"
        assert order["deadlines"]["live"] == order["deadlines"]["payment_window"] is not None
        assert order["next_action"]["action"] == "poll"
        timeline = server.get(f"{answer.headers['Location']}/timeline").json()
        assert [entry["kind"] for entry in timeline["items"]] == ["status"]
        assert timeline["items"][0]["actor"].startswith("merchant:")

    def test_is_a_repeat_when_it_comes_again(self, server: Server) -> None:
        first, again = server.register("A1"), server.register("A1", amount="100.0")

        assert (first.json()["repeat"], again.json()["repeat"]) == (False, True)

    def test_with_other_content_is_a_conflict_and_is_not_kept(self, server: Server) -> None:
        server.register("A1")

        answer = server.register("A1", amount="5.00")

        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:trueup:problem:conflict"
        assert server.register("A2", reference="pay-A1").status_code == 409
        assert server.ask("SELECT count(*) FROM refused_messages") == [(0,)]

    def test_with_a_field_that_cannot_be_used_is_refused_by_its_name(self, server: Server) -> None:
        answer = server.register("A1", provider="nobody")

        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["provider"]

    def test_of_another_merchant_by_the_body_is_refused(self, server: Server) -> None:
        answer = server.register("A1", merchant="rival")

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "merchant"
        assert server.register("A1", merchant="shop").status_code == 202

    def test_by_an_operator_needs_a_merchant(self, server: Server) -> None:
        assert server.register("A1", key="operator").status_code == 422

        answer = server.post("/v1/orders?merchant=rival", an_order("A1"), key="operator")

        assert answer.status_code == 202
        assert server.get("/v1/orders/A1", key="rival").status_code == 200


class TestAnOrderWhoseMessageIsKept:
    def test_is_known_to_what_is_said_of_it_before_it_is_registered(self, server: Server) -> None:
        application = open_application(load(server.environment), role="trueup-test")
        message = {"merchant": "shop", **an_order("A1")}
        application.intake("intake.register_order", (), message, trace="t-1")
        application.close()
        cancel = {"by": "merchant"}

        early = server.post("/v1/orders/A1/cancel", cancel)
        others = server.post("/v1/orders/A1/cancel", cancel, key="rival")
        unheard_of = server.post("/v1/orders/A2/cancel", cancel)
        server.drain()

        assert (early.status_code, early.headers["Location"]) == (202, "/v1/orders/A1")
        assert (others.status_code, unheard_of.status_code) == (404, 404)
        order = server.get("/v1/orders/A1").json()
        assert order["cancel_requested"] or order["status"] == "CANCELED"
        assert server.ask("SELECT count(*) FROM inbox WHERE name = 'intake.cancel_order'") == [(1,)]


class TestManyOrders:
    def test_stand_or_fall_each_by_itself(self, server: Server) -> None:
        orders = [an_order("A1"), an_order("A2", amount="1e400"), an_order("A3")]

        answer = server.post("/v1/orders", {"orders": orders})

        assert answer.status_code == 202, answer.text
        became = answer.json()["orders"]
        assert [(one["order"], one["kept"]) for one in became] == [("A1", True), ("A2", False), ("A3", True)]
        assert [one["location"] for one in became] == ["/v1/orders/A1", None, "/v1/orders/A3"]
        assert server.get(became[0]["location"]).status_code == 200
        assert became[1]["errors"][0]["field"] == "amount"

    def test_of_which_none_is_kept_are_refused(self, server: Server) -> None:
        answer = server.post("/v1/orders", {"orders": [an_order("A1", amount="x"), an_order("A2", currency="NONE")]})

        assert answer.status_code == 422
        assert [one["field"] for one in answer.json()["errors"]] == ["orders[0].amount", "orders[1].currency"]

    def test_are_bounded(self, server: Server) -> None:
        for orders in ([], "A1", [an_order("A1")] * 1001, [1]):
            assert server.post("/v1/orders", {"orders": orders}).status_code == 422


class TestACommand:
    def test_is_carried_out(self, server: Server) -> None:
        server.register("A1")

        said = {
            "checkout-completed": {},
            "attempts": {"attempt": {"id": "1", "state": "pending"}},
            "poll": {},
            "cancel": {"by": "merchant", "reason": "the customer called"},
        }
        for address, body in said.items():
            answer = server.post(f"/v1/orders/A1/{address}", body)
            assert answer.status_code == 202, (address, answer.text)

        order = server.get("/v1/orders/A1").json()
        assert order["cancel_requested"] is True
        assert order["checkout_completed_at"] is not None
        assert [attempt["state"] for attempt in order["transaction"]["attempts"]] == ["pending"]
        assert order["next_action"]["action"] == "close"

    def test_may_come_without_a_body(self, server: Server) -> None:
        server.register("A1")

        assert server.post("/v1/orders/A1/poll").status_code == 202

    def test_that_the_order_does_not_allow_is_a_conflict(self, server: Server) -> None:
        server.register("A1")

        answer = server.post("/v1/orders/A1/resolve", {"note": "done"})

        assert answer.status_code == 409
        assert answer.json()["errors"] == [{"field": "order", "reason": "the order is NEW, not UNRESOLVED"}]

    def test_about_an_order_that_is_not_known_is_not_kept(self, server: Server) -> None:
        answer = server.post("/v1/orders/A1/cancel", {"by": "user"})

        assert answer.status_code == 404
        assert server.ask("SELECT count(*) FROM inbox") == [(0,)]

    def test_about_another_order_by_the_body_is_refused(self, server: Server) -> None:
        server.register("A1")

        answer = server.post("/v1/orders/A1/cancel", {"by": "user", "order": "A2"})

        assert answer.json()["errors"][0]["field"] == "order"


class TestWithoutABroker:
    def test_what_is_answered_202_is_in_the_inbox(self, engine: Engine, database_url: str, tmp_path: Path) -> None:
        dead = f"redis://127.0.0.1:{free_ports(1)[0]}/0"
        with serving(engine, database_url, dead, tmp_path / "home") as server:
            answer = server.register("A1")
            cancel = server.post("/v1/orders/A1/cancel", {"by": "user"})

            assert (answer.status_code, cancel.status_code) == (202, 202)
            kept = server.ask("SELECT name, channel FROM (SELECT name, actor AS channel FROM inbox) i ORDER BY name")
            assert [name for name, _ in kept] == ["intake.cancel_order", "intake.register_order"]
            ready = server.get("/readyz", key=None)
            assert (ready.status_code, ready.json()["broker"], ready.json()["database"]) == (503, "missing", "ok")
            assert server.get("/livez", key=None).status_code == 200
