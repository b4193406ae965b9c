"""What only PostgreSQL can show: its schema, its checks, how many statements a wave takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from alembic import command
from sqlalchemy import CheckConstraint, Engine, event, text
from sqlalchemy.exc import IntegrityError

from adapters.persistence import migrate
from adapters.persistence.columns import run
from adapters.persistence.database import connect
from adapters.persistence.tables import metadata
from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from adapters.persistence.verify import verify
from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import CommandOutcome, CommandState, Decision, Entry, EntryKind, Move
from domain.model.due_work import Claimed, Due, Work
from domain.model.order import Order, OrderStatus
from domain.ports.persistence import StoreUnavailable
from domain.rules.events import status_changed
from domain.rules.lifecycle import edges
from domain.rules.order_lifecycle import TRANSITIONS
from tests.builders import HOURS, NOON, a_refund, an_attempt, an_intent, an_order
from tests.fakes.bench import SqlBench, row_of

FIRST = import_module("adapters.persistence.migrations.versions.0001_the_first_tables")


@pytest.fixture
def bench(engine: Engine) -> SqlBench:
    bench = SqlBench(engine)
    bench.furnish()
    return bench


class TestTheSchema:
    def test_is_what_the_tables_say(self, engine: Engine) -> None:
        assert migrate.differences(engine) == []

    def test_is_current_after_its_migrations_and_stays_so(self, engine: Engine) -> None:
        migrate.upgrade(engine)

        assert migrate.is_current(engine)

    def test_allows_the_edges_of_the_domain_and_no_other(self, engine: Engine) -> None:
        with engine.connect() as connection:
            stored = {tuple(row) for row in connection.execute(text("SELECT previous, status FROM order_edges"))}

        assert stored == edges(TRANSITIONS)
        assert set(FIRST.EDGES) == edges(TRANSITIONS)


class TestAnUpgrade:
    @pytest.mark.parametrize(("was", "written"), [("40", "40.00"), ("10.5", "10.50"), ("0.125", "0.125")])
    def test_writes_the_amounts_of_old_steps_as_they_are_shown(
        self, engine: Engine, bench: SqlBench, was: str, written: str
    ) -> None:
        bench.register()
        details = f'{{"amount_at_risk": {was}}}'
        case = "INSERT INTO cases (kind, subject, merchant, order_id, known, opened_at)"
        step = "INSERT INTO case_entries (case_id, at, actor, kind, details)"
        with engine.begin() as connection:
            run(connection, f"{case} SELECT 'STUCK', id, merchant, id, 'k', now() FROM orders")
            run(connection, f"{step} SELECT id, now(), 'system', 'opened', %(d)s::jsonb FROM cases", {"d": details})
            run(connection, f"{step} SELECT id, now(), 'system', 'closed', '{{}}' FROM cases")
            command.downgrade(migrate._config(connection), "0008")

        migrate.upgrade(engine)

        with engine.connect() as connection:
            found = connection.execute(text("SELECT details FROM case_entries ORDER BY id")).scalars().all()
        assert found == [{"amount_at_risk": written}, {}]

    def test_can_be_taken_back_and_done_again(self, engine: Engine, bench: SqlBench) -> None:
        bench.register()
        with engine.begin() as connection:
            command.downgrade(migrate._config(connection), "0009")

        migrate.upgrade(engine)

        assert migrate.differences(engine) == []
        assert verify(engine) == []


# One row of each table that a check of it refuses: {constraint: statement}.
REFUSED: Mapping[str, str] = {
    "timeouts": "UPDATE merchants SET cancellation_timeout = 0",
    "tolerance": "UPDATE merchants SET tolerance = -1",
    "lanes.family": "UPDATE lanes SET family = 'weather'",
    "secrets": "UPDATE endpoints SET secrets = '{}'",
    "endpoints.waits": "UPDATE endpoints SET waits = '{5,0}'",
    "due_work.kind": "UPDATE due_work SET kind = 'dance'",
    "orders.status": "UPDATE orders SET status = 'LOST'",
    "orders.amount": "UPDATE orders SET amount = 0",
    "orders.digits": "UPDATE orders SET digits = 19",
    "orders.kind": "UPDATE orders SET kind = 'barter'",
    "canceled_by": "UPDATE orders SET status = 'CANCELED', canceled_by = 'nobody'",
    "canceled_by_somebody": "UPDATE orders SET status = 'CANCELED'",
    "unresolved_for_a_reason": "UPDATE orders SET status = 'UNRESOLVED'",
    "watching": "UPDATE orders SET watching = true",
    "attempts_allowed": "UPDATE orders SET attempts_allowed = -1",
    "cancel_request": "UPDATE orders SET status = 'PAID', cancel_by = 'user'",
    "orders.reference": "UPDATE orders SET reference = ''",
    "transactions.state": "UPDATE transactions SET state = 'LOST'",
    "amounts": "UPDATE transactions SET amount_refunded = -1",
    "transactions.reference": "UPDATE transactions SET reference = repeat('x', 129)",
    "transactions.reversal": "UPDATE transactions SET reversal = 'LOST'",
    "attempts.state": "UPDATE attempts SET state = 'lost'",
    "operations.kind": "UPDATE operations SET kind = 'gift'",
    "operations.state": "UPDATE operations SET state = 'lost'",
    "operations.amount": "UPDATE operations SET amount = 0",
    "effect": "UPDATE intents SET effect = 'bless'",
    "intents.one_outcome": "UPDATE intents SET confirmed = true, refused_in = 'paid'",
    "reversals.amount": "UPDATE reversals SET amount = 0",
    "reversals.digits": "UPDATE reversals SET digits = 19",
    "reversals.response_code": "UPDATE reversals SET response_code = '00'",
    "reversals.cause": "UPDATE reversals SET cause = 'weather'",
    "reversals.last_answer": "UPDATE reversals SET last_answer = 'perhaps'",
    "reversals.outcome": "UPDATE reversals SET outcome = 'LOST', ended_at = now()",
    "reversals.ended_at_some_time": "UPDATE reversals SET outcome = 'VOIDED'",
    "reversals.attempts": "UPDATE reversals SET attempts = -1",
    "reversals.settles_after_it_occurred": "UPDATE reversals SET settles_at = occurred_at",
    "reversals.reference": "UPDATE reversals SET reference = ''",
    "reversal_attempts.asked": "UPDATE reversal_attempts SET asked = 'nothing'",
    "reversal_attempts.void_under_a_key": "UPDATE reversal_attempts SET asked = 'void'",
    "reversal_intents.one_outcome": "UPDATE reversal_intents SET confirmed = true, refused_in = 'paid'",
    "registration": "UPDATE history SET sequence = 2 WHERE sequence = 1",
    "one_source": "UPDATE streams SET single_event = 1",
    "deliveries.state": "UPDATE deliveries SET state = 'lost'",
    "closed_by_somebody": "UPDATE cases SET closed_at = now()",
    "cases.kind": "UPDATE cases SET kind = 'HEADACHE'",
    "case_entries.kind": "UPDATE case_entries SET kind = 'rumour'",
    "endpoint_entries.step": "UPDATE endpoint_entries SET step = 'lost'",
    "inbox.state": "UPDATE inbox SET state = 'lost'",
    "master_data.kind": "UPDATE master_data SET kind = 'weather'",
    "master_data.type": "UPDATE master_data SET type = 'list'",
    "master_data_versions.kind": "UPDATE master_data_versions SET kind = 'weather'",
    "rejections.status": "UPDATE rejections SET status = 'LOST'",
    "rejections.type": "UPDATE rejections SET status = 'PERMANENT_FAILED', type = 'perhaps'",
    "permanent_is_permanent": "UPDATE rejections SET type = 'permanent'",
    "reprocessed_by_a_retrigger": "UPDATE rejections SET status = 'REPROCESSED'",
    "for_a_reason": "UPDATE rejections SET reasons = '[]'",
    "rejection_needs.kind": "UPDATE rejection_needs SET kind = 'weather'",
    "retriggers.origin": "UPDATE retriggers SET origin = 'weather'",
    "retriggers.counts": "UPDATE retriggers SET added = 2",
    "retrigger_items.outcome": "UPDATE retrigger_items SET outcome = 'lost'",
    "only_one": "UPDATE sanity_sweeps SET id = false",
    "one_owner": "UPDATE api_keys SET operator = 'ops'",
    "tokens": "UPDATE key_budgets SET tokens = -1",
    "answered_whole": "UPDATE kept_answers SET status = 200",
    "mail_statuses": "UPDATE merchants SET mail_statuses = '{LOST}'",
    "mails.audience": "UPDATE mails SET audience = 'neighbour'",
    "mails.recipient": "UPDATE mails SET audience = 'merchant'",
    "mails.state": "UPDATE mails SET state = 'lost'",
    "sent_at_some_time": "UPDATE mails SET state = 'sent'",
    "mails.tries": "UPDATE mails SET tries = -1",
    "on_one_line": "UPDATE mails SET sender_name = E'a\\nBcc: b'",
}


_OF_THE_SANITY_QUEUE = """
INSERT INTO master_data VALUES ('shop', 'stores', 'north', NULL, '{}', 1, 'a', now());
INSERT INTO master_data_versions VALUES ('shop', 'stores', 1, '[]', 'a', NULL, now());
INSERT INTO rejections (id, merchant, "order", provider, reference, source, type, status, reasons, body, actor,
    rejected_at) VALUES (998, 'shop', 'o', 'acme', 'r', '{}', 'reprocessable', 'PENDING', '[{}]', '{}', 'a', now());
