"""The command line, called as its users call it."""

import json

import pytest
from sqlalchemy import Engine

from adapters.persistence.columns import run as ask
from adapters.persistence.migrate import is_current
from domain.model.answer import ProviderStatus
from tests.builders import a_record, money
from tests.integration.command_line import Trueup
from tests.integration.store import Store

ADD = ("merchant", "add", "shop", "--name", "The Shop", "--email", "orders@shop.example")
URL = ("--callback-url", "https://shop.example/callbacks")


class TestConfig:
    def test_shows_what_is_in_force_with_secrets_hidden(self, trueup: Trueup, database_url: str) -> None:
        shown = trueup.json("config")

        assert shown["settings"]["TRUEUP_DATABASE_URL"]["from"] == "environment"
        assert database_url not in json.dumps(shown)

    def test_shows_secrets_where_they_are_asked_for(self, trueup: Trueup, database_url: str) -> None:
        shown = trueup.json("config", "--show-secrets")

        assert shown["settings"]["TRUEUP_DATABASE_URL"]["value"] == database_url

    def test_refuses_a_setting_that_is_unknown_on_one_line(
        self, trueup: Trueup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRUEUP_DATABSE_URL", "x")

        trueup("config", status=2)

        assert trueup.complaint == "trueup: TRUEUP_DATABSE_URL: is not a known setting\n"


class TestMigrate:
    def test_brings_an_empty_database_up_to_date_and_may_be_run_again(self, trueup: Trueup, engine: Engine) -> None:
        with engine.begin() as connection:
            ask(connection, "DROP SCHEMA public CASCADE")
            ask(connection, "CREATE SCHEMA public")

        trueup("verify", status=1)
        assert "trueup migrate" in trueup.complaint
        trueup("migrate")
        trueup("migrate")

        assert is_current(engine)


class TestMerchantAdd:
    def test_answers_a_key_and_a_secret_and_keeps_no_key(self, trueup: Trueup, engine: Engine) -> None:
        options = (
            "--cancellation-timeout",
            "3600",
            "--check",
            "stores",
            "--check",
            "line_items",
            "--tolerance",
            "0.50",
        )

        made = trueup.json(*ADD, *URL, *options, "--sanity-queue")

        assert set(made) == {"merchant", "api_key", "callback_secret"}
        assert made["callback_secret"].startswith("whsec_")
        with engine.connect() as connection:
            [kept] = ask(connection, "SELECT * FROM merchants").mappings()
            [key] = ask(connection, "SELECT * FROM api_keys").mappings()
            [endpoint] = ask(
                connection, "SELECT e.*, l.name, l.family FROM endpoints e JOIN lanes l ON l.id = e.lane"
            ).mappings()
        assert (kept["cancellation_timeout"], kept["checkout_timeout"]) == (3600, None)
        assert kept["tolerance"] == money("0.50")
        assert kept["checks"] == ["line_items", "stores"]
        assert (kept["sanity_queue"], kept["auto_retrigger"]) == (True, False)
        assert made["api_key"] not in key["hash"]
        assert endpoint["secrets"] == [made["callback_secret"]]
        assert (endpoint["family"], endpoint["name"]) == ("endpoint", str(endpoint["id"]))
        assert trueup("verify").strip() == "nothing is wrong"

    @pytest.mark.parametrize(
        ("given", "option"),
        [
            (("--callback-url", "http://shop.example/"), "--callback-url"),
            (("--callback-url", "https://10.0.0.1/"), "--callback-url"),
            ((*URL, "--email", "nobody"), "--email"),
            ((*URL, "--name", " "), "--name"),
            ((*URL, "--cancellation-timeout", "0"), "--cancellation-timeout"),
            ((*URL, "--checkout-timeout", "soon"), "--checkout-timeout"),
            ((*URL, "--tolerance", "-1"), "--tolerance"),
            ((*URL, "--tolerance", "1e5"), "--tolerance"),
            ((*URL, "--check", "everything"), "--check"),
            ((), "--callback-url"),
            ((*URL, "--no-such-option"), "--no-such-option"),
        ],
    )
    def test_refuses_what_cannot_be_used_by_the_options_name(
        self, trueup: Trueup, engine: Engine, given: tuple[str, ...], option: str
    ) -> None:
        trueup(*ADD, *given, status=2)

        assert option in trueup.complaint
        assert trueup.complaint.count("\n") == 1
        with engine.connect() as connection:
            assert ask(connection, "SELECT count(*) FROM merchants").scalar_one() == 0

    def test_refuses_a_second_of_the_same_id(self, trueup: Trueup) -> None:
        trueup(*ADD, *URL)

        trueup(*ADD, *URL, status=2)

        assert "there is a merchant 'shop' already" in trueup.complaint

    def test_takes_private_hosts_that_are_allowed(self, trueup: Trueup, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRUEUP_CALLBACK_ALLOW_HOSTS", "127.0.0.1")

        trueup(*ADD, "--callback-url", "http://127.0.0.1:8000/callbacks")


class TestMerchantSet:
    def test_changes_only_what_is_named(self, trueup: Trueup, engine: Engine) -> None:
        trueup(*ADD, *URL, "--check", "stores", "--tolerance", "1")

        trueup("merchant", "set", "shop", "--no-checks", "--auto-retrigger", "--callback-url", "https://other.example/")

        with engine.connect() as connection:
            [kept] = ask(connection, "SELECT * FROM merchants").mappings()
            [endpoint] = ask(connection, "SELECT * FROM endpoints").mappings()
        assert (kept["checks"], kept["auto_retrigger"], kept["tolerance"]) == ([], True, money(1))
        assert (kept["name"], endpoint["url"]) == ("The Shop", "https://other.example/")

    @pytest.mark.parametrize(
        "arguments", [("nobody", "--tolerance", "1"), ("shop",), ("shop", "--no-checks", "--check", "stores")]
    )
    def test_refuses_what_changes_nothing_or_nobody(self, trueup: Trueup, arguments: tuple[str, ...]) -> None:
        trueup(*ADD, *URL)

        trueup("merchant", "set", *arguments, status=2)


class TestMerchantKey:
    def test_makes_another_and_revokes_one(self, trueup: Trueup, engine: Engine) -> None:
        first = trueup.json(*ADD, *URL)["api_key"]

        second = trueup.json("merchant", "key", "shop")
        trueup("merchant", "key", "shop", "--revoke", "1")

        assert second["api_key"] != first
        with engine.connect() as connection:
            rows = ask(connection, "SELECT id, revoked_at IS NULL FROM api_keys ORDER BY id").fetchall()
        assert rows == [(1, False), (second["key"], True)]

    def test_revokes_nobody_elses(self, trueup: Trueup) -> None:
        trueup(*ADD, *URL)
        trueup("merchant", "add", "rival", "--name", "R", "--email", "r@rival.example", *URL)

        trueup("merchant", "key", "rival", "--revoke", "1", status=2)

        assert "--revoke" in trueup.complaint


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.mark.usefixtures("providers")
class TestOrder:
    def test_shows_its_state_and_all_that_happened(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))

        shown = trueup.json("order", "show", "A1")

        assert (shown["status"], shown["reason"], shown["amount_received"]) == ("UNRESOLVED", "underpaid", "60.00")
        assert [entry["kind"] for entry in shown["timeline"]] == ["status", "transaction", "status"]
        assert [case["kind"] for case in shown["cases"]] == ["AMOUNT_MISMATCH"]
        assert "UNRESOLVED" in trueup("order", "show", "A1")

    def test_says_what_happens_next_and_by_which_rule(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")

        why = trueup.json("why", "A1")

        assert why["next"]["kind"] == "poll"
        assert why["deadline"]["reason"] == "payment_window"
        assert any("step 1 of its poll cadence" in reason for reason in why["why"])

    def test_says_which_case_a_person_must_decide(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))

        why = trueup("why", "A1")

        assert "a person must decide" in why
        assert "AMOUNT_MISMATCH" in why

    def test_asks_for_the_merchant_where_two_have_it(self, trueup: Trueup, engine: Engine, store: Store) -> None:
        store.register("A1")
        Store(engine, merchant="rival").register("A1", reference="pay-other")

        trueup("order", "show", "A1", status=2)
        assert "--merchant" in trueup.complaint

        assert trueup.json("order", "show", "A1", "--merchant", "rival")["merchant"] == "rival"

    def test_that_is_unknown_is_said_so(self, trueup: Trueup) -> None:
        trueup("why", "nothing", status=2)

        assert "no order is called 'nothing'" in trueup.complaint


class TestBacklog:
    def test_counts_what_waits_and_what_is_held_up(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.say("checkout_completed", order="unknown")
        store.say("register_order", order="bad")
        store.damage("UPDATE lanes SET paused = true WHERE family = 'provider'")

        found = trueup.json("backlog")

        assert {(row["kind"], row["family"]) for row in found["work"]} == {
            ("poll", "provider"),
            ("deliver", "endpoint"),
            ("command", "merchant"),
        }
        assert [lane["lane"] for lane in found["lanes"]] == ["acme"]
        assert (found["commands_waiting"], found["messages_refused"]) == (1, 1)
        assert "paused by an operator" in trueup("backlog")

    def test_counts_what_waits_in_sanity_queues(self, trueup: Trueup, store: Store) -> None:
        store.damage("UPDATE merchants SET checks = '{line_items}', sanity_queue = true")
        for order in ("A1", "A2"):
            payment = {"provider": "acme", "reference": order, "amount": "1.00", "currency": "EUR"}
            store.say("register_order", order=order, **payment, bill={"line_items": ["tea"]})
        store.damage("UPDATE rejections SET rejected_at = rejected_at - interval '1 hour' WHERE \"order\" = 'A1'")
        trueup("rejected", "retrigger", "--merchant", "shop")

        [queue] = trueup.json("backlog")["sanity_queues"]

        assert (queue["merchant"], queue["pending"], queue["retriggers_open"]) == ("shop", 2, 1)
        assert 3600 <= queue["oldest_seconds"] < 7200
        assert "sanity queues" in trueup("backlog")


class TestRefusedMessages:
    def test_are_listed_page_by_page_and_by_merchant(self, trueup: Trueup, store: Store) -> None:
        store.say("register_order", order="bad")
        store.say("register_order", order="worse", amount="x")
        store.say("register_order", order="theirs", merchant="nobody")

        last, *others = trueup.json("messages", "refused")

        assert [(one["merchant"], one["order"]) for one in (last, *others)] == [
            ("nobody", "theirs"),
            ("shop", "worse"),
            ("shop", "bad"),
        ]
        assert json.loads(others[0]["body"])["amount"] == "x"
        rest = trueup.json("messages", "refused", "--after", str(others[0]["id"]))
        assert [one["order"] for one in rest] == ["bad"]
        assert [one["order"] for one in trueup.json("messages", "refused", "--merchant", "nobody")] == ["theirs"]
        assert "is required" in trueup("messages", "refused")

    def test_lists_callbacks(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")

        [pending, *_] = trueup.json("callbacks")

        assert pending["merchant"] == "shop"
        assert "A1" in trueup("callbacks")


@pytest.mark.usefixtures("providers")
class TestCases:
    @pytest.fixture
    def case(self, store: Store) -> str:
        store.register("A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1", amount_received=money("60.00")))
        [(found,)] = store.ask("SELECT id FROM cases")
        return str(found)

    @pytest.fixture
    def given_up(self, store: Store) -> str:
        order = store.register("A2")
        store.damage(
            f"DELETE FROM due_work WHERE subject = {order}",
            "INSERT INTO cases (kind, subject, merchant, order_id, known, opened_at)"
            f" VALUES ('STUCK', {order}, 'shop', {order}, 'the last error: none', now())",
        )
        [(found,)] = store.ask("SELECT id FROM cases")
        return str(found)

    def test_are_listed_and_shown(self, trueup: Trueup, case: str) -> None:
        assert [str(one["id"]) for one in trueup.json("cases", "list")] == [case]
        assert trueup.json("cases", "show", case)["amount_at_risk"] == "40.00"

    def test_do_not_close_while_their_order_is_unresolved(self, trueup: Trueup, case: str) -> None:
        trueup("cases", "close", case, "--note", "never mind", status=2)

        assert trueup.complaint.startswith("trueup: --action: is needed: the order is UNRESOLVED")
        assert trueup("verify").strip() == "nothing is wrong"

    def test_close_with_the_order_resolved(
        self, trueup: Trueup, case: str, store: Store, monkeypatch: pytest.MonkeyPatch, valkey_url: str
    ) -> None:
        monkeypatch.setenv("TRUEUP_BROKER_URL", valkey_url)

        trueup("cases", "close", case, "--note", "the rest came by hand", "--resolve")

        assert store.ask("SELECT status FROM orders") == [("RESOLVED",)]
        assert trueup.json("cases", "list") == []
        assert trueup("verify").strip() == "nothing is wrong"

    def test_of_what_was_given_up_close_only_when_it_goes_on(
        self, trueup: Trueup, given_up: str, store: Store, monkeypatch: pytest.MonkeyPatch, valkey_url: str
    ) -> None:
        monkeypatch.setenv("TRUEUP_BROKER_URL", valkey_url)

        trueup("cases", "close", given_up, "--note", "never mind", status=2)
        assert trueup.complaint.startswith("trueup: --action: is needed, for nothing is planned")
        assert trueup.complaint.endswith("; possible now: retry\n")
        trueup("cases", "close", given_up, "--note", "mended", "--resume")

        assert store.ask("SELECT kind FROM due_work WHERE kind = 'poll'") == [("poll",)]
        assert trueup("verify").strip() == "nothing is wrong"


class TestVerifyOnTheCommandLine:
    def test_ends_with_1_and_a_line_for_each_breach(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.damage("DELETE FROM due_work WHERE kind = 'poll'")

        said = trueup("verify", status=1)

        [breach] = said.splitlines()
        assert breach.startswith("I2 order shop A1:")
        assert trueup.json("verify", status=1)["breaches"][0]["invariant"] == "I2"
