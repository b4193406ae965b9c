"""The sanity queue and master data over HTTP: listed, mended, tried again, given up."""

from concurrent.futures import ThreadPoolExecutor

from adapters.persistence.verify import verify
from tests.integration.http.server import Server, an_order

ABOUT = {
    "checkout-completed": {},
    "attempts": {"attempt": {"id": "1", "state": "pending"}},
    "operations": {"operation": {"id": "o", "kind": "void", "state": "queued", "amount": "100"}},
    "cancel": {"by": "user"},
}


class TestAnOrderThatIsRejected:
    def test_says_why_and_where_it_is(self, server: Server) -> None:
        server.screen()

        answer = server.register("A/1", bill={"line_items": ["tea"]})

        assert answer.status_code == 202, answer.text
        rejected = answer.json()["rejected"]
        assert (rejected["status"], rejected["type"]) == ("PENDING", "reprocessable")
        assert rejected["reasons"] == [
            {"kind": "line_items", "key": "tea", "message": "the line item 'tea' is not known"}
        ]
        assert answer.headers["Location"] == rejected["address"]
        shown = server.get(rejected["address"]).json()
        assert (shown["order"], shown["rejection"]) == ("A/1", rejected["rejection"])
        assert shown["body"]["bill"] == {"line_items": [{"key": "tea"}]}
        again = server.register("A/1", bill={"line_items": ["tea"]}).json()
        assert (again["repeat"], again["rejected"]) == (True, rejected)

    def test_among_many_is_kept_as_the_others_are(self, server: Server) -> None:
        server.screen()
        orders = [an_order("A1"), an_order("A2", bill={"line_items": ["tea"]}), an_order("A3", amount="x")]

        became = server.post("/v1/orders", {"orders": orders}).json()["orders"]

        assert [one["kept"] for one in became] == [True, True, False]
        assert [one["rejected"] and one["rejected"]["status"] for one in became] == [None, "PENDING", None]

    def test_is_pointed_at_where_the_order_is_asked_for(self, server: Server) -> None:
        key = server.reject("A1")

        for address in ("/v1/orders/A1", "/v1/orders/A1/timeline"):
            answer = server.get(address)
            assert answer.status_code == 404
            assert f"/v1/rejected-transactions/{key}" in answer.json()["detail"]
            assert "rejected" not in server.get(address, key="rival").text

    def test_keeps_what_is_said_about_it_until_it_is_added(self, server: Server) -> None:
        key = server.reject("A1")

        for address, body in ABOUT.items():
            answer = server.post(f"/v1/orders/A1/{address}", body)
            assert answer.status_code == 202, (address, answer.text)
            assert answer.json()["rejected"]["rejection"] == key
            assert answer.headers["Location"] == f"/v1/rejected-transactions/{key}"
        assert server.ask("SELECT count(*) FROM inbox WHERE state = 'waiting'") == [(len(ABOUT),)]

        server.put("line_items", {"key": "tea"})
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})
        server.drain()

        order = server.get("/v1/orders/A1").json()
        assert order["checkout_completed_at"] is not None
        assert order["cancel_requested"] is True
        assert [attempt["id"] for attempt in order["transaction"]["attempts"]] == ["1"]
        assert verify(server.engine) == []

    def test_is_neither_polled_nor_resolved(self, server: Server) -> None:
        server.reject("A1")

        for address, body in (("poll", {}), ("resolve", {"note": "done"})):
            answer = server.post(f"/v1/orders/A1/{address}", body)
            assert answer.status_code == 409
            assert "PENDING" in answer.json()["errors"][0]["reason"]

    def test_for_good_refuses_what_is_said_about_it(self, server: Server) -> None:
        key = server.reject("A1")
        server.post(f"/v1/rejected-transactions/{key}/mark-failed")

        answer = server.post("/v1/orders/A1/cancel", {"by": "user"})

        assert answer.status_code == 409
        assert [error["field"] for error in answer.json()["errors"]] == ["order"]
        assert server.ask("SELECT count(*) FROM inbox WHERE name = 'intake.cancel_order'") == [(0,)]


