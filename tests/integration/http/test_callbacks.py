"""Callbacks that are delivered once more, and hints that come from providers."""

import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from adapters.persistence.verify import verify
from tests.integration.http.server import SECRET, Server

TRIED = """
INSERT INTO deliveries (stream, event_row, state, tries, status, error, first_tried_at, last_tried_at)
SELECT s.id, x.id, %(state)s, 10, 500, 'no 2xx', now(), now() FROM streams s JOIN events x ON x.order_id = s.order_id
"""
PASSED = "UPDATE streams s SET cursor = (SELECT max(x.id) FROM events x WHERE x.order_id = s.order_id)"
DUE = "SELECT count(*) FROM due_work WHERE kind = 'deliver' AND due_at <= now()"


@pytest.fixture
def event(server: Server) -> str:
    """An event that was given up."""
    server.register("A1")
    server.do(TRIED, state="failed")
    server.do(PASSED)
    server.do("DELETE FROM due_work WHERE kind = 'deliver'")
    [(name,)] = server.ask("SELECT event FROM events")
    return str(name)


class TestARedelivery:
    def test_of_an_event_is_due_in_a_stream_of_its_own(self, server: Server, event: str) -> None:
        answer = server.post(f"/v1/callbacks/{event}/redeliver")

        assert (answer.status_code, answer.json()) == (202, {"deliveries": 1})
        assert server.ask(DUE) == [(1,)]
        callbacks = server.get("/v1/callbacks").json()["items"]
        assert [(one["id"], one["state"], one["redelivery"]) for one in callbacks] == [
            (event, "pending", True),
            (event, "failed", False),
        ]
        assert verify(server.engine) == []

    def test_of_all_that_failed_asks_for_each_once(self, server: Server, event: str) -> None:
        assert event
        said = [server.post("/v1/callbacks/redeliver-failed").json() for _ in range(2)]

        assert said == [{"deliveries": 1}, {"deliveries": 0}]
        assert server.ask(DUE) == [(1,)]
        # It has failed again: then it may be asked for again.
        server.do("UPDATE streams SET cursor = single_event WHERE single_event IS NOT NULL")
        server.do(
            "INSERT INTO deliveries SELECT id, single_event, 'failed', 10, 500, 'no', now(), now() FROM streams"
            " WHERE single_event IS NOT NULL"
        )
        assert server.post("/v1/callbacks/redeliver-failed").json() == {"deliveries": 1}

    def test_of_one_that_waits_brings_its_stream_forward(self, server: Server) -> None:
        server.register("A1")
        server.do(TRIED, state="pending")
        server.do("UPDATE due_work SET due_at = now() + interval '1 hour' WHERE kind = 'deliver'")
        [(event,)] = server.ask("SELECT event FROM events")

        assert server.post(f"/v1/callbacks/{event}/redeliver").status_code == 202

        assert server.ask(DUE) == [(1,)]
        assert server.ask("SELECT count(*) FROM streams") == [(1,)]

    def test_is_listed_by_state(self, server: Server, event: str) -> None:
        for state, expected in {"failed": [event], "pending": [], "delivered": []}.items():
            items = server.get(f"/v1/callbacks?state={state}").json()["items"]
            assert [one["id"] for one in items] == expected

    def test_of_what_is_not_there_is_not_found(self, server: Server, event: str) -> None:
        assert server.post("/v1/callbacks/evt_0_0/redeliver").status_code == 404
        assert server.post(f"/v1/callbacks/{event}/redeliver", key="rival").status_code == 404