INSERT INTO rejection_needs VALUES (998, 'stores', 'north', '', 'shop');
INSERT INTO retriggers (id, merchant, name, origin, dry_run, actor, started_at, total)
    VALUES (997, 'shop', 'r-1', 'asked', false, 'a', now(), 1);
INSERT INTO retrigger_items VALUES (997, 998);
INSERT INTO sanity_sweeps VALUES (true, now())
"""


class TestACheckOfATable:
    @pytest.fixture
    def full(self, bench: SqlBench) -> SqlBench:
        """A store with a row in every table."""
        bench.add_endpoint()
        order = bench.register()
        claim = bench.claim()
        with bench.units() as uow:
            uow.apply([eventful(order, row_of(claim, order.id))], claim)
            uow.commit()
        with bench.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO inbox (merchant, name, key, content, body, state, actor, received_at)"
                    " VALUES ('shop', 'n', 'k', 'c', '{}', 'applied', 'a', now())"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO reversals (id, merchant, provider, reference, amount, currency, digits,"
                    " response_code, occurred_at, settles_at, reported_at, actor)"
                    " VALUES (999, 'shop', 'acme', 'p', 1, 'EUR', 2, '99', now(), now() + interval '1 day', now(), 'a')"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO reversal_attempts (reversal_id, at, asked, answer, decided)"
                    " VALUES (999, now(), 'inquiry', '{}', 'ask again')"
                )
            )
            connection.execute(text("INSERT INTO reversal_intents VALUES (999, 1, 'k', false, NULL, false, now())"))
            for statement in _OF_THE_SANITY_QUEUE.split(";"):
                connection.execute(text(statement))
            connection.execute(
                text("INSERT INTO endpoint_entries (endpoint, actor, step) SELECT id, 'a', 'added' FROM endpoints")
            )
            connection.execute(text("INSERT INTO api_keys (merchant, hash) VALUES ('shop', 'h')"))
            connection.execute(text("INSERT INTO key_budgets VALUES ('h', 1, true, now())"))
            connection.execute(
                text(
                    "INSERT INTO kept_answers (owner, key, fingerprint, started_at, expires_at)"
                    " VALUES ('shop', 'k', 'f', now(), now())"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO deliveries (stream, event_row, state, tries, first_tried_at, last_tried_at)"
                    " SELECT s.id, min(e.id), 'pending', 1, now(), now() FROM streams s, events e GROUP BY s.id"
                )
            )
        return bench

    def test_refuses_what_cannot_be(self, full: SqlBench) -> None:
        accepted = [name for name, statement in REFUSED.items() if not _refuses(full.engine, name, statement)]

        assert accepted == []

    def test_stands_in_the_list_above(self) -> None:
        checks = [
            (table.name, constraint.name)
            for table in metadata.sorted_tables
            for constraint in table.constraints
            if isinstance(constraint, CheckConstraint)
        ]

        names = [(table, str(name).removeprefix(f"ck_{table}_")) for table, name in checks]
        missing = [name for name in names if not {name[1], ".".join(name)} & REFUSED.keys()]
        assert missing == []


def _refuses(engine: Engine, name: str, statement: str) -> bool:
    wanted = name.rpartition(".")[2]
    with engine.connect() as connection:
        try:
            connection.execute(text(statement))
        except IntegrityError as error:
            return wanted in str(error.orig)
    return False


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent while the block runs."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def eventful(before: Order, row: Claimed) -> Decision:
    """Return a decision that has every part."""
    key = before.id
    order = replace(before, status=OrderStatus.PENDING, sequence=2)
    move = Move(sequence=2, previous=OrderStatus.NEW, status=OrderStatus.PENDING)
    return Decision(
        before=before,
        order=order,
        actor="system:test",
        moves=(move,),
        events=(status_changed(order, move),),
        attempts=(an_attempt(),),
        operations=(a_refund("r-1"),),
        intents=(replace(an_intent(), key=f"key-{key}"),),
        openings=(CaseOpening(kind=CaseKind.CONTRADICTION, known="this and that"),),
        closures=frozenset({CaseKind.POLLING_EXHAUSTED}),
        entries=(Entry(kind=EntryKind.NOTE, detail={"note": "n"}),),
        outcomes=(CommandOutcome(command=key, state=CommandState.REFUSED, reason="no"),),
        due=Due(work=Work.POLL, at=NOON + 1 * HOURS),
        row=row,
    )


class TestAWave:
    def statements_for(self, bench: SqlBench, count: int) -> list[str]:
        orders = bench.register_many([an_order(reference=f"{count}-{n}", payment=f"{count}-{n}") for n in range(count)])
        claim = bench.claim()
        decisions = [eventful(order, row_of(claim, order.id)) for order in orders]
        with bench.units() as uow, counted(bench.engine) as sent:
            saved = uow.apply(decisions, claim)
            uow.commit()
        assert len(saved) == count
        return sent

    def test_takes_as_many_statements_for_five_hundred_as_for_one(self, bench: SqlBench) -> None:
        bench.add_endpoint()

        one = self.statements_for(bench, 1)
        many = self.statements_for(bench, 500)

        assert many == one
        assert len(one) < 25

    def test_that_changes_nothing_writes_only_its_plan(self, bench: SqlBench) -> None:
        order = bench.register()
        claim = bench.claim()
        unchanged = Decision(
            before=order,
            order=order,
            actor="system:test",
            due=Due(work=Work.POLL, at=NOON + 1 * HOURS),
            row=row_of(claim, order.id),
        )

        with bench.units() as uow, counted(bench.engine) as sent:
            uow.apply([unchanged], claim)
            uow.commit()

        assert len(sent) == 1


class TestTheClockOfAUnitOfWork:
    def test_is_the_databases_own_if_nobody_gives_another(self, engine: Engine) -> None:
        with SqlUnitOfWorkFactory(engine)() as uow, engine.connect() as connection:
            there = connection.execute(text("SELECT now()")).scalar_one()

            assert abs((there - uow.now).total_seconds()) < 60
            assert uow.now.tzinfo is not None


class TestAStoreThatIsAway:
    def test_is_said_to_be_unavailable(self) -> None:
        away = connect("postgresql://nobody@127.0.0.1:1/nothing")

        with pytest.raises(StoreUnavailable), SqlUnitOfWorkFactory(away)() as uow:
            uow.commit()

        away.dispose()

    def test_is_said_to_be_unavailable_when_it_ends_the_connection(self, bench: SqlBench) -> None:
        with pytest.raises(StoreUnavailable):
            _read_while_the_server_ends_it(bench.engine)

    def test_leaves_the_fault_of_a_statement_what_it_is(self, bench: SqlBench) -> None:
        with pytest.raises(IntegrityError):
            bench.register(an_order(merchant="nobody"))


def _read_while_the_server_ends_it(engine: Engine) -> None:
    with SqlUnitOfWorkFactory(engine)() as uow:
        _end_all_others(engine)
        uow.merchants.get_many(["shop"])


def _end_all_others(engine: Engine) -> None:
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"))
