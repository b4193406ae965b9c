"""`verify` sees what is damaged of rejected transactions, and nothing where nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from adapters import messages
from adapters.currencies import of_iso_4217
from adapters.persistence import merchants
from adapters.persistence.columns import run
from adapters.persistence.verify import verify
from domain.usecases.drain import Drain, Pace
from domain.usecases.reprocess_rejected import ReprocessRejected
from tests.builders import PROVIDER
from tests.integration.store import NoHints, Store

TEA = {"line_items": ["tea"]}


@pytest.fixture
def store(engine: Engine) -> Store:
    """One of every kind: waiting, added, given up, failed at once; and a retrigger that is not through."""
    store = Store(engine)
    check(store, sanity_queue=False)
    reject(store, "permanent")
    check(store, sanity_queue=True)
    reject(store, "added")
    store.say("put_master_data", kind="line_items", entries=[{"key": "tea"}])
    retrigger(store, "first")
    reprocess(store)
    reject(store, "waiting", "milk")
    key = reject(store, "given-up", "milk")
    mend(store, "mark_failed", transactions=[str(key)])
    retrigger(store, "open")
    return store


def check(store: Store, *, sanity_queue: bool) -> None:
    with store.engine.begin() as connection:
        merchants.change(connection, "shop", {"checks": ["line_items"], "sanity_queue": sanity_queue}, url=None)


def reject(store: Store, order: str, item: str = "tea") -> int:
    bill = {"line_items": [item]}
    plain = {"provider": PROVIDER, "reference": f"pay-{order}", "amount": "1", "currency": "EUR"}
    store.say("register_order", order=order, **plain, bill=bill)
    [(key,)] = store.ask('SELECT id FROM rejections WHERE "order" = %(o)s', o=order)
    return int(key)


def mend(store: Store, name: str, **fields: Any) -> None:
    parsed = messages.parse(f"sanity.{name}", {"merchant": "shop", **fields}, trace="t", channel="message")
    store.receive(parsed.accepted)


def retrigger(store: Store, name: str) -> None:
    mend(store, "retrigger", retrigger=name)


def reprocess(store: Store) -> None:
    step = ReprocessRejected(
        command_of=messages.command_of,
        policies={PROVIDER: store.policy},
        currencies=lambda _provider: of_iso_4217(),
        hints=NoHints(),
    )
    Drain(
        unit_of_work=store.unit_of_work, step=step, pace=Pace(), clock=lambda: 0.0, report=lambda _event, _fields: None
    )()


def _of(order: str) -> str:
    return f"(SELECT id FROM rejections WHERE \"order\" = '{order}')"


_DAMAGES = {
    "a rejection that nobody was told of": (
        "I1",
        "rejected transaction shop waiting",
        f"DELETE FROM events WHERE order_id = {_of('waiting')}",
    ),
    "an end that nobody was told of": (
        "I1",
        "rejected transaction shop waiting",
        f"UPDATE rejections SET status = 'PERMANENT_FAILED' WHERE id = {_of('waiting')}",
    ),
    "one that waits for nothing": (
        "I2",
        "rejected transaction shop waiting",
        f"DELETE FROM rejection_needs WHERE rejection = {_of('waiting')}",
    ),
    "one that is worked on although it owes nothing": (
        "I2",
        "rejected transaction shop waiting",
        (
            "INSERT INTO due_work (subject, due_at, lane, kind)"
            f" SELECT {_of('waiting')}, now(), min(id), 'poll' FROM lanes"
        ),
    ),
    "a retrigger that went dark": ("I2", "retrigger shop open", "DELETE FROM due_work WHERE kind = 'retrigger'"),
    "work of a retrigger that is none": (
        "I2",
        "due work",
        "UPDATE due_work SET kind = 'poll' WHERE kind = 'retrigger'",
    ),
    "one that is an order and waits": (
        "I7",
        "rejected transaction shop added",
        f"UPDATE rejections SET status = 'PENDING', retrigger = NULL WHERE id = {_of('added')}",
    ),
    "one that should be an order and is none": (
        "I7",
        "rejected transaction shop waiting",
        f"UPDATE rejections SET status = 'REPROCESSED', retrigger = 1 WHERE id = {_of('waiting')}",
    ),
    "a payment that is an order's": (
        "I7",
        "rejected transaction shop waiting",
        f"UPDATE transactions SET reference = 'pay-waiting' WHERE order_id = {_of('added')}",
    ),
    "a retrigger that keeps what it found to itself": (
        "I8",
        "retrigger shop first",
        "UPDATE retrigger_items SET outcome = NULL",
    ),
    "a retrigger of what is another's": (
        "I9",
        "retrigger shop",
        (
            "INSERT INTO merchants (id, name) VALUES ('other', 'Other');"
            f" UPDATE rejections SET merchant = 'other' WHERE id = {_of('waiting')}"
        ),
    ),
    "an event of another's": (
        "I9",
        "event evt_rejection_",
        (
            "INSERT INTO merchants (id, name) VALUES ('other', 'Other');"
            f" UPDATE rejections SET merchant = 'other' WHERE id = {_of('waiting')}"
        ),
    ),
}


class TestVerify:
    def test_finds_nothing_where_all_is_well(self, store: Store) -> None:
        assert verify(store.engine) == []
        reprocess(store)
        assert verify(store.engine) == []

    @pytest.mark.parametrize("damage", _DAMAGES)
    def test_tells_of_damage(self, store: Store, damage: str) -> None:
        invariant, subject, statements = _DAMAGES[damage]

        store.damage(*statements.split("; "))

        found = verify(store.engine)
        assert any(breach.invariant == invariant and breach.subject.startswith(subject) for breach in found), found


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that ask for master data while the block runs."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "master_data" in statement:
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


class TestIntake:
    @pytest.mark.parametrize(("checks", "statements"), [(["line_items", "stores"], 1), ([], 0)])
    def test_reads_master_data_once_for_a_thousand_orders_and_not_at_all_without_checks(
        self, engine: Engine, checks: list[str], statements: int
    ) -> None:
        store = Store(engine)
        with engine.begin() as connection:
            merchants.change(connection, "shop", {"checks": checks, "sanity_queue": True}, url=None)
        orders = [
            {
                "order": f"o-{number}",
                "provider": PROVIDER,
                "reference": f"p-{number}",
                "amount": "1",
                "currency": "EUR",
                "bill": {"line_items": [f"item-{number}", "tea"], "store": "north"},
            }
            for number in range(1000)
        ]

        with counted(engine) as sent:
            store.say("register_orders", orders=orders)

        assert len(sent) == statements
        [(rejected,)] = store.ask("SELECT count(*) FROM rejections")
        assert rejected == (1000 if checks else 0)


class TestARetrigger:
    def test_says_field_and_reason_of_what_can_no_longer_be_read(self, store: Store) -> None:
        large = "jsonb_set(body, '{bill,source}', '{\"n\": 1e300}')"
        with store.engine.begin() as connection:
            run(connection, f"UPDATE rejections SET body = {large} WHERE id = {_of('waiting')}", {})

        reprocess(store)

        why = "bill.source.n: holds a number that is too large"
        assert store.ask("SELECT why FROM retrigger_items WHERE why IS NOT NULL") == [(why,)]