class TestRejectedTransactions:
    def test_are_listed_page_by_page_and_by_what_is_asked_for(self, server: Server) -> None:
        keys = [server.reject(f"A{number}", customer=f"c-{number % 2}") for number in range(4)]
        server.post(f"/v1/rejected-transactions/{keys[0]}/mark-failed", {"note": "a test"})

        def listed(query: str, key: str = "shop") -> list[str]:
            answer = server.get(f"/v1/rejected-transactions?{query}", key=key)
            assert answer.status_code == 200, answer.text
            return [one["order"] for one in answer.json()["items"]]

        first = server.get("/v1/rejected-transactions?limit=3").json()
        assert [one["order"] for one in first["items"]] == ["A3", "A2", "A1"]
        assert listed(f"limit=3&cursor={first['next_cursor']}") == ["A0"]
        assert listed("status=PENDING&customer=c-0") == ["A2"]
        assert listed("type=reprocessable&status=PERMANENT_FAILED") == ["A0"]
        assert listed("type=permanent") == []
        assert listed("from=2100-01-01T00:00:00Z") == listed("to=2000-01-01T00:00:00Z") == []
        assert len(listed("from=2000-01-01T00:00:00%2B02:00&to=2100-01-01T00:00:00Z")) == 4
        assert listed("", key="rival") == []
        assert len(listed("merchant=shop", key="operator")) == len(listed("", key="operator")) == 4
        for wrong in ("from=yesterday", "status=LOST", "type=x", "cursor=x"):
            assert server.get(f"/v1/rejected-transactions?{wrong}").status_code == 422

    def test_of_another_merchant_are_not_there(self, server: Server) -> None:
        key = server.reject("A1")

        assert server.get(f"/v1/rejected-transactions/{key}", key="rival").status_code == 404
        assert server.post(f"/v1/rejected-transactions/{key}/mark-failed", key="rival").status_code == 404
        answer = server.post(
            "/v1/rejected-transactions/retrigger", {"retrigger": "r", "transactions": [key]}, key="rival"
        )
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["transactions"]

    def test_are_given_up_with_a_note_and_once(self, server: Server) -> None:
        key = server.reject("A1")
        address = f"/v1/rejected-transactions/{key}/mark-failed"

        first, again = (server.post(address, {"note": "no such tea"}) for _ in range(2))

        assert (first.status_code, first.json()) == (202, {"merchant": "shop", "rejection": key, "repeat": False})
        assert again.json()["repeat"] is True
        assert server.post(address, {"transactions": ["1", key]}).status_code == 422
        shown = server.get(first.headers["Location"]).json()
        assert (shown["status"], shown["note"]) == ("PERMANENT_FAILED", "no such tea")
        assert shown["decided_by"].startswith("merchant:")

    def test_that_have_failed_keep_the_note_that_they_failed_with(self, server: Server) -> None:
        key = server.reject("A1")
        address = f"/v1/rejected-transactions/{key}/mark-failed"
        server.post(address, {"note": "no such tea"})

        other = server.post(address, {"note": "too late"})
        none = server.post(address, headers={"Idempotency-Key": "another-request"})

        assert other.status_code == 409
        assert [error["field"] for error in other.json()["errors"]] == ["note"]
        assert "no such tea" in other.json()["errors"][0]["reason"]
        assert (none.status_code, none.json()["repeat"]) == (202, True)
        assert server.get(f"/v1/rejected-transactions/{key}").json()["note"] == "no such tea"

    def test_that_became_orders_are_not_given_up(self, server: Server) -> None:
        key = server.reject("A1")
        server.put("line_items", {"key": "tea"})
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1", "transactions": [key]})
        server.drain()

        answer = server.post(f"/v1/rejected-transactions/{key}/mark-failed")

        assert answer.status_code == 409
        assert [error["field"] for error in answer.json()["errors"]] == ["id"]
        assert "A1" in answer.json()["errors"][0]["reason"]


