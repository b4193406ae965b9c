"""Timed-out transactions over HTTP: reported once, shown with every attempt, and brought forward."""

import pytest

from adapters.persistence.verify import verify
from tests.integration.http.server import Server, a_timeout

ATTEMPT = """
INSERT INTO reversal_attempts (reversal_id, at, asked, answer, decided, next_at)
SELECT id, now(), 'inquiry', '{"status": "pending"}', 'ask again', now() FROM reversals
"""
LATER = "UPDATE due_work SET due_at = now() + interval '1 hour' WHERE kind = 'reverse'"
DUE = """
SELECT d.due_at <= now() FROM due_work d JOIN reversals r ON r.id = d.subject WHERE r.reference = %(reference)s
"""


def is_due(server: Server, reference: str) -> bool:
    [(due,)] = server.ask(DUE, reference=reference)
    return bool(due)


class TestATimeoutThatIsReported:
    def test_is_kept_and_shown_at_its_address(self, server: Server) -> None:
        answer = server.report("pay/1 ä", order="A-7", cause="no_response")

        assert answer.status_code == 202, answer.text
        kept = {"merchant": "shop", "provider": "acme", "reference": "pay/1 ä", "repeat": False}
        assert answer.json() == kept
        shown = server.get(answer.headers["Location"]).json()
        assert (shown["reference"], shown["order"], shown["amount"]) == ("pay/1 ä", "A-7", "100.00")
        assert (shown["outcome"], shown["cause"], shown["order_status"]) == (None, "no_response", None)
        assert (shown["next_action"]["action"], shown["attempts_made"]) == ("reverse", [])

    def test_is_a_repeat_when_it_is_reported_again_whatever_it_says(self, server: Server) -> None:
        server.report("pay-1")

        again = server.report("pay-1", amount="5.00")

        assert (again.status_code, again.json()["repeat"]) == (202, True)
        assert server.get("/v1/timeouts/pay-1").json()["amount"] == "100.00"

    def test_is_refused_by_the_field_that_is_wrong(self, server: Server) -> None:
        wrong = {"response_code": "00", "provider": "nobody", "amount": "0", "settles_at": "2020-01-01T00:00:00Z"}
        for field, value in wrong.items():
            answer = server.report("pay-1", **{field: value})
            assert answer.status_code == 422, answer.text
            assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert server.ask("SELECT count(*) FROM reversals") == [(0,)]

    def test_of_another_merchants_payment_is_a_conflict(self, server: Server) -> None:
        server.register("A1", key="rival")

        answer = server.report("pay-A1")

        assert answer.status_code == 409
        assert [error["field"] for error in answer.json()["errors"]] == ["reference"]

    def test_is_reported_once_under_its_idempotency_key(self, server: Server) -> None:
        headers, body = {"Idempotency-Key": "k"}, a_timeout("pay-1")

        first, again = (server.post("/v1/timeouts", body, headers=headers) for _ in range(2))

        assert (first.json(), first.headers["Location"]) == (again.json(), again.headers["Location"])
        assert again.headers["Idempotency-Replayed"] == "true"

    def test_holds_the_order_whose_payment_it_is(self, server: Server) -> None:
        server.register("A1")
        server.report("pay-A1")

        shown = server.get("/v1/timeouts/pay-A1").json()

        assert (shown["order"], shown["order_status"]) == ("A1", "NEW")


