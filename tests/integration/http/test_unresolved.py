"""What a merchant does about an UNRESOLVED order and its case, once and twice."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import requests

from adapters.administration.cases import CaseStaysOpen, close_case
from domain.model.command import FieldError
from domain.rules.case_actions import Action
from tests.integration.http.server import Server

KEY = {"Idempotency-Key": "another"}


@pytest.fixture
def case(server: Server) -> int:
    """The case of an order of which too little was paid."""
    server.register("A1")
    server.do("DELETE FROM due_work WHERE kind = 'poll'")
    server.do("UPDATE orders SET status = 'UNRESOLVED', reason = 'underpaid'")
    server.do(
        "INSERT INTO cases (kind, subject, merchant, order_id, known, amount_at_risk, currency, opened_at)"
        " SELECT 'AMOUNT_MISMATCH', id, merchant, id, '60.00 EUR was received', 40, 'EUR', now() FROM orders"
    )
    [(found,)] = server.ask("SELECT id FROM cases")
    return int(found)


def errors_of(answer: requests.Response) -> list[Mapping[str, Any]]:
    assert answer.status_code == 409, answer.text
    return list(answer.json()["errors"])


def steps_of(server: Server, case: int) -> list[tuple[str, Mapping[str, Any]]]:
    return [(step["kind"], step["details"]) for step in server.get(f"/v1/cases/{case}").json()["entries"]]


RESOLVED = {"action": "resolve", "before": {"order": "UNRESOLVED"}, "after": {"order": "RESOLVED"}}


class TestResolvingAnOrder:
    def test_closes_its_case_and_leaves_in_it_what_was_done(self, server: Server, case: int) -> None:
        answer = server.post("/v1/orders/A1/resolve", {"note": "waived", "by": "ann"})

        assert (answer.status_code, answer.json()["repeat"]) == (202, False)
        assert steps_of(server, case) == [("action", RESOLVED), ("closed", {})]

    @pytest.mark.parametrize("said", [{"note": "waived", "by": "ann"}, {"note": "waived"}])
    @pytest.mark.parametrize("headers", [{}, KEY])
    def test_again_is_a_repeat(self, server: Server, case: int, said: object, headers: dict[str, str]) -> None:
        server.post("/v1/orders/A1/resolve", {"note": "waived", "by": "ann"})

        again = server.post("/v1/orders/A1/resolve", said, headers=headers)

        assert (again.status_code, again.json()["repeat"]) == (202, True)
        assert len(steps_of(server, case)) == 2

    @pytest.mark.parametrize(
        ("said", "field", "stands"),
        [({"note": "sent back"}, "note", ": 'waived', by ann"), ({"note": "waived", "by": "bob"}, "by", ", by ann")],
    )
    @pytest.mark.usefixtures("case")
    def test_otherwise_is_refused_with_what_stands(self, server: Server, said: object, field: str, stands: str) -> None:
        server.post("/v1/orders/A1/resolve", {"note": "waived", "by": "ann"})

        [error] = errors_of(server.post("/v1/orders/A1/resolve", said))

        assert error == {"field": field, "reason": f"the order is RESOLVED already{stands}; that stands"}

    @pytest.mark.usefixtures("case")
    def test_by_somebody_where_nobody_was_named_hears_so(self, server: Server) -> None:
        server.post("/v1/orders/A1/resolve", {"note": "waived"})

        [error] = errors_of(server.post("/v1/orders/A1/resolve", {"note": "waived", "by": "bob"}))

        assert error == {"field": "by", "reason": "the order is RESOLVED already, without a name; that stands"}

    @pytest.mark.parametrize("blank", [" ", "\n\t ", "\u200b", "\u3000"])
    def test_with_a_note_that_says_nothing_settles_nothing(self, server: Server, case: int, blank: str) -> None:
        said = [
            server.post("/v1/orders/A1/resolve", {"note": blank}),
            server.post(f"/v1/cases/{case}/close", {"note": blank, "action": "resolve"}),
        ]

        assert [answer.status_code for answer in said] == [422, 422]
        assert [answer.json()["errors"] for answer in said] == [[{"field": "note", "reason": "is blank"}]] * 2
        assert server.get("/v1/orders/A1").json()["status"] == "UNRESOLVED"


class TestClosingItsCase:
    def test_resolves_the_order_and_leaves_the_same_record(self, server: Server, case: int) -> None:
        closed = server.post(f"/v1/cases/{case}/close", {"note": "waived", "action": "resolve"})

        assert closed.status_code == 200, closed.text
        assert server.get("/v1/orders/A1").json()["status"] == "RESOLVED"
        assert steps_of(server, case) == [("action", RESOLVED), ("closed", {})]

    def test_names_what_is_needed_and_what_is_possible(self, server: Server, case: int) -> None:
        bare = server.post(f"/v1/cases/{case}/close", {"note": "never mind"})
        wrong = server.post(f"/v1/cases/{case}/close", {"note": "never mind", "action": "enable"})

        needed = "is needed: the order is UNRESOLVED; `resolve` it once it is settled; possible now: resolve"
        assert errors_of(bare) == [{"field": "action", "reason": needed}]
        [error] = errors_of(wrong)
        assert (error["field"], error["reason"].endswith("possible now: resolve")) == ("action", True)

    def test_is_refused_without_a_trace_where_the_action_is_none_that_it_offers(
        self, server: Server, case: int
    ) -> None:
        offered = server.get(f"/v1/cases/{case}").json()["actions"]

        [error] = errors_of(server.post(f"/v1/cases/{case}/close", {"note": "look again", "action": "ask"}))

        assert set(offered) == {"resolve"}
        told = "the order is UNRESOLVED; `resolve` it once it is settled; possible now: resolve"
        assert error == {"field": "action", "reason": told}
        assert server.ask("SELECT count(*) FROM due_work WHERE kind = 'watch'") == [(0,)]

    def test_by_who_comes_second_hears_what_stands_and_is_not_sent_back_to_the_same(
        self, server: Server, case: int
    ) -> None:
        def too_late(_name: str, _fields: Mapping[str, str]) -> Sequence[FieldError]:
            server.post("/v1/orders/A1/resolve", {"note": "waived"})
            refused = errors_of(server.post("/v1/orders/A1/resolve", {"note": "sent back"}))
            return [FieldError(**error) for error in refused]

        with pytest.raises(CaseStaysOpen) as refused:
            close_case(
                server.engine, case, note="sent back", actor="operator:ann", command=too_late, action=Action.RESOLVE
            )

        assert refused.value.reason.startswith("the order is RESOLVED already: 'waived', without a name; that stands")
        assert "the case is closed, by " in refused.value.reason
        assert "possible now" not in refused.value.reason

    @pytest.mark.parametrize("said", [{"action": "resolve"}, {"resolve": True}, {}])
    def test_again_answers_as_it_did(self, server: Server, case: int, said: Mapping[str, object]) -> None:
        first = server.post(f"/v1/cases/{case}/close", {"note": "waived", "action": "resolve"})

        again = server.post(f"/v1/cases/{case}/close", {"note": "waived", **said})

        assert (again.status_code, again.json()) == (200, first.json())
        assert len(steps_of(server, case)) == 2

    @pytest.mark.parametrize(
        ("said", "field"), [({"note": "sent back"}, "note"), ({"note": "waived", "action": "ask"}, "action")]
    )
    def test_otherwise_is_refused_with_what_stands(
        self, server: Server, case: int, said: Mapping[str, object], field: str
    ) -> None:
        server.post(f"/v1/cases/{case}/close", {"note": "waived", "action": "resolve"})

        [error] = errors_of(server.post(f"/v1/cases/{case}/close", said))

        assert error["field"] == field
        assert error["reason"].startswith("the case is closed, by merchant:")
        assert error["reason"].endswith("; that stands")

    def test_of_which_the_order_was_resolved_is_the_same_word(self, server: Server, case: int) -> None:
        server.post("/v1/orders/A1/resolve", {"note": "waived"})

        same = server.post(f"/v1/cases/{case}/close", {"note": "waived", "action": "resolve"})
        other = server.post(f"/v1/cases/{case}/close", {"note": "sent back", "action": "resolve"})

        assert same.status_code == 200
        assert [error["field"] for error in errors_of(other)] == ["note"]


class TestCancelingAnOrder:
    @pytest.mark.parametrize("said", [{"by": "user", "reason": "too dear"}, {"by": "user"}])
    def test_again_is_a_repeat(self, server: Server, said: object) -> None:
        server.register("A1")
        server.post("/v1/orders/A1/cancel", {"by": "user", "reason": "too dear"})

        again = server.post("/v1/orders/A1/cancel", said, headers=KEY)

        assert (again.status_code, again.json()["repeat"]) == (202, True)

    def test_for_a_reason_that_says_nothing_is_refused(self, server: Server) -> None:
        server.register("A1")

        refused = server.post("/v1/orders/A1/cancel", {"by": "user", "reason": "  "})

        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"field": "reason", "reason": "is blank"}]

    def test_otherwise_is_refused_with_what_stands(self, server: Server) -> None:
        server.register("A1")
        server.post("/v1/orders/A1/cancel", {"by": "user", "reason": "too dear"})

        found = {
            error["field"]: error["reason"]
            for said in ({"by": "merchant", "reason": "too dear"}, {"by": "user", "reason": "too late"})
            for error in errors_of(server.post("/v1/orders/A1/cancel", said))
        }

        stands = "the order is being canceled already, by user: too dear; that stands"
        assert found == {"by": stands, "reason": stands}


class TestACompletedCheckout:
    def test_again_is_a_repeat_for_the_first_stands(self, server: Server) -> None:
        server.register("A1")
        first = server.post("/v1/orders/A1/checkout-completed", {"at": "2026-11-21T10:00:00Z"})

        again = server.post("/v1/orders/A1/checkout-completed", {"at": "2026-11-21T11:00:00Z"}, headers=KEY)

        assert (first.json()["repeat"], again.json()["repeat"]) == (False, True)
        assert server.get("/v1/orders/A1").json()["checkout_completed_at"].startswith("2026-11-21T10:00:00")