class TestARetrigger:
    def test_says_what_it_added_and_what_is_still_missing(self, server: Server) -> None:
        added, *left = [server.reject(f"A{item}", item=item) for item in ("tea", "milk", "honey")]
        server.put("line_items", {"key": "tea"})

        kept = server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r/1"})
        running = server.get(kept.headers["Location"]).json()
        server.drain()

        assert kept.json() == {"merchant": "shop", "retrigger": "r/1", "dry_run": False, "repeat": False}
        assert (running["state"], running["total"], running["waiting"]) == ("running", 3, 3)
        assert running["next_action"]["action"] == "retrigger"
        done = server.get(f"{kept.headers['Location']}?limit=1").json()
        assert [done[name] for name in ("state", "added", "still_rejected", "failed")] == ["done", 1, 2, 0]
        rest = server.get(f"{kept.headers['Location']}?cursor={done['next_cursor']}").json()
        found = [*done["items"], *rest["items"]]
        assert [one["rejection"] for one in found] == left
        assert [one["reasons"][0]["key"] for one in found] == ["milk", "honey"]
        shown = server.get(f"/v1/rejected-transactions/{added}").json()
        assert (shown["status"], shown["retrigger"]) == ("REPROCESSED", "r/1")
        assert server.register("Atea", bill={"number": "B-Atea", "line_items": ["tea"]}).json()["rejected"] is None

    def test_that_is_dry_changes_nothing(self, server: Server) -> None:
        key = server.reject("A1")
        server.put("line_items", {"key": "tea"})

        kept = server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1", "dry_run": True})
        server.drain()

        assert server.get(kept.headers["Location"]).json()["added"] == 1
        assert server.get(f"/v1/rejected-transactions/{key}").json()["status"] == "PENDING"

    def test_under_a_name_that_was_used_for_another_is_a_conflict(self, server: Server) -> None:
        key = server.reject("A1")
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})

        again = server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})
        other = server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1", "transactions": [key]})

        assert (again.status_code, again.json()["repeat"]) == (202, True)
        assert other.status_code == 409
        assert [error["field"] for error in other.json()["errors"]] == ["retrigger"]

    def test_is_refused_by_the_field_that_is_wrong(self, server: Server) -> None:
        for fields, field in (
            ({}, "retrigger"),
            ({"retrigger": "auto:1"}, "retrigger"),
            ({"retrigger": "r", "transactions": []}, "transactions"),
            ({"retrigger": "r", "transactions": ["x"]}, "transactions[0]"),
            ({"retrigger": "r", "transactions": [7]}, "transactions"),
        ):
            answer = server.post("/v1/rejected-transactions/retrigger", fields)
            assert answer.status_code == 422, answer.text
            assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_is_not_there_for_another_merchant(self, server: Server) -> None:
        server.post("/v1/rejected-transactions/retrigger", {"retrigger": "r-1"})

        assert server.get("/v1/retriggers/r-1").json()["state"] == "done"
        assert server.get("/v1/retriggers/r-1", key="rival").status_code == 404
        assert server.get("/v1/retriggers/r-1?merchant=shop", key="operator").status_code == 200

    def test_of_ten_at_once_adds_each_bill_once(self, server: Server) -> None:
        keys = [server.reject(f"A{number}") for number in range(5)]
        server.put("line_items", {"key": "tea"})

        def ask(number: int) -> int:
            body = {"retrigger": f"r-{number}", "transactions": keys}
            return server.post("/v1/rejected-transactions/retrigger", body).status_code

        with ThreadPoolExecutor(10) as callers:
            assert set(callers.map(ask, range(10))) == {202}
        with ThreadPoolExecutor(2) as drains:
            assert len([*drains.map(lambda _: server.drain(), range(2))]) == 2

        said = [server.get(f"/v1/retriggers/r-{number}").json() for number in range(10)]
        assert {one["state"] for one in said} == {"done"}
        assert sum(one["added"] for one in said) == len(keys)
        assert sum(one["already_added"] for one in said) == 9 * len(keys)
        assert server.ask("SELECT count(*) FROM orders") == [(len(keys),)]
        assert verify(server.engine) == []


