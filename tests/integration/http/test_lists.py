"""Pages and feeds: nothing is shown twice, nothing is passed over, and nothing appears behind a cursor."""

from concurrent.futures import ThreadPoolExecutor

from adapters.persistence.columns import run
from tests.integration.http.server import Server, an_order


def pages(server: Server, path: str, *, limit: int, key: str = "shop") -> list[list[str]]:
    """Turn all pages of a list of orders; return what each showed."""
    shown: list[list[str]] = []
    cursor = ""
    while True:
        answer = server.get(f"{path}?limit={limit}{cursor}", key=key)
        assert answer.status_code == 200, answer.text
        shown.append([item["order"] for item in answer.json()["items"]])
        if answer.json()["next_cursor"] is None:
            return shown
        cursor = f"&cursor={answer.json()['next_cursor']}"


class TestAListOfOrders:
    def test_is_turned_page_by_page_the_youngest_first(self, server: Server) -> None:
        for number in range(5):
            server.register(f"A{number}")
        server.register("B1", key="rival")

        assert pages(server, "/v1/orders", limit=2) == [["A4", "A3"], ["A2", "A1"], ["A0"]]
        assert pages(server, "/v1/orders", limit=5) == [["A4", "A3", "A2", "A1", "A0"]]
        assert pages(server, "/v1/orders", limit=9, key="operator") == [["B1", "A4", "A3", "A2", "A1", "A0"]]

    def test_stays_as_it_was_while_orders_come_in(self, server: Server) -> None:
        for number in range(20):
            server.register(f"A{number}")

        with ThreadPoolExecutor(2) as others:
            arriving = [others.submit(server.register, f"N{number}") for number in range(30)]
            shown = [order for page in pages(server, "/v1/orders", limit=3) for order in page]
            for one in arriving:
                assert one.result().status_code == 202

        assert len(shown) == len(set(shown))
        assert [order for order in shown if order.startswith("A")] == [f"A{number}" for number in range(19, -1, -1)]

    def test_is_filtered(self, server: Server) -> None:
        server.register("A1", created_at="2026-01-01T00:00:00Z")
        server.register("A2")

        for question, expected in {
            "status=NEW": ["A2", "A1"],
            "status=PAID": [],
            "provider=acme": ["A2", "A1"],
            "provider=other": [],
            "created_after=2026-01-01T00:00:00Z": ["A2"],
            "created_after=2025-12-31T23:00:00-01:00": ["A2"],
            "created_after=2025-01-01T00:00:00Z": ["A2", "A1"],
        }.items():
            items = server.get(f"/v1/orders?{question}").json()["items"]
            assert [item["order"] for item in items] == expected, question

    def test_of_what_happened_is_turned_the_oldest_first(self, server: Server) -> None:
        server.register("A1")
        server.post("/v1/orders/A1/checkout-completed")
        server.post("/v1/orders/A1/cancel", {"by": "user"})
        kinds, cursor = [], ""

        while True:
            page = server.get(f"/v1/orders/A1/timeline?limit=1{cursor}").json()
            kinds += [entry["kind"] for entry in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"

        assert kinds == ["status", "checkout_completed", "cancel_requested"]


class TestTheFeedOfEvents:
    def test_goes_on_from_its_cursor(self, server: Server) -> None:
        empty = server.get("/v1/events").json()
        server.register("A1")
        server.register("A2")

        first = server.get("/v1/events?limit=1").json()
        second = server.get(f"/v1/events?limit=1&after={first['next_cursor']}").json()
        end = server.get(f"/v1/events?after={second['next_cursor']}").json()
        server.register("A3")
        later = server.get(f"/v1/events?after={end['next_cursor']}").json()

        assert empty == {"items": [], "next_cursor": None}
        assert [page["items"][0]["data"]["order"] for page in (first, second, later)] == ["A1", "A2", "A3"]
        assert (end["items"], end["next_cursor"]) == ([], second["next_cursor"])
        [event] = first["items"]
        assert (event["type"], event["event"]) == ("order.status_changed", event["data"]["event"])

    def test_waits_for_a_transaction_that_may_still_put_something_before(self, server: Server) -> None:
        with server.engine.connect() as slow:
            run(
                slow,
                "INSERT INTO events (event, type, merchant, body, created_at)"
                " VALUES ('evt_slow', 'order.status_changed', 'shop',"
                """ '{"type": "order.status_changed", "timestamp": "2026-01-01T00:00:00Z", "data": {}}', now())""",
            )
            server.register("A1")

            held = server.get("/v1/events").json()
            slow.commit()

        shown = server.get(f"/v1/events{'?after=' + held['next_cursor'] if held['next_cursor'] else ''}").json()
        assert held["items"] == []
        assert shown["items"][0]["event"] == "evt_slow"
        assert len(shown["items"]) == 2

    def test_of_another_merchant_is_not_seen(self, server: Server) -> None:
        server.register("A1")

        assert server.get("/v1/events", key="rival").json()["items"] == []
        assert server.get("/v1/events", key="operator").status_code == 422
        assert len(server.get("/v1/events?merchant=shop", key="operator").json()["items"]) == 1


class TestManyAtOnce:
    def test_are_registered_once_under_one_key(self, server: Server) -> None:
        def register(_: int) -> int:
            headers = {"Idempotency-Key": "k"}
            return server.post("/v1/orders", an_order("A1"), headers=headers).status_code

        with ThreadPoolExecutor(8) as callers:
            answered = set(callers.map(register, range(16)))

        assert answered <= {202, 409}
        assert 202 in answered
        assert server.ask("SELECT count(*) FROM orders") == [(1,)]