class TestOneTimeout:
    def test_is_shown_with_every_attempt(self, server: Server) -> None:
        server.report("pay-1")
        server.do(ATTEMPT)

        [attempt] = server.get("/v1/timeouts/pay-1").json()["attempts_made"]

        assert (attempt["asked"], attempt["answer"], attempt["decided"]) == (
            *("inquiry", {"status": "pending"}, "ask again"),
        )

    def test_needs_its_provider_where_two_have_the_reference(self, server: Server) -> None:
        server.report("pay-1")
        server.report("pay-1", provider="signing")

        for method, address in (("GET", "/v1/timeouts/pay-1"), ("POST", "/v1/timeouts/pay-1/reverse-now")):
            answer = server.call(method, address)
            assert answer.status_code == 422, answer.text
            [error] = answer.json()["errors"]
            assert error["field"] == "provider"
            assert "acme, signing" in error["reason"]
            assert server.call(method, f"{address}?provider=signing").json()["provider"] == "signing"
            assert server.call(method, f"{address}?provider=nobody").status_code == 404

    def test_of_another_merchant_is_not_there(self, server: Server) -> None:
        server.report("pay-1")

        assert server.get("/v1/timeouts/pay-1", key="rival").status_code == 404
        assert server.get("/v1/timeouts/pay-1", key="operator").json()["merchant"] == "shop"
        assert server.get("/v1/timeouts/pay-1?merchant=rival", key="operator").status_code == 404

    def test_is_brought_forward_as_often_as_somebody_asks(self, server: Server) -> None:
        server.report("pay-1")
        for _ in range(2):
            server.do(LATER)
            answer = server.post("/v1/timeouts/pay-1/reverse-now")
            assert (answer.status_code, answer.json()["repeat"]) == (202, False), answer.text
            assert is_due(server, "pay-1")

    def test_that_has_ended_is_not_brought_forward(self, server: Server) -> None:
        server.report("pay-1")
        server.do("UPDATE reversals SET outcome = 'DECLINED', ended_at = now()")

        answer = server.post("/v1/timeouts/pay-1/reverse-now")

        assert answer.status_code == 409
        assert "DECLINED" in answer.json()["errors"][0]["reason"]


class TestTimeouts:
    def test_are_listed_page_by_page_and_by_what_is_asked_for(self, server: Server) -> None:
        for number in range(3):
            server.report(f"pay-{number}")
        server.report("pay-3", key="rival", provider="signing")
        server.do("UPDATE reversals SET outcome = 'VOIDED', ended_at = now() WHERE reference = 'pay-1'")

        def listed(query: str, key: str = "shop") -> list[str]:
            return [one["reference"] for one in server.get(f"/v1/timeouts?{query}", key=key).json()["items"]]

        first = server.get("/v1/timeouts?limit=2").json()
        assert [one["reference"] for one in first["items"]] == ["pay-2", "pay-1"]
        assert listed(f"limit=2&cursor={first['next_cursor']}") == ["pay-0"]
        assert listed("outcome=VOIDED") == listed("open=false") == ["pay-1"]
        assert listed("open=true") == ["pay-2", "pay-0"]
        assert listed("provider=signing") == []
        assert listed("", key="operator") == ["pay-3", "pay-2", "pay-1", "pay-0"]
        assert listed("merchant=rival&provider=signing", key="operator") == ["pay-3"]
        assert server.get("/v1/timeouts?outcome=LOST").status_code == 422


class TestAProvidersEvent:
    @pytest.fixture(autouse=True)
    def reversal(self, server: Server) -> None:
        server.report("pay-1")
        server.do(LATER)

    def tell(self, server: Server) -> None:
        answer = server.post("/v1/providers/acme/events", {"reference": "pay-1"}, key=None)
        assert (answer.status_code, answer.content) == (202, b"")

    def test_brings_the_next_attempt_forward(self, server: Server) -> None:
        self.tell(server)

        assert is_due(server, "pay-1")
        assert server.get("/v1/timeouts/pay-1").json()["outcome"] is None
        assert verify(server.engine) == []

    def test_waits_a_moment_after_the_last_attempt(self, server: Server) -> None:
        server.do("UPDATE reversals SET last_asked_at = now() + interval '1 minute', last_answer = 'record'")

        self.tell(server)

        found = server.ask(
            "SELECT extract(epoch FROM d.due_at - r.last_asked_at)::int FROM due_work d"
            " JOIN reversals r ON r.id = d.subject"
        )
        assert found == [(2,)]

    def test_cannot_use_up_the_attempts_that_are_planned(self, server: Server) -> None:
        server.do("UPDATE reversals SET attempts = 100")

        self.tell(server)

        assert not is_due(server, "pay-1")

    def test_leaves_what_has_ended_or_is_under_way(self, server: Server) -> None:
        server.do("UPDATE due_work SET lease = 1")
        self.tell(server)
        assert not is_due(server, "pay-1")

        server.do("UPDATE due_work SET lease = NULL")
        server.do("UPDATE reversals SET outcome = 'DECLINED', ended_at = now()")
        self.tell(server)
        assert not is_due(server, "pay-1")