class TestMasterData:
    def test_is_put_and_shown_with_version_author_and_time(self, server: Server) -> None:
        answer = server.put("transaction_fields", {"key": "colour", "options": ["red", "blue"]}, {"key": "size"})
        server.make_key("ann", operator="ann")
        server.put("transaction_fields", {"key": "size", "type": "number"}, key="ann", params={"merchant": "shop"})

        assert answer.status_code == 202, answer.text
        assert answer.json() == {"merchant": "shop", "kind": "transaction_fields", "repeat": False}
        shown = server.get(answer.headers["Location"]).json()
        assert (shown["version"], shown["changed_by"]) == (2, "operator:ann")
        colour, size = shown["items"]
        assert (colour["key"], colour["type"], colour["options"], colour["version"]) == (
            *("colour", "enum", ["red", "blue"], 1),
        )
        assert colour["changed_by"].startswith("merchant:")
        assert (size["type"], size["version"], size["changed_by"]) == ("number", 2, "operator:ann")
        assert server.get("/v1/master-data/transaction_fields", key="rival").json()["version"] == 0

    def test_of_a_key_the_last_that_was_said_stands(self, server: Server) -> None:
        for options in (["red"], ["blue"], ["red"]):
            server.put("customer_fields", {"key": "colour", "options": options})

        shown = server.get("/v1/master-data/customer_fields").json()

        assert (shown["version"], shown["items"][0]["options"]) == (3, ["red"])

    def test_that_stands_already_is_a_repeat(self, server: Server) -> None:
        tea, milk = {"key": "tea"}, {"key": "milk"}

        became = [server.put("line_items", *entries).json()["repeat"] for entries in ([tea], [tea], [tea, milk])]

        assert became == [False, True, False]
        assert server.get("/v1/master-data/line_items").json()["version"] == 2

    def test_is_put_once_under_its_idempotency_key(self, server: Server) -> None:
        headers = {"Idempotency-Key": "k"}

        first, other, again = (
            server.put("stores", {"key": "s", "options": [option]}, headers=headers if option == "a" else {})
            for option in "aba"
        )

        assert (first.status_code, other.status_code, again.headers["Idempotency-Replayed"]) == (202, 202, "true")
        assert server.get("/v1/master-data/stores").json()["items"][0]["options"] == ["b"]

    def test_is_shown_page_by_page_whatever_its_keys(self, server: Server) -> None:
        keys = sorted(["a", "b", "𝄞" * 128, "ü" * 128])
        server.put("stores", *({"key": key} for key in keys))

        found, cursor = [], ""
        while cursor is not None:
            page = server.get(f"/v1/master-data/stores?limit=1{cursor and f'&cursor={cursor}'}").json()
            found += [one["key"] for one in page["items"]]
            cursor = page["next_cursor"]

        assert sorted(found) == keys
        assert len(found) == len(keys)

    def test_that_cannot_be_used_is_refused(self, server: Server) -> None:
        for entries, field in (
            ([], "entries"),
            ([{"key": ""}], "entries[0].key"),
            ([{"key": "a", "type": "number", "options": ["1"]}], "entries[0]"),
        ):
            answer = server.put("stores", *entries)
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert server.put("nothing", {"key": "a"}).status_code == 422
        assert server.get("/v1/master-data/nothing").status_code == 422
        wrong = {"kind": "stores", "entries": [{"key": "a"}]}
        assert server.call("PUT", "/v1/master-data/line_items", json=wrong).status_code == 422
