"""Endpoints as merchants arrange them by HTTP, and what is delivered there once more."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from standardwebhooks import Webhook

from adapters.cli.backlog import why_held
from adapters.persistence.verify import verify
from tests.integration.http.server import Server, serving
from tests.integration.test_transport import an_answer
from tests.integration.test_transport import serving as answering

URL = "https://two.example/hooks"
TRIED = """
INSERT INTO deliveries SELECT s.id, x.id, 'failed', 10, 500, 'no', now(), now() FROM streams s
JOIN events x ON x.order_id = s.order_id
"""
GIVE_UP = (
    TRIED,
    "UPDATE streams s SET cursor = (SELECT max(x.id) FROM events x WHERE x.order_id = s.order_id)",
    "DELETE FROM due_work WHERE kind = 'deliver'",
)
DUE = "SELECT count(*) FROM due_work WHERE kind = 'deliver' AND due_at <= now()"


@pytest.fixture
def first(server: Server) -> int:
    """The endpoint that shop was made with."""
    [endpoint] = server.get("/v1/endpoints").json()["items"]
    return int(endpoint["id"])


@pytest.fixture
def near(engine: Engine, database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Server]:
    """A server that may call this machine."""
    settings = {"TRUEUP_CALLBACK_ALLOW_HOSTS": "127.0.0.1"}
    with serving(engine, database_url, valkey_url, tmp_path / "home", settings) as server:
        yield server


def steps(server: Server, endpoint: int) -> list[tuple[str, str]]:
    entries = server.get(f"/v1/endpoints/{endpoint}").json()["entries"]
    return [(entry["step"], entry["actor"].partition(":")[0]) for entry in reversed(entries)]


def refused(server: Server, path: str, body: object, *, method: str = "POST") -> list[str]:
    answer = server.call(method, path, json=body)
    assert answer.status_code == 422, answer.text
    return [error["field"].partition("[")[0] for error in answer.json()["errors"]]


class TestAnEndpoint:
    def test_is_added_with_a_secret_that_is_shown_once(self, server: Server) -> None:
        body = {"url": URL, "types": ["case.opened"], "waits": [5, 60]}

        made = server.post("/v1/endpoints", body, headers={"Idempotency-Key": "one"})
        again = server.post("/v1/endpoints", body, headers={"Idempotency-Key": "one"})

        assert made.status_code == 201
        assert made.json()["callback_secret"].startswith("whsec_")
        assert again.json() == {**made.json(), "callback_secret": None}
        shown = server.get(made.headers["Location"]).json()
        assert (shown["url"], shown["types"], shown["waits"], shown["secrets"]) == (URL, ["case.opened"], [5, 60], 1)
        [secret] = server.ask("SELECT secrets[1] FROM endpoints WHERE id = %(id)s", id=shown["id"])[0]
        assert secret not in json.dumps(shown)
        assert steps(server, shown["id"]) == [("added", "merchant")]
        [(trace,)] = server.ask("SELECT trace FROM endpoint_entries WHERE endpoint = %(id)s", id=shown["id"])
        assert trace

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"url": "https://-/"}, "url"),
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"url": 7}, "url"),
            ({}, "url"),
            ({"url": URL, "types": ["order.lost"]}, "types"),
            ({"url": URL, "types": []}, "types"),
            ({"url": URL, "waits": [0]}, "waits"),
            ({"url": URL, "waits": [1] * 51}, "waits"),
            ({"url": URL, "secret": "whsec_"}, "secret"),
        ],
    )
    def test_is_not_made_of_what_cannot_be_used(self, server: Server, body: object, field: str) -> None:
        assert refused(server, "/v1/endpoints", body) == [field]
        assert server.ask("SELECT count(*) FROM endpoints WHERE merchant = 'shop'") == [(1,)]

    def test_is_changed_where_it_is_named_and_tells_what_was_before(self, server: Server, first: int) -> None:
        server.call("PATCH", f"/v1/endpoints/{first}", json={"types": ["case.opened"], "waits": [7]})

        answer = server.call("PATCH", f"/v1/endpoints/{first}", json={"types": None, "url": URL})

        shown = answer.json()
        assert (shown["url"], shown["types"], shown["waits"]) == (URL, None, [7])
        [entry, _] = server.get(f"/v1/endpoints/{first}").json()["entries"]
        assert entry["details"]["before"] == {"types": ["case.opened"], "url": "https://shop.example/hooks"}
        assert refused(server, f"/v1/endpoints/{first}", {"url": "http://a.example"}, method="PATCH") == ["url"]

    def test_is_listed_page_by_page_for_its_own_merchant(self, server: Server, first: int) -> None:
        second = server.post("/v1/endpoints", {"url": URL}).json()["endpoint"]

        page = server.get("/v1/endpoints?limit=1").json()
        last = server.get(f"/v1/endpoints?limit=1&cursor={page['next_cursor']}").json()

        assert [one["id"] for one in (*page["items"], *last["items"])] == [first, second]
        assert last["next_cursor"] is None
        assert [one["merchant"] for one in server.get("/v1/endpoints", key="rival").json()["items"]] == ["rival"]
        assert len(server.get("/v1/endpoints", key="operator").json()["items"]) == 3

    def test_that_is_disabled_keeps_what_happens_until_it_is_enabled(self, server: Server, first: int) -> None:
        disabled = server.post(f"/v1/endpoints/{first}/disable").json()
        server.register("A1")
        assert verify(server.engine) == []

        enabled = server.post(f"/v1/endpoints/{first}/enable").json()

        assert (disabled["enabled"], enabled["enabled"], enabled["streams_waiting"]) == (False, True, 1)
        assert (disabled["open_case"] is None, enabled["open_case"]) == (False, None)
        assert steps(server, first) == [("disabled", "merchant"), ("enabled", "merchant")]
        kept = server.ask("SELECT kind, actor LIKE 'merchant:%%', trace IS NOT NULL FROM case_entries ORDER BY id")
        assert kept == [("opened", True, True), ("closed", True, True)]

    def test_keeps_who_disabled_it_and_who_enabled_it_by_closing_its_case(self, near: Server) -> None:
        near.register("A1")
        [endpoint] = near.get("/v1/endpoints").json()["items"]
        with answering(lambda _received: an_answer(410)) as shop:
            near.do("UPDATE endpoints SET url = %(url)s WHERE id = %(id)s", url=shop.url, id=endpoint["id"])
            near.drain()
        [case] = near.get("/v1/cases").json()["items"]
        [held] = [lane for lane in near.get("/v1/backlog", key="operator").json()["lanes"] if lane["paused"]]

        near.post(f"/v1/cases/{case['id']}/close", {"note": "mended", "action": "enable"})

        assert why_held({**held, "paused_until": None}).startswith(
            "its endpoint is disabled by system:deliver: the endpoint answered 410"
        )
        enabled, disabled = near.get(f"/v1/endpoints/{endpoint['id']}").json()["entries"]
        assert (disabled["step"], disabled["actor"]) == ("disabled", "system:deliver")
        assert disabled["details"] == {"why": "the endpoint answered 410", "before": {"enabled": True}}
        assert (enabled["step"], enabled["actor"].partition(":")[0]) == ("enabled", "merchant")
        assert enabled["details"] == {"before": {"enabled": False}}

    def test_keeps_nothing_of_what_changes_nothing(self, server: Server, first: int) -> None:
        path = f"/v1/endpoints/{first}"
        [(since,)] = server.ask("SELECT types_since FROM endpoints WHERE id = %(id)s", id=first)

        server.post(f"{path}/enable")
        server.call("PATCH", path, json={"types": None, "waits": None})
        for _ in range(2):
            server.post(f"{path}/disable")
        for _ in range(2):
            server.call("PATCH", path, json={"waits": [7]})

        assert steps(server, first) == [("disabled", "merchant"), ("changed", "merchant")]
        assert server.ask("SELECT types_since FROM endpoints WHERE id = %(id)s", id=first) == [(since,)]
        assert server.ask("SELECT count(*) FROM case_entries") == [(1,)]

    def test_may_be_asked_for_by_its_own_merchants_name(self, server: Server, first: int) -> None:
        own = {"merchant": "shop"}

        said = [
            server.post("/v1/endpoints", {**own, "url": URL}),
            server.call("PATCH", f"/v1/endpoints/{first}", json={**own, "waits": [7]}),
            server.post(f"/v1/endpoints/{first}/disable", own),
            server.post("/v1/callbacks/redeliver-failed", own),
        ]

        assert [answer.status_code for answer in said] == [201, 200, 200, 202]

    def test_is_not_asked_for_by_anothers_name_or_by_a_field_that_is_not_known(
        self, server: Server, first: int
    ) -> None:
        said = [
            server.call(method, path, json=body).json()["errors"]
            for method, path, body in (
                ("POST", "/v1/endpoints", {"merchant": "rival", "url": URL}),
                ("POST", f"/v1/endpoints/{first}/disable", {"merchant": "rival"}),
                ("POST", "/v1/endpoints", {"url": URL, "secret": "whsec_"}),
                ("POST", "/v1/callbacks/redeliver-failed", {"since": "2026-01-02T00:00:00Z"}),
                ("POST", f"/v1/endpoints/{first}/enable", {"seconds": 1}),
            )
        ]

        another = {"field": "merchant", "reason": "is not the one of the key, and may be left out"}
        unknown = "is not a field of this request; there are"
        assert said == [
            [another],
            [another],
            [{"field": "secret", "reason": f"{unknown}: types, waits, url"}],
            [{"field": "since", "reason": f"{unknown}: endpoint, from, to, types"}],
            [{"field": "seconds", "reason": f"{unknown} none"}],
        ]

    def test_has_two_secrets_while_one_replaces_the_other(self, server: Server, first: int) -> None:
        [(old,)] = server.ask("SELECT secrets[1] FROM endpoints WHERE id = %(id)s", id=first)
        assert server.post(f"/v1/endpoints/{first}/finish-rotation").status_code == 409

        new = server.post(f"/v1/endpoints/{first}/rotate-secret").json()["callback_secret"]

        live = "SELECT secrets FROM endpoints WHERE id = %(id)s"
        assert server.ask(live, id=first) == [([new, old],)]
        again = server.post(f"/v1/endpoints/{first}/rotate-secret")
        assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "secrets")
        assert server.post(f"/v1/endpoints/{first}/finish-rotation").json()["secrets"] == 1
        assert server.ask(live, id=first) == [([new],)]
        assert steps(server, first) == [("rotated", "merchant"), ("finished", "merchant")]

    def test_that_is_removed_hears_nothing_more_and_is_not_there(self, server: Server, first: int) -> None:
        server.register("A1")
        server.post(f"/v1/endpoints/{first}/disable")

        assert server.call("DELETE", f"/v1/endpoints/{first}").status_code == 204

        server.register("A2")
        assert server.get("/v1/endpoints").json()["items"] == []
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/test")):
            assert server.call(method, f"/v1/endpoints/{first}{path}").status_code == 404
        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(0,)]
        assert server.ask("SELECT count(*) FROM streams WHERE endpoint = %(id)s", id=first) == [(1,)]
        assert server.ask("SELECT count(*) FROM cases WHERE closed_at IS NULL") == [(0,)]
        assert verify(server.engine) == []

    def test_that_is_removed_while_more_comes_is_left_alone_by_the_next_drain(self, server: Server, first: int) -> None:
        server.register("A1")
        [(stream, lane)] = server.ask("SELECT s.id, e.lane FROM streams s JOIN endpoints e ON e.id = s.endpoint")
        server.call("DELETE", f"/v1/endpoints/{first}")
        server.do(
            "INSERT INTO due_work (subject, lane, kind, due_at) VALUES (%(stream)s, %(lane)s, 'deliver', now())",
            stream=stream,
            lane=lane,
        )

        server.drain()

        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(0,)]
        assert server.ask("SELECT count(*) FROM deliveries") == [(0,)]

    def test_takes_no_fields_where_there_are_none_to_take(self, server: Server, first: int) -> None:
        for path in ("enable", "disable", "rotate-secret", "finish-rotation", "test"):
            assert refused(server, f"/v1/endpoints/{first}/{path}", {"seconds": 1}) == ["seconds"]
        assert steps(server, first) == []

    def test_that_is_tried_says_what_came_back(self, near: Server) -> None:
        [endpoint] = near.get("/v1/endpoints").json()["items"]
        path = f"/v1/endpoints/{endpoint['id']}"
        [(secret,)] = near.ask("SELECT secrets[1] FROM endpoints WHERE id = %(id)s", id=endpoint["id"])
        answers = iter((an_answer(204), an_answer(500)))
        with answering(lambda _received: next(answers)) as shop:
            near.call("PATCH", path, json={"url": shop.url})
            taken, broken = (near.post(f"{path}/test").json() for _ in range(2))

        assert (taken["delivered"], taken["status"], taken["why"]) == (True, 204, None)
        assert (broken["delivered"], broken["status"], broken["why"]) == (False, 500, "HTTP 500")
        assert Webhook(secret).verify(shop.received[0].body, shop.received[0].headers)["type"] == "endpoint.test"

    def test_whose_host_is_not_found_says_so_when_it_is_tried(self, server: Server, first: int) -> None:
        tried = server.post(f"/v1/endpoints/{first}/test").json()

        assert (tried["delivered"], tried["status"]) == (False, None)
        assert "shop.example" in tried["why"]


class TestARedelivery:
    @pytest.fixture
    def second(self, server: Server, first: int) -> int:  # noqa: ARG002 - only after the first is it the second
        return int(server.post("/v1/endpoints", {"url": URL}).json()["endpoint"])

    def test_of_what_failed_goes_where_it_failed_and_no_further(self, server: Server, first: int, second: int) -> None:
        server.register("A1")
        for statement in GIVE_UP:
            server.do(statement)
        server.do("UPDATE deliveries d SET state = 'delivered' FROM streams s WHERE s.id = d.stream AND s.endpoint ="
                  " %(id)s", id=second)  # fmt: skip

        nowhere = server.post("/v1/callbacks/redeliver-failed", {"endpoint": second}).json()
        said = server.post("/v1/callbacks/redeliver-failed", {"endpoint": first}).json()

        assert (nowhere, said) == ({"deliveries": 0}, {"deliveries": 1})
        again = "SELECT endpoint FROM streams WHERE single_event IS NOT NULL"
        assert server.ask(again) == [(first,)]
        assert steps(server, first)[-1] == ("redelivered", "merchant")

    @pytest.mark.parametrize(
        ("body", "deliveries"),
        [
            ({}, 2),
            ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"}, 1),
            ({"to": "2026-01-02T13:00:00+01:00"}, 0),
            ({"types": ["order.status_changed"]}, 2),
            ({"types": ["case.opened"]}, 0),
        ],
    )
    def test_of_what_failed_is_of_what_the_body_leaves_in(self, server: Server, body: object, deliveries: int) -> None:
        server.register("A1")
        server.do("UPDATE events SET created_at = '2026-01-02 12:00Z'")
        server.register("A2")
        for statement in GIVE_UP:
            server.do(statement)

        said = server.post("/v1/callbacks/redeliver-failed", body)

        assert said.json() == {"deliveries": deliveries}

    @pytest.mark.usefixtures("second")
    def test_of_a_range_is_from_a_time_or_behind_a_cursor(self, server: Server, first: int) -> None:
        server.register("A1")
        server.do("UPDATE events SET created_at = '2026-01-02 12:00Z'")
        cursor = server.get("/v1/events").json()["next_cursor"]
        server.register("A2")
        server.do("DELETE FROM due_work WHERE kind = 'deliver'")
        server.do("UPDATE streams s SET cursor = (SELECT max(x.id) FROM events x WHERE x.order_id = s.order_id)")
        old = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z"}

        said = [
            server.post("/v1/callbacks/redeliver", body).json()["deliveries"]
            for body in (old, {"after": cursor, "endpoint": first}, {"after": ""}, {**old, "after": cursor})
        ]

        assert said == [2, 1, 4, 0]
        assert server.ask(DUE) == [(4,)]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"endpoints": [1]}, ["endpoints"]),
            ({"endpoint": 999999}, ["endpoint"]),
            ({"endpoint": "1"}, ["endpoint"]),
            ({"from": "yesterday"}, ["from"]),
            ({"from": "2026-01-02T00:00:00"}, ["from"]),
            ({"since": "2026-01-02T00:00:00Z"}, ["since"]),
            ({"from": "2026-01-03T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, ["from", "to"]),
            ({"types": ["order.lost"]}, ["types"]),
        ],
    )
    def test_says_which_field_cannot_be_used(self, server: Server, body: object, fields: list[str]) -> None:
        assert refused(server, "/v1/callbacks/redeliver-failed", body) == fields
        assert refused(server, "/v1/callbacks/redeliver", body) == fields

    @pytest.mark.parametrize(("begin", "words"), [(3, "is later than `to`"), (2, "is the same as `to`")])
    def test_of_a_time_that_is_none_says_what_is_wrong_with_it(self, server: Server, begin: int, words: str) -> None:
        span = {"from": f"2026-01-0{begin}T00:00:00Z", "to": "2026-01-02T00:00:00Z"}

        refused = server.post("/v1/callbacks/redeliver", span).json()["errors"]

        assert refused[0] == {"field": "from", "reason": words}

    def test_of_a_range_says_where_it_begins(self, server: Server) -> None:
        assert refused(server, "/v1/callbacks/redeliver", {}) == ["from"]
        assert refused(server, "/v1/callbacks/redeliver", {"after": "?"}) == ["after"]
        assert refused(server, "/v1/callbacks/redeliver", {"after": "abc"}) == ["after"]

    def test_to_anothers_endpoint_is_refused_as_one_that_is_not_there(self, server: Server) -> None:
        [other] = server.get("/v1/endpoints", key="rival").json()["items"]

        assert refused(server, "/v1/callbacks/redeliver-failed", {"endpoint": other["id"]}) == ["endpoint"]
