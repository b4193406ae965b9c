"""`trueup callbacks endpoint`: where callbacks go, called as its users call it."""

import json

import pytest
from sqlalchemy import Engine
from standardwebhooks import Webhook

from domain.model.answer import ProviderStatus
from tests.builders import a_record, money
from tests.integration.command_line import Trueup
from tests.integration.store import Store
from tests.integration.test_transport import an_answer, serving


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


@pytest.fixture
def first(store: Store) -> int:
    [(endpoint,)] = store.ask("SELECT id FROM endpoints")
    return int(endpoint)


class TestAnEndpoint:
    def test_that_is_added_hears_what_happens_from_then_on(self, trueup: Trueup, store: Store) -> None:
        store.register("A-1")
        made = trueup.json("callbacks", "endpoint", "add", "shop", "--url", "https://two.example/")

        store.say("cancel_order", order="A-1", by="merchant")
        store.register("A-2")

        heard = "SELECT s.order_id FROM streams s WHERE s.endpoint = %(id)s"
        assert store.ask(heard, id=made["endpoint"]) == [(store.id_of("A-2"),)]
        assert made["callback_secret"].startswith("whsec_")
        assert trueup("verify").strip() == "nothing is wrong"

    def test_may_want_some_types_only_and_have_waits_of_its_own(self, trueup: Trueup, store: Store) -> None:
        options = ("--type", "case.opened", "--type", "case.closed", "--waits", "5,60")
        trueup("callbacks", "endpoint", "add", "shop", "--url", "https://two.example/", *options)

        store.register("A-1")

        shown = trueup.json("callbacks", "endpoint", "list", "--merchant", "shop")
        assert [(row["types"], row["waits"], row["streams_waiting"]) for row in shown] == [
            (None, None, 1),
            (["case.opened", "case.closed"], [5, 60], 0),
        ]

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (("--url", "https://10.0.0.1/"), "--url"),
            (("--url", "https://a.example/", "--type", "order.lost"), "--type"),
            (("--url", "https://a.example/", "--waits", "5,0"), "--waits"),
            (("--url", "https://a.example/", "--waits", "soon"), "--waits"),
        ],
    )
    def test_is_not_made_of_what_cannot_be_used(
        self, trueup: Trueup, store: Store, options: tuple[str, ...], named: str
    ) -> None:
        trueup("callbacks", "endpoint", "add", "shop", *options, status=2)

        assert named in trueup.complaint
        assert store.ask("SELECT count(*) FROM endpoints") == [(1,)]

    def test_is_told_nothing_of_what_a_wider_filter_finds_behind_it(
        self, trueup: Trueup, store: Store, first: int
    ) -> None:
        trueup("callbacks", "endpoint", "set", str(first), "--type", "case.opened")
        order = store.register("A-1")
        trueup("callbacks", "endpoint", "set", str(first), "--all-types", "--waits", "7")

        store.say("cancel_order", order="A-1", by="merchant")

        assert store.ask("SELECT count(*) FROM streams WHERE order_id = %(id)s", id=order) == [(0,)]
        assert store.ask("SELECT types, waits FROM endpoints") == [(None, [7])]

    def test_goes_on_behind_what_it_did_not_want_where_it_wants_more(
        self, trueup: Trueup, store: Store, first: int
    ) -> None:
        store.register("A-1")
        store.damage(
            "INSERT INTO deliveries SELECT s.id, x.id, 'delivered', 1, 200, NULL, now(), now()"
            " FROM streams s JOIN events x USING (order_id)",
            "UPDATE streams SET cursor = (SELECT max(id) FROM events)",
            "DELETE FROM due_work WHERE kind = 'deliver'",
        )
        trueup("callbacks", "endpoint", "set", str(first), "--type", "case.opened")
        store.answer("A-1", a_record(ProviderStatus.PAID, reference="pay-A-1", amount_received=money("100.00")))
        assert trueup("verify").strip() == "nothing is wrong"

        trueup("callbacks", "endpoint", "set", str(first), "--all-types")

        store.damage("UPDATE endpoints SET types_since = types_since - interval '1 day'")
        last = store.ask("SELECT max(id) FROM events")
        assert store.ask("SELECT cursor FROM streams") == store.ask("SELECT start FROM streams") == last
        assert trueup("verify").strip() == "nothing is wrong"

    def test_that_is_disabled_keeps_what_happens_under_a_case_until_it_is_enabled(
        self, trueup: Trueup, store: Store, first: int
    ) -> None:
        trueup("callbacks", "endpoint", "disable", str(first))
        store.register("A-1")
        assert trueup("verify").strip() == "nothing is wrong"
        [case] = trueup.json("cases", "list")
        trueup("cases", "close", str(case["id"]), "--note", "seen", status=2)
        assert "possible now: enable" in trueup.complaint
        assert "its endpoint is disabled by operator:" in trueup("backlog")

        trueup("callbacks", "endpoint", "enable", str(first))

        assert trueup.json("cases", "list") == []
        assert store.ask("SELECT paused FROM lanes WHERE family = 'endpoint'") == [(False,)]
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(1,)]
        assert trueup("verify").strip() == "nothing is wrong"

    def test_has_two_secrets_while_one_replaces_the_other(self, trueup: Trueup, store: Store, first: int) -> None:
        [(old,)] = store.ask("SELECT secrets[1] FROM endpoints")
        new = trueup.json("callbacks", "endpoint", "rotate", str(first))["callback_secret"]
        assert store.ask("SELECT secrets FROM endpoints") == [([new, old],)]
        trueup("callbacks", "endpoint", "rotate", str(first), status=2)

        trueup("callbacks", "endpoint", "rotate", str(first), "--finish")

        assert store.ask("SELECT secrets FROM endpoints") == [([new],)]
        trueup("callbacks", "endpoint", "rotate", str(first), "--finish", status=2)

    def test_that_is_tried_gets_a_signed_event_at_once(
        self, trueup: Trueup, store: Store, first: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRUEUP_CALLBACK_ALLOW_HOSTS", "127.0.0.1")
        [(secret,)] = store.ask("SELECT secrets[1] FROM endpoints")
        answers = iter((an_answer(200), an_answer(500)))
        with serving(lambda _received: next(answers)) as shop:
            trueup("callbacks", "endpoint", "set", str(first), "--url", shop.url)

            taken = trueup.json("callbacks", "endpoint", "test", str(first))
            refused = trueup.json("callbacks", "endpoint", "test", str(first), status=1)

        assert (taken["delivered"], refused["status"]) == (True, 500)
        received = shop.received[0]
        assert Webhook(secret).verify(received.body, received.headers)["type"] == "endpoint.test"
        assert json.loads(received.body)["data"]["merchant"] == "shop"

    def test_that_is_removed_hears_nothing_more(self, trueup: Trueup, store: Store, first: int) -> None:
        store.register("A-1")

        trueup("callbacks", "endpoint", "remove", str(first))

        assert trueup.json("callbacks", "endpoint", "list") == []
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(0,)]
        assert store.ask("SELECT step, actor LIKE 'operator:%%' FROM endpoint_entries") == [("removed", True)]
        trueup("merchant", "set", "shop", "--callback-url", "https://new.example/")
        assert [row["url"] for row in trueup.json("callbacks", "endpoint", "list")] == ["https://new.example/"]
        assert trueup("verify").strip() == "nothing is wrong"

    @pytest.mark.parametrize("command", ["enable", "disable", "rotate", "test", "remove"])
    def test_that_is_not_there_is_said_to_be_so(self, trueup: Trueup, store: Store, command: str) -> None:
        trueup("callbacks", "endpoint", command, "999999", status=2)

        assert trueup.complaint == "trueup: ENDPOINT: there is no endpoint 999999\n"
        assert store.merchant == "shop"


