"""`trueup cases`: what can be done about a case, done as its users do it, and every step of it kept."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from domain.model.answer import ProviderStatus
from domain.model.due_work import LaneFamily, Work
from tests.builders import a_record, money
from tests.contract.test_streams import claim_of, save
from tests.fakes.bench import SqlBench
from tests.integration.command_line import Trueup
from tests.integration.store import Store

pytestmark = pytest.mark.usefixtures("providers")


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.fixture
def bench(engine: Engine) -> SqlBench:
    bench = SqlBench(engine)
    bench.clock.now = datetime.now(UTC)
    return bench


@pytest.fixture
def trueup(trueup: Trueup, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> Trueup:
    monkeypatch.setenv("TRUEUP_BROKER_URL", valkey_url)
    return trueup


def only_case(store: Store) -> str:
    [(case,)] = store.ask("SELECT id FROM cases WHERE closed_at IS NULL")
    return str(case)


class TestACase:
    def test_says_what_can_be_done_and_keeps_who_did_it(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))
        case = only_case(store)

        shown = trueup.json("cases", "show", case)
        said = trueup("cases", "show", case)
        trueup("cases", "close", case, "--note", "the rest came by hand", "--action", "resolve")

        assert shown["actions"].keys() == {"resolve"}
        assert f"to close it: trueup cases close {case} --note TEXT --action resolve\n" in said
        assert (shown["amount"], shown["amount_received"]) == ("100.00", "60.00")
        steps = trueup.json("cases", "show", case)["entries"]
        assert [step["kind"] for step in steps] == ["opened", "action", "closed"]
        assert steps[1]["actor"].startswith("operator:")
        assert steps[1]["details"] == {
            "action": "resolve",
            "before": {"order": "UNRESOLVED"},
            "after": {"order": "RESOLVED"},
        }
        assert trueup("verify").strip() == "nothing is wrong"

    def test_refuses_what_cannot_be_done(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))

        trueup("cases", "close", only_case(store), "--note", "n", "--action", "redeliver", status=2)

        assert trueup.complaint.startswith("trueup: --action: the case is about no ")
        assert trueup.complaint.endswith("; possible now: resolve\n")

    def test_that_the_facts_close_keeps_what_was_before_and_after(self, trueup: Trueup, store: Store) -> None:
        order = store.register("A1")
        store.damage(
            "INSERT INTO cases (kind, subject, merchant, order_id, known, opened_at)"
            f" VALUES ('POLLING_EXHAUSTED', {order}, 'shop', {order}, 'no answer', now())"
        )
        case = only_case(store)

        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1"))

        [step] = trueup.json("cases", "show", case)["entries"]
        assert (step["kind"], step["actor"], step["note"]) == ("closed", "system:reconcile", "the order is PAID")
        assert step["details"] == {"before": {"order": "NEW"}, "after": {"order": "PAID"}}

    def test_of_an_order_that_was_given_up_may_cancel_it(self, trueup: Trueup, store: Store) -> None:
        order = store.register("A1")
        store.damage(
            f"DELETE FROM due_work WHERE subject = {order}",
            "INSERT INTO cases (kind, subject, merchant, order_id, known, opened_at)"
            f" VALUES ('POLLING_EXHAUSTED', {order}, 'shop', {order}, 'nothing final', now())",
        )

        trueup("cases", "close", only_case(store), "--note", "nobody pays", "--action", "cancel")

        assert store.ask("SELECT kind FROM due_work WHERE subject = %(id)s", id=order) == [("close",)]
        assert store.ask("SELECT cancel_by, cancel_reason FROM orders") == [("merchant", "nobody pays")]
        assert trueup("verify").strip() == "nothing is wrong"


class TestAnAmount:
    @pytest.mark.parametrize(
        ("currency", "asked", "received", "at_risk"),
        [("EUR", "100.00", "89.5", "10.50"), ("JPY", "5000", "4000", "1000"), ("KWD", "2", "0.75", "1.250")],
    )
    def test_has_the_decimals_of_its_currency_wherever_it_is_shown(
        self, trueup: Trueup, store: Store, currency: str, asked: str, received: str, at_risk: str
    ) -> None:
        store.damage("UPDATE merchants SET email = 'ops@shop.example'")
        store.register("A1", amount=asked, currency=currency)
        paid = {"reference": "pay-A1", "amount": money(asked), "currency": currency}

        store.answer("A1", a_record(ProviderStatus.PAID, **paid, amount_received=money(received)))

        shown = trueup.json("cases", "show", only_case(store))
        assert shown["amount_at_risk"] == at_risk
        assert shown["entries"][0]["details"]["amount_at_risk"] == at_risk
        assert [case["amount_at_risk"] for case in trueup.json("cases", "list")] == [at_risk]
        assert [case["amount_at_risk"] for case in trueup.json("why", "A1")["cases"]] == [at_risk]
        assert f"amount_at_risk: {at_risk}\n" in trueup("cases", "show", only_case(store))
        [(told,)] = store.ask("SELECT convert_from(body, 'UTF8') FROM events WHERE type = 'case.opened'")
        assert json.loads(told)["data"]["amount_at_risk"] == at_risk
        [(mail,)] = store.ask("SELECT text FROM mails")
        assert f"Amount at risk: {at_risk} {currency}\n" in mail

    def test_that_is_found_later_is_a_text_too(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))
        refund = {"id": "r-1", "kind": "refund", "state": "done", "amount": "60.00"}

        for _ in range(2):
            store.say("record_operation", order="A1", operation=refund)

        opened, found = trueup.json("cases", "show", only_case(store))["entries"]
        assert (opened["details"]["amount_at_risk"], found["details"]["amount_at_risk"]) == ("40.00", "0.00")


class TestTheCaseOfAStuckCommand:
    @pytest.fixture
    def case(self, store: Store, bench: SqlBench) -> str:
        store.say("cancel_order", order="A9", by="merchant")
        store.damage("UPDATE due_work SET due_at = now() - interval '1 minute' WHERE kind = 'command'")
        claim = bench.claim(Work.COMMAND, lane=bench.lane("shop", LaneFamily.MERCHANT))
        with bench.units() as uow:
            uow.due_work.park(claim, [row.subject for row in claim.rows])
            uow.commit()
        return only_case(store)

    def test_has_a_deadline_and_lets_it_be_tried_again(self, trueup: Trueup, store: Store, case: str) -> None:
        shown = trueup.json("cases", "show", case)
        trueup("cases", "close", case, "--note", "mended", "--resume")

        assert shown["actions"].keys() == {"retry", "refuse"}
        assert shown["deadline"]
        assert store.ask("SELECT due_at <= now() FROM due_work WHERE kind = 'command'") == [(True,)]
        assert trueup("verify").strip() == "nothing is wrong"

    def test_lets_it_be_refused(self, trueup: Trueup, store: Store, case: str) -> None:
        trueup("cases", "close", case, "--note", "it makes no sense", "--action", "refuse")

        [(state, reason)] = store.ask("SELECT state, reason FROM inbox WHERE name = 'intake.cancel_order'")
        assert (state, reason.endswith("it makes no sense")) == ("refused", True)
        [refused] = trueup.json("messages", "refused")
        assert (refused["name"], refused["errors"]) == ("intake.cancel_order", [{"field": "order", "reason": reason}])
        assert store.ask("SELECT count(*) FROM events WHERE type = 'message.refused'") == [(1,)]
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'command'") == [(0,)]
        assert trueup("verify").strip() == "nothing is wrong"


class TestTheCaseOfWhatWasGivenUp:
    def test_is_closed_by_a_later_delivery(self, trueup: Trueup, store: Store, bench: SqlBench) -> None:
        store.register("A1")
        [(endpoint,)] = store.ask("SELECT id FROM endpoints")
        store.damage(
            "INSERT INTO deliveries SELECT s.id, x.id, 'failed', 10, 500, NULL, now(), now()"
            " FROM streams s JOIN events x USING (order_id)",
            "UPDATE streams SET cursor = (SELECT max(id) FROM events)",
            "DELETE FROM due_work WHERE kind = 'deliver'",
            "INSERT INTO cases (kind, subject, merchant, known, opened_at)"
            " SELECT 'UNDELIVERABLE', endpoint, 'shop', 'tried ten times', now() FROM streams",
        )
        case = only_case(store)
        trueup("callbacks", "redeliver", "--failed", "--merchant", "shop")
        bench.clock.now = datetime.now(UTC)

        save(bench, claim_of(bench, endpoint), settles=True)

        shown = trueup.json("cases", "show", case)
        assert (shown["closed_by"], shown["note"]) == ("system:deliver", "it was delivered")
        assert trueup("verify").strip() == "nothing is wrong"