class TestAProvidersEvent:
    @pytest.fixture
    def order(self, server: Server) -> int:
        server.register("A1")
        server.do("UPDATE due_work SET due_at = now() + interval '1 hour', step = 3 WHERE kind = 'poll'")
        [(found,)] = server.ask("SELECT id FROM orders")
        return int(found)

    def test_brings_the_poll_forward_and_leaves_the_cadence(self, server: Server, order: int) -> None:
        answer = server.post("/v1/providers/acme/events", {"reference": "pay-A1", "status": "paid"}, key=None)

        assert (answer.status_code, answer.content) == (202, b"")
        found = server.ask("SELECT due_at <= now(), step FROM due_work WHERE subject = %(id)s", id=order)
        assert found == [(True, 3)]
        assert server.get("/v1/orders/A1").json()["status"] == "NEW"

    def test_that_comes_again_at_once_waits_a_moment(self, server: Server, order: int) -> None:
        server.post("/v1/providers/acme/events", {"reference": "pay-A1"}, key=None)
        server.do("UPDATE due_work SET due_at = now() + interval '1 hour' WHERE kind = 'poll'")

        server.post("/v1/providers/acme/events", {"reference": "pay-A1"}, key=None)

        [(seconds,)] = server.ask(
            "SELECT extract(epoch FROM d.due_at - t.told_at)::int FROM due_work d"
            " JOIN transactions t ON t.order_id = d.subject WHERE d.subject = %(id)s",
            id=order,
        )
        assert seconds == 2

    def test_that_comes_while_its_payment_is_asked_about_has_it_asked_about_once_more(
        self, server: Server, order: int
    ) -> None:
        server.do("UPDATE due_work SET lease = 1 WHERE kind = 'poll'")
        plan = "SELECT generation, lease, due_at > now() FROM due_work WHERE subject = %(id)s"
        [(generation, _, _)] = server.ask(plan, id=order)

        for _ in range(3):  # only the first: the others follow it too soon
            server.post("/v1/providers/acme/events", {"reference": "pay-A1"}, key=None)

        # The lease stands; who gives it back finds another plan than his own, and the row is due at once.
        assert server.ask(plan, id=order) == [(generation + 1, 1, True)]

    def test_of_an_order_that_owes_nothing_is_asked_about_once(self, server: Server, order: int) -> None:
        server.do("DELETE FROM due_work WHERE kind = 'poll'")
        server.do("UPDATE orders SET status = 'PAID'")

        server.post("/v1/providers/acme/events", {"reference": "pay-A1"}, key=None)

        assert server.ask("SELECT kind FROM due_work WHERE subject = %(id)s", id=order) == [("watch",)]

    def test_of_an_unknown_payment_is_answered_the_same(self, server: Server) -> None:
        answer = server.post("/v1/providers/acme/events", {"reference": "nobody's"}, key=None)

        assert (answer.status_code, answer.content) == (202, b"")
        assert server.post("/v1/providers/nobody/events", {"reference": "x"}, key=None).status_code == 404
        assert server.post("/v1/providers/acme/events", {"reference": "\x00"}, key=None).status_code == 422

    def test_is_believed_only_with_its_providers_signature(self, server: Server) -> None:
        server.register("A1", provider="signing")
        server.do("UPDATE due_work SET due_at = now() + interval '1 hour' WHERE kind = 'poll'")
        body = json.dumps({"reference": "pay-A1"})
        now = datetime.now(UTC)
        signed = {
            "Content-Type": "application/json",
            "webhook-id": "event-1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign("event-1", now, body),
        }
        wrong = [
            {},
            {"webhook-signature": "v1,AAAA"},
            {"webhook-signature": "garbled"},
            {"webhook-signature": "v1,ä!"},
            {"webhook-timestamp": "1"},
            {"webhook-timestamp": "NaN"},
            {"webhook-id": "event-2"},
        ]
        path = "/v1/providers/signing/events"
        for other in wrong:
            headers = {**signed, **other} if other else {"Content-Type": "application/json"}
            answer = server.call("POST", path, key=None, data=body, headers={k: v.encode() for k, v in headers.items()})
            assert answer.status_code == 401, other
        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'poll' AND due_at <= now()") == [(0,)]

        answer = server.call("POST", path, key=None, data=body, headers=signed)

        assert answer.status_code == 202
        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'poll' AND due_at <= now()") == [(1,)]
