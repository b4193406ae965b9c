"""`trueup timeouts`, and what the command line says elsewhere of transactions that timed out."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from adapters.persistence import timeouts
from domain.model.answer import NoRecord, ProviderStatus, Record, Refused, Unreachable
from tests.builders import a_record
from tests.integration.command_line import Trueup
from tests.integration.store import Store


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> None:
    monkeypatch.setenv("TRUEUP_BROKER_URL", valkey_url)


def approved(reference: str) -> Record:
    return a_record(ProviderStatus.AUTHORIZED, reference=reference)


@pytest.mark.usefixtures("providers")
class TestTimeouts:
    def test_are_listed_by_merchant_provider_and_outcome(self, trueup: Trueup, store: Store, engine: Engine) -> None:
        store.report("pay-1", order="A1")
        store.report("pay-2")
        store.answer_reversal("pay-2", a_record(ProviderStatus.DECLINED, reference="pay-2"))
        Store(engine, merchant="rival", providers=("bolt",)).report("pay-3", provider="bolt")

        def listed(*options: str) -> list[str]:
            return [one["reference"] for one in trueup.json("timeouts", "list", *options)]

        assert listed() == ["pay-3", "pay-2", "pay-1"]
        assert listed("--limit", "1") == ["pay-3"]
        assert listed("--open", "--merchant", "shop") == ["pay-1"]
        assert listed("--outcome", "DECLINED") == ["pay-2"]
        assert listed("--provider", "bolt") == ["pay-3"]
        assert "A1" in trueup("timeouts", "list")

    def test_are_shown_with_every_attempt_and_every_key(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1", order="A1", response_code="797", cause="no_response")
        store.answer_reversal("pay-1", NoRecord())
        store.answer_reversal("pay-1", approved("pay-1"))
        store.answer_reversal("pay-1", Unreachable(why="cut off"))

        shown = trueup.json("timeouts", "show", "pay-1")

        assert (shown["order"], shown["order_status"], shown["amount"]) == ("A1", None, "100.00")
        assert (shown["response_code"], shown["cause"], shown["outcome"]) == ("797", "no_response", None)
        assert [(made["asked"], made["decided"]) for made in shown["attempts_made"]] == [
            ("inquiry", "ask again"),
            ("inquiry", "void"),
            ("void", "ask again"),
        ]
        assert [made["answer"]["answer"] for made in shown["attempts_made"]] == ["no_record", "record", "could_not_ask"]
        assert [(one["key"], one["in_doubt_once"]) for one in shown["intents"]] == [
            ("trueup:reverse:acme:pay-1:1", True)
        ]
        assert "trueup:reverse:acme:pay-1:1" in trueup("timeouts", "show", "pay-1")

    def test_want_the_provider_where_two_have_the_reference(self, trueup: Trueup, store: Store, engine: Engine) -> None:
        store.report("pay-1")
        Store(engine, merchant="rival", providers=("bolt",)).report("pay-1", provider="bolt")

        trueup("timeouts", "show", "pay-1", status=2)
        assert "--provider: is needed, for acme (of shop), bolt (of rival) have" in trueup.complaint

        assert trueup.json("timeouts", "show", "pay-1", "--provider", "bolt")["merchant"] == "rival"
        assert trueup.json("timeouts", "show", "pay-1", "--merchant", "shop")["provider"] == "acme"

    def test_are_read_page_by_page(self, store: Store) -> None:
        ids = [store.report(f"pay-{number}") for number in range(5)]
        pages: list[list[int]] = []
        before = None

        with store.engine.connect() as connection:
            while page := timeouts.page(connection, merchant="shop", before=before, limit=2):
                pages.append([row["id"] for row in page])
                before = pages[-1][-1]

        assert pages == [ids[4:2:-1], ids[2:0:-1], ids[:1]]

    def test_that_nobody_reported_are_said_so(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")

        trueup("timeouts", "why", "pay-1", "--merchant", "rival", status=2)

        assert "no timeout of 'pay-1' was reported by 'rival'" in trueup.complaint


def whole(found: Any) -> str:
    return "\n".join(found["why"])


@pytest.mark.usefixtures("providers")
class TestWhyOfATimeout:
    def test_says_what_is_asked_first_and_where_the_settlement_time_came_from(
        self, trueup: Trueup, store: Store
    ) -> None:
        store.report("pay-1")

        found = trueup.json("timeouts", "why", "pay-1")

        assert found["next"]["kind"] == "reverse"
        assert "shop acme pay-1 is being undone" in whole(found)
        assert "0 of 200 answered attempts are used" in whole(found)
        assert "the first attempt is made at once" in whole(found)
        assert "24 hours after it occurred" in whole(found)

    def test_says_which_step_of_the_cadence_is_next(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1", settles_at="2100-01-01T00:00:00Z")
        store.answer_reversal("pay-1", a_record(ProviderStatus.PENDING, reference="pay-1"))

        found = trueup.json("timeouts", "why", "pay-1")

        assert "by step 2 of its cadence: every 0:00:30 for the 2. of 2 times" in whole(found)
        assert "brought: record; it is pending" in whole(found)
        assert "so said the report" in whole(found)

    def test_says_that_the_calendar_was_asked(
        self, trueup: Trueup, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        settlement = '[providers.acme.settlement]\ntime_zone = "Europe/London"\ncut_off = "23:00"\n'
        file = tmp_path / "with_calendar.toml"
        file.write_text(f'[providers.acme]\nbase_url = "http://127.0.0.1:9"\n{settlement}')
        monkeypatch.setenv("TRUEUP_PROVIDERS", str(file))
        store.report("pay-1")

        assert "by the provider's settlement calendar" in trueup("timeouts", "why", "pay-1")

    def test_says_that_nobody_asks_a_provider_that_is_no_longer_configured(
        self, trueup: Trueup, engine: Engine
    ) -> None:
        Store(engine, providers=("bolt",)).report("pay-1", provider="bolt")

        assert "TRUEUP_PROVIDERS does not name its provider 'bolt'" in trueup("timeouts", "why", "pay-1")

    def test_says_that_an_attempt_is_kept_for_just_before_settlement(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.damage(
            "UPDATE due_work d SET due_at = r.settles_at - interval '4 minutes' FROM reversals r WHERE id = subject"
        )

        assert "kept for just before settlement" in trueup("timeouts", "why", "pay-1")

    def test_says_what_is_in_the_way_of_a_void(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.answer_reversal("pay-1", approved("pay-1"))
        store.damage("UPDATE lanes SET paused = true, no_effects = true WHERE family = 'provider'")

        said = trueup("timeouts", "why", "pay-1")

        assert "the payment is voided at the provider, under the recorded key" in said
        assert "its lane provider acme: paused by an operator, no effects are asked for" in said

    def test_says_that_its_settlement_has_come_and_nothing_of_a_rest_that_is_over(
        self, trueup: Trueup, store: Store
    ) -> None:
        store.report("pay-1")
        store.damage("UPDATE reversals SET settles_at = now() - interval '1 second'")
        store.damage("UPDATE due_work SET due_at = now() - interval '1 minute'")
        store.damage("UPDATE lanes SET paused_until = now() - interval '1 minute', failures = 7 WHERE name = 'acme'")

        said = trueup("timeouts", "why", "pay-1")

        assert "at its settlement it is asked a last time" in said
        assert "its lane provider acme: 7 failures in a row" in said
        assert "left alone" not in said + trueup("backlog")

    def test_says_how_one_ended_and_what_a_person_must_do(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.answer_reversal("pay-1", a_record(ProviderStatus.PAID, reference="pay-1", settled=True))

        said = trueup("timeouts", "why", "pay-1")

        assert "has ended as SETTLEMENT_PASSED" in said
        assert "100.00 EUR may have been taken" in said
        assert "give it back by a refund" in said

    def test_is_told_with_its_order_too(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.report("pay-A1")
        store.answer_reversal("pay-A1", a_record(ProviderStatus.PAID, reference="pay-A1", settled=True))

        assert "SETTLED_UNREVERSED" in trueup("why", "A1")
        assert "pay-A1 at acme, which timed out, was not undone" in trueup("cases")

    def test_says_that_nothing_is_at_risk_where_there_never_was_a_record(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.damage(
            "UPDATE reversals SET reported_at = now() - interval '1 hour', settles_at = now() - interval '1 minute',"
            " last_answer = 'no_record', last_asked_at = now() - interval '90 seconds'"
        )
        store.answer_reversal("pay-1", NoRecord())

        assert "it was never on record" in trueup("timeouts", "why", "pay-1")
        assert trueup("verify").strip() == "nothing is wrong"


@pytest.mark.usefixtures("providers", "broker")
class TestForward:
    def test_makes_the_next_attempt_due_at_once(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.answer_reversal("pay-1", NoRecord())

        trueup("timeouts", "forward", "pay-1")

        assert store.ask("SELECT kind, due_at <= now() FROM due_work WHERE lease IS NULL AND kind = 'reverse'") == [
            ("reverse", True)
        ]
        assert store.ask("SELECT actor LIKE 'operator:%%', state FROM inbox WHERE name = 'intake.reverse_now'") == [
            (True, "applied")
        ]
        assert trueup("verify").strip() == "nothing is wrong"

    def test_is_refused_when_it_has_ended(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.answer_reversal("pay-1", a_record(ProviderStatus.VOIDED, reference="pay-1"))

        trueup("timeouts", "forward", "pay-1", status=2)

        assert trueup.complaint == "trueup: REFERENCE: its reversal has ended: ALREADY_REVERSED\n"


@pytest.mark.usefixtures("providers")
class TestAnOrderWhosePaymentTimedOut:
    def test_says_that_it_is_held(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.report("pay-A1")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1"))

        said = trueup("why", "A1")

        assert "shop A1 is NEW" in said
        assert "as long as it is held, it is looked at every 0:05:00" in said
        assert "no money moves it before the reversal has ended (`trueup timeouts why pay-A1 --provider acme`)" in said
        assert trueup.json("order", "show", "A1")["reversal"] == "open"
        assert trueup.json("timeouts", "show", "pay-A1")["order_status"] == "NEW"

    def test_says_how_the_reversal_ended(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.report("pay-A1")
        store.answer_reversal("pay-A1", a_record(ProviderStatus.VOIDED, reference="pay-A1"))
        store.answer("A1", a_record(ProviderStatus.VOIDED, reference="pay-A1"))

        assert "the reversal ended as ALREADY_REVERSED" in trueup("why", "A1")
        assert trueup.json("order", "show", "A1")["reason"] == "reversed"

    def test_says_that_its_cancel_is_asked_about(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.say("cancel_order", order="A1", by="merchant")
        store.answer("A1", a_record(ProviderStatus.PENDING, reference="pay-A1"))
        store.answer("A1", Refused(payment_status="pending"))

        why = trueup.json("why", "A1")

        assert why["next"]["kind"] == "confirm"
        assert "asked what came of the cancel or void" in whole(why)
        assert "because merchant asked to cancel it" in whole(why)


@pytest.mark.usefixtures("providers", "broker")
class TestACaseOfATimeout:
    @pytest.fixture
    def stuck(self, store: Store) -> str:
        store.report("pay-1")
        store.damage(
            "DELETE FROM due_work WHERE kind = 'reverse'",
            "INSERT INTO cases (kind, subject, merchant, known, opened_at)"
            " SELECT 'STUCK', id, 'shop', 'the last error: none', now() FROM reversals",
        )
        return str(store.ask("SELECT id FROM cases")[0][0])

    def test_of_an_open_one_closes_only_when_it_goes_on(self, trueup: Trueup, store: Store, stuck: str) -> None:
        assert "close it with --resume" in trueup("timeouts", "why", "pay-1")
        trueup("cases", "close", stuck, "--note", "never mind", status=2)
        assert "possible now: retry" in trueup.complaint

        trueup("cases", "close", stuck, "--note", "mended", "--resume")

        assert store.ask("SELECT kind FROM due_work WHERE kind = 'reverse'") == [("reverse",)]
        assert trueup("verify").strip() == "nothing is wrong"

    def test_of_a_paid_order_closes_with_a_note_while_the_reversal_goes_on(self, trueup: Trueup, store: Store) -> None:
        store.register("A1")
        store.report("pay-A1")
        store.damage("UPDATE transactions SET reversal = NULL")
        store.answer("A1", a_record(ProviderStatus.PAID, reference="pay-A1"))
        store.answer_reversal("pay-A1", a_record(ProviderStatus.PAID, reference="pay-A1"))
        [(case, kind)] = store.ask("SELECT id, kind FROM cases")

        trueup("cases", "close", str(case), "--note", "the shop delivered", "--resume")

        assert kind == "CONTRADICTION"
        assert store.ask("SELECT kind, generation FROM due_work WHERE kind IN ('poll', 'reverse')") == [("reverse", 1)]

    def test_of_an_ended_one_has_nothing_to_resume(self, trueup: Trueup, store: Store) -> None:
        store.report("pay-1")
        store.answer_reversal("pay-1", a_record(ProviderStatus.PAID, reference="pay-1", settled=True))
        case = str(store.ask("SELECT id FROM cases")[0][0])

        assert trueup.json("cases", "show", case)["payment"] == "pay-1"
        trueup("cases", "close", case, "--note", "refunded by hand", "--resume", status=2)
        assert "stands for nothing that could go on" in trueup.complaint
        trueup("cases", "close", case, "--note", "refunded by hand")

        assert trueup("verify").strip() == "nothing is wrong"
