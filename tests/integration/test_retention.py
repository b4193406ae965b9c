"""What only tells of ended orders goes after its time; what the promises rest on stays, and so does what is owed."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from adapters.persistence.redeliveries import redeliver
from adapters.persistence.retention import Retention
from adapters.persistence.verify import verify
from config.messaging import SWEEPS
from domain.model.answer import ProviderStatus
from tests.builders import a_record, money
from tests.integration.store import Store
from tests.integration.test_turns import application_of

# As if every callback had arrived.
DELIVER = (
    """
    INSERT INTO deliveries SELECT s.id, x.id, 'delivered', 1, 200, NULL, now(), now() FROM streams s
    JOIN events x ON x.order_id = s.order_id OR x.id = s.single_event ON CONFLICT DO NOTHING
    """,
    """
    UPDATE streams s
    SET cursor = (SELECT max(x.id) FROM events x WHERE x.order_id = s.order_id OR x.id = s.single_event)
    """,
    "DELETE FROM due_work WHERE kind = 'deliver'",
)
TELLING = ("events", "deliveries", "streams", "timeline", "inbox")
LASTING = ("orders", "transactions", "history", "intents", "cases")


@pytest.fixture
def store(engine: Engine) -> Store:
    """An order that was paid and told of, with all that there can be about one."""
    store = Store(engine)
    paid(store, "A-1")
    store.damage(*DELIVER)
    assert verify(engine) == []
    return store


def paid(store: Store, name: str) -> None:
    store.register(name, customer="C-7")
    store.answer(name, a_record(ProviderStatus.PAID, reference=f"pay-{name}"))


def retain(store: Store, *, keep: timedelta = timedelta(0), size: int = 500) -> int:
    """Delete all that may go, in as many batches as it takes; return how many rows that were."""
    retention = Retention(engine=store.engine, keep=keep, size=size)
    gone = done = retention()
    while done:
        done = retention()
        gone += done
    assert verify(store.engine) == []
    return gone


def counts(store: Store, tables: Sequence[str]) -> dict[str, int]:
    return {table: store.ask(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


class TestAnOrderThatEnded:
    def test_loses_what_only_tells_of_it(self, store: Store) -> None:
        lasting = counts(store, LASTING)

        retain(store)

        assert counts(store, TELLING) == dict.fromkeys(TELLING, 0)
        assert counts(store, LASTING) == lasting
        assert store.ask("SELECT status, customer, bill, trimmed_to < now() FROM orders") == [
            ("PAID", None, None, True)
        ]

    def test_is_whole_until_its_time_has_come(self, store: Store) -> None:
        before = counts(store, TELLING)

        assert retain(store, keep=timedelta(days=30)) == 0

        assert counts(store, TELLING) == before
        assert store.ask("SELECT customer FROM orders WHERE trimmed_to IS NULL") == [("C-7",)]

    def test_keeps_its_name_and_its_payment(self, store: Store) -> None:
        retain(store)

        store.say("register_order", order="A-1", provider="acme", reference="pay-B", amount="1.00", currency="EUR")
        store.say("register_order", order="B", provider="acme", reference="pay-A-1", amount="1.00", currency="EUR")

        refused = store.ask("SELECT \"order\", errors -> 0 ->> 'field' FROM refused_messages ORDER BY id")
        assert refused == [("A-1", "order"), ("B", "reference")]
        assert store.ask("SELECT reference, status FROM orders") == [("A-1", "PAID")]

    def test_is_told_of_again_where_something_happens_to_it(self, store: Store) -> None:
        retain(store)

        store.say(
            "record_operation",
            order="A-1",
            operation={"id": "r-1", "kind": "refund", "state": "queued", "amount": "40.00"},
        )

        assert store.ask("SELECT sequence FROM events WHERE type = 'order.status_changed'") == [(3,)]
        assert store.ask("SELECT kind FROM due_work ORDER BY kind") == [("deliver",), ("poll",)]
        assert verify(store.engine) == []
        retain(store)
        assert store.ask("SELECT sequence FROM events WHERE type = 'order.status_changed'") == [(3,)]

    def test_goes_with_what_was_delivered_once_more(self, store: Store) -> None:
        store.damage(
            "INSERT INTO streams (endpoint, single_event)"
            " SELECT e.id, max(x.id) FROM endpoints e, events x GROUP BY e.id",
            *DELIVER,
        )

        retain(store)

        assert counts(store, TELLING) == dict.fromkeys(TELLING, 0)


class TestAnOrderThatOwesOrIsOwed:
    @pytest.mark.parametrize(
        "held_by",
        [
            "UPDATE due_work SET due_at = now() + interval '1 year' WHERE kind = 'deliver'",
            "UPDATE lanes SET paused = true WHERE family = 'endpoint'; UPDATE endpoints SET enabled = false",
        ],
        ids=["a callback", "a callback to an endpoint that is disabled"],
    )
    def test_is_not_trimmed_before_it_is_told(self, engine: Engine, held_by: str) -> None:
        store = Store(engine)
        paid(store, "A-1")
        with engine.begin() as connection:
            connection.execute(text(held_by))
        before = counts(store, ("events", "streams", "timeline"))

        Retention(engine=engine, keep=timedelta(0))()

        assert counts(store, ("events", "streams", "timeline")) == before
        assert store.ask("SELECT customer, trimmed_to FROM orders") == [("C-7", None)]

    def test_is_not_trimmed_while_it_is_open_or_watched_or_with_a_person(self, store: Store) -> None:
        store.register("open")
        store.register("watched")
        store.answer("watched", a_record(ProviderStatus.DECLINED, reference="pay-watched"))
        store.register("short")
        store.answer("short", a_record(ProviderStatus.PAID, reference="pay-short", amount_received=money("60.00")))
        store.register("canceling")
        store.say("cancel_order", order="canceling", by="merchant", reason="out of stock")
        store.register("reversing")
        store.report("pay-reversing")
        store.damage(*DELIVER)

        retain(store)

        trimmed = "SELECT reference FROM orders WHERE trimmed_to IS NOT NULL"
        assert store.ask(trimmed) == [("A-1",)]
        left = "SELECT DISTINCT o.reference FROM events x JOIN orders o ON o.id = x.order_id ORDER BY 1"
        assert store.ask(left) == [("canceling",), ("open",), ("reversing",), ("short",), ("watched",)]

    @pytest.mark.parametrize(("closed", "left"), [("NULL", 2), ("now()", 0)])
    def test_is_not_trimmed_while_the_case_of_what_was_given_up_is_open(
        self, store: Store, closed: str, left: int
    ) -> None:
        store.damage(
            "UPDATE deliveries SET state = 'failed'",
            "INSERT INTO cases (kind, subject, merchant, known, opened_at, closed_at, closed_by)"
            f" SELECT 'UNDELIVERABLE', id, merchant, 'it was given up', now(), {closed}::timestamptz,"
            f" CASE WHEN {closed} IS NOT NULL THEN 'operator:ann' END FROM endpoints",
        )

        retain(store)

        assert store.ask("SELECT count(*) FROM deliveries") == [(left,)]

    def test_is_not_trimmed_while_a_command_about_it_waits(self, store: Store) -> None:
        store.damage(
            """
            INSERT INTO inbox (merchant, name, key, content, body, "order", state, actor, received_at)
            VALUES ('shop', 'intake.cancel_order', 'k', 'c', '{}', 'A-1', 'waiting', 'message', now())
            """
        )

        Retention(engine=store.engine, keep=timedelta(0))()

        assert store.ask("SELECT trimmed_to FROM orders") == [(None,)]
        assert store.ask("SELECT state FROM inbox") == [("waiting",)]


class TestASweep:
    @pytest.mark.parametrize(("settings", "left"), [({"TRUEUP_RETENTION_DAYS": "30"}, 1), ({}, 3)])
    def test_deletes_what_is_older_than_the_setting_says(
        self, store: Store, database_url: str, tmp_path: Path, settings: dict[str, str], left: int
    ) -> None:
        store.damage(
            "UPDATE events SET created_at = created_at - interval '31 days'",
            "UPDATE orders SET changed_at = changed_at - interval '31 days'",
        )
        store.register("young")
        store.damage(*DELIVER)

        with application_of(database_url, tmp_path, **settings) as application:
            application.drain(SWEEPS)

        assert store.ask("SELECT count(*) FROM events") == [(left,)]


class TestDeleting:
    def test_comes_through_all_of_it_in_batches(self, store: Store) -> None:
        for number in range(5):
            paid(store, f"B-{number}")
        store.register("open")
        store.damage(*DELIVER)

        retain(store, size=2)

        assert store.ask("SELECT count(*) FROM orders WHERE trimmed_to IS NOT NULL") == [(6,)]
        assert store.ask("SELECT count(*) FROM events") == [(1,)]
        assert store.ask("SELECT count(*) FROM inbox") == [(0,)]

    def test_is_done_by_one_at_a_time(self, store: Store) -> None:
        with store.engine.begin() as another:
            another.execute(text("SELECT pg_advisory_xact_lock(7208)"))

            assert Retention(engine=store.engine, keep=timedelta(0))() == 0

        assert Retention(engine=store.engine, keep=timedelta(0))() > 0

    def test_leaves_alone_what_is_being_delivered_once_more(self, store: Store) -> None:
        with store.engine.begin() as another:
            events = [row[0] for row in store.ask("SELECT id FROM events ORDER BY id")]
            assert redeliver(another, events) == len(events)

            assert Retention(engine=store.engine, keep=timedelta(0))() == 0

        retain(store)
        assert store.ask("SELECT count(*) FROM due_work WHERE kind = 'deliver'") == [(len(events),)]
        assert store.ask("SELECT count(*) FROM events") == [(len(events),)]

    def test_rests_when_all_is_done(self, store: Store) -> None:
        retention = Retention(engine=store.engine, keep=timedelta(0))
        while retention():
            pass
        paid(store, "B-1")
        store.damage(*DELIVER)

        assert retention() == 0  # ten minutes have not passed

    def test_leaves_verify_content_with_timeouts_that_were_undone(self, store: Store) -> None:
        store.register("reversed")
        for name in ("reversed", "nobody's"):
            store.report(f"pay-{name}")
            store.answer_reversal(f"pay-{name}", a_record(ProviderStatus.VOIDED, reference=f"pay-{name}"))
        store.answer("reversed", a_record(ProviderStatus.VOIDED, reference="pay-reversed"))
        # Nobody paid late either.
        store.damage(*DELIVER, "DELETE FROM due_work WHERE kind = 'watch'", "UPDATE orders SET watching = false")

        retain(store)

        assert store.ask("SELECT outcome FROM reversals") == [("ALREADY_REVERSED",)] * 2
        assert store.ask("SELECT type, order_id FROM events") == [("reversal.ended", None)]
        assert store.ask("SELECT count(*) FROM orders WHERE trimmed_to IS NOT NULL") == [(2,)]

    def test_keeps_a_mail_while_the_case_of_its_failure_is_open(self, store: Store) -> None:
        store.damage("UPDATE merchants SET email = 'ops@shop.example', mail_statuses = '{PAID}'")
        paid(store, "B-1")
        store.damage(
            *DELIVER,
            "DELETE FROM due_work WHERE kind = 'mail'",
            "UPDATE mails SET state = 'failed'",
            "INSERT INTO cases (kind, subject, merchant, known, opened_at)"
            " SELECT 'UNDELIVERABLE', id, merchant, 'it could not be sent', now() FROM mails",
        )

        retain(store)

        assert store.ask("SELECT state FROM mails") == [("failed",)]

    def test_keeps_mails_of_cases_and_those_that_wait(self, store: Store) -> None:
        store.damage("UPDATE merchants SET email = 'ops@shop.example', mail_statuses = '{PAID}'")
        paid(store, "B-1")
        paid(store, "B-2")
        store.register("short")
        store.answer("short", a_record(ProviderStatus.PAID, reference="pay-short", amount_received=money("60.00")))
        store.damage(
            *DELIVER,
            "DELETE FROM due_work WHERE subject IN (SELECT m.id FROM mails m JOIN orders o ON o.id = m.order_id"
            " WHERE o.reference = 'B-1')",
            "UPDATE mails SET state = 'kept' WHERE id NOT IN (SELECT subject FROM due_work)",
        )

        retain(store)

        left = store.ask(
            "SELECT o.reference, m.case_id IS NOT NULL FROM mails m JOIN orders o ON o.id = m.order_id ORDER BY 1"
        )
        assert left == [("B-2", False), ("short", True)]