class TestAnEventThatIsDeliveredOnceMore:
    def test_is_due_in_a_stream_of_its_own(self, trueup: Trueup, store: Store) -> None:
        store.register("A-1")
        store.damage(
            "INSERT INTO deliveries SELECT s.id, x.id, 'failed', 10, 500, NULL, now(), now()"
            " FROM streams s JOIN events x USING (order_id)",
            "UPDATE streams SET cursor = (SELECT max(id) FROM events)",
            "DELETE FROM due_work WHERE kind = 'deliver'",
        )

        said = trueup("callbacks", "redeliver", "--failed")

        assert said == "1 deliveries are due\n"
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(1,)]

    def test_may_be_all_of_a_time(self, trueup: Trueup, store: Store) -> None:
        store.register("A-1")
        store.damage("UPDATE events SET created_at = '2026-01-02 12:00Z'")
        store.register("A-2")
        options = ("--since", "2026-01-02", "--until", "2026-01-03")

        said = trueup("callbacks", "redeliver", "--merchant", "shop", *options)
        trueup("callbacks", "redeliver", *options, status=2)

        assert said == "1 deliveries are due\n"
        assert "--merchant" in trueup.complaint

    def test_may_be_for_one_endpoint_of_some_types_only(self, trueup: Trueup, store: Store, first: int) -> None:
        trueup("callbacks", "endpoint", "add", "shop", "--url", "https://two.example/")
        store.register("A-1")
        store.damage("UPDATE streams SET cursor = (SELECT max(id) FROM events)", "DELETE FROM due_work")
        here = ("--since", "2026-01-01T00:00:00+01:00", "--endpoint", str(first))

        said = [
            trueup("callbacks", "redeliver", *here, "--type", kind) for kind in ("order.status_changed", "case.opened")
        ]

        assert said == ["1 deliveries are due\n", "0 deliveries are due\n"]
        assert store.ask("SELECT endpoint FROM streams WHERE single_event IS NOT NULL") == [(first,)]

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--failed", "--merchant", "nobody"), "--merchant: no merchant is called 'nobody'"),
            (("--failed", "--endpoint", "99"), "--endpoint: there is no endpoint 99"),
            (("--failed", "--type", "order.lost"), "--type: "),
            (("--merchant", "shop", "--since", "soon"), "--since: is no time like"),
            (("--merchant", "shop", "--since", "2026-01-02", "--until", "2026-13-01"), "--until: is no time like"),
            (("--merchant", "shop", "--since", "2026-01-02", "--until", "2026-01-01"), "--since: is later"),
            (("--merchant", "shop", "--since", "0001-01-02"), "--since: should lie between"),
            (("evt_1_1", "--until", "2026-01-01"), "--until: says nothing of events that are named"),
            (("evt_1_1", "--merchant", "nobody"), "--merchant: no merchant is called 'nobody'"),
            (("evt_1_1", "--merchant", "shop"), "EVENT: there is no event 'evt_1_1'"),
            (("--until", "2026-01-01", "--merchant", "shop"), "redeliver: name events, or say --failed or --since"),
        ],
    )
    def test_is_asked_for_by_options_that_say_what_is_wrong_with_them(
        self, trueup: Trueup, store: Store, options: tuple[str, ...], complaint: str
    ) -> None:
        trueup("callbacks", "redeliver", *options, status=2)

        assert trueup.complaint.startswith(f"trueup: {complaint}")
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(0,)]
