"""`verify` sees each invariant that is damaged by hand, and nothing where nothing is damaged."""

import pytest
from sqlalchemy import Engine

from adapters.persistence.verify import overdue, verify
from domain.model.answer import ProviderStatus, Refused
from tests.builders import a_record, money
from tests.integration.store import Store


@pytest.fixture
def store(engine: Engine) -> Store:
    """Orders of every kind, all of them well."""
    store = Store(engine)
    store.damage("UPDATE merchants SET email = 'ops@shop.example', mail_statuses = '{REFUND_PENDING}'")
    store.register("new")
    store.register("paid")
    store.answer("paid", a_record(ProviderStatus.PAID, reference="pay-paid"))
    store.register("refunded")
    store.answer("refunded", a_record(ProviderStatus.PAID, reference="pay-refunded"))
    store.say(
        "record_operation",
        order="refunded",
        operation={"id": "r-1", "kind": "refund", "state": "queued", "amount": "40.00"},
    )
    store.register("short")
    store.answer("short", a_record(ProviderStatus.PAID, reference="pay-short", amount_received=money("60.00")))
    store.register("declined")
    store.answer("declined", a_record(ProviderStatus.DECLINED, reference="pay-declined"))
    store.register("canceling")
    store.say("cancel_order", order="canceling", by="merchant", reason="out of stock")
    store.answer("canceling", a_record(ProviderStatus.PENDING, reference="pay-canceling"))
    store.answer("canceling", Refused(payment_status="pending"))
    store.answer("canceling", a_record(ProviderStatus.ATTEMPTED, reference="pay-canceling"))
    store.say("checkout_completed", order="unknown")
    store.say("register_order", order="bad")
    _report_timeouts(store)
    return store


def _report_timeouts(store: Store) -> None:
    """One that a void is due for, one that was voided, one that had settled, and two that are orders' own."""
    store.report("pay-undoing")
    store.answer_reversal("pay-undoing", a_record(ProviderStatus.AUTHORIZED, reference="pay-undoing"))
    store.answer_reversal("pay-undoing", Refused(payment_status="authorized"))
    store.answer_reversal("pay-undoing", a_record(ProviderStatus.PAID, reference="pay-undoing"))
    store.report("pay-undone")
    store.answer_reversal("pay-undone", a_record(ProviderStatus.AUTHORIZED, reference="pay-undone"))
    store.answer_reversal("pay-undone", a_record(ProviderStatus.VOIDED, reference="pay-undone"))
    store.report("pay-settled")
    store.answer_reversal("pay-settled", a_record(ProviderStatus.PAID, reference="pay-settled", settled=True))
    store.register("held")
    store.report("pay-held")
    store.answer("held", a_record(ProviderStatus.PAID, reference="pay-held"))
    store.register("reversed")
    store.report("pay-reversed")
    store.answer_reversal("pay-reversed", a_record(ProviderStatus.VOIDED, reference="pay-reversed"))
    store.answer("reversed", a_record(ProviderStatus.VOIDED, reference="pay-reversed"))


class TestVerify:
    def test_finds_nothing_in_a_healthy_store(self, store: Store) -> None:
        assert verify(store.engine) == []
        assert verify(store.engine, chunk=1) == []
        assert overdue(store.engine) == []

    def test_finds_nothing_in_an_empty_store(self, engine: Engine) -> None:
        assert verify(engine) == []

    def test_warns_of_work_that_is_overdue(self, store: Store) -> None:
        store.damage("UPDATE due_work SET due_at = now() - interval '1 hour' WHERE kind = 'poll'")

        [late] = [found for found in overdue(store.engine) if "poll" in found.message]

        assert late.subject == "provider acme"
        assert verify(store.engine) == []


def _order(name: str) -> str:
    return f"(SELECT id FROM orders WHERE reference = '{name}')"


def _reversal(reference: str) -> str:
    return f"(SELECT id FROM reversals WHERE reference = '{reference}')"


_NO_EDGES = "ALTER TABLE history DROP CONSTRAINT fk_history_previous_status"
_DAMAGES = {
    "a case of which no mail tells its merchant": ("I2", "case ", "DELETE FROM mails WHERE case_id IS NOT NULL"),
    "a case of which no mail tells the operator": (
        "I2",
        "case ",
        "UPDATE cases SET kind = 'STUCK' WHERE kind = 'SETTLED_UNREVERSED'",
    ),
    "a mail that nothing will send": ("I2", "mail ", "DELETE FROM due_work WHERE kind = 'mail'"),
    "a mail that was given up quietly": ("I2", "mail ", "UPDATE mails SET state = 'failed'"),
    "a mail with another's work": ("I2", "due work ", "UPDATE due_work SET kind = 'poll' WHERE kind = 'mail'"),
    "a mail in another's lane": (
        "I2",
        "due work ",
        "UPDATE due_work SET lane = (SELECT id FROM lanes WHERE name = 'acme') WHERE kind = 'mail'",
    ),
    "a mail that says it twice": (
        "I7",
        "mail ",
        (
            "ALTER TABLE mails DROP CONSTRAINT uq_mails_event_audience;"
            " UPDATE mails SET event = (SELECT min(event) FROM mails)"
        ),
    ),
    "a mail about another's order": (
        "I9",
        "mail ",
        "INSERT INTO merchants (id, name) VALUES ('other', 'Other'); UPDATE mails SET merchant = 'other'",
    ),
    "a change of status without history": (
        "I1",
        "order shop paid",
        f"DELETE FROM history WHERE order_id = {_order('paid')} AND sequence = 2",
    ),
    "a status that history does not end with": (
        "I1",
        "order shop new",
        f"UPDATE orders SET status = 'PENDING' WHERE id = {_order('new')}",
    ),
    "a change that did not come from the one before": (
        "I1",
        "order shop paid",
        f"UPDATE history SET previous = 'PENDING' WHERE order_id = {_order('paid')} AND sequence = 2",
    ),
    "an edge that no table has": (
        "I1",
        "order shop paid",
        (
            f"{_NO_EDGES}; UPDATE history SET status = 'RESOLVED' WHERE order_id = {_order('paid')} AND sequence = 2;"
            f" UPDATE orders SET status = 'RESOLVED' WHERE id = {_order('paid')}"
        ),
    ),
    "a change without its event": (
        "I1",
        "order shop new",
        f"DELETE FROM events WHERE order_id = {_order('new')}",
    ),
    "an event without a change": (
        "I1",
        "order shop new",
        (
            "INSERT INTO events (event, type, merchant, order_id, sequence, body, created_at)"
            f" VALUES ('more', 'order.status_changed', 'shop', {_order('new')}, 2, '{{}}', now())"
        ),
    ),
    "an event that tells another story": (
        "I1",
        "order shop new",
        (
            "UPDATE events SET body = convert_to(replace(convert_from(body, 'UTF8'), 'NEW', 'PAID'), 'UTF8')"
            f" WHERE order_id = {_order('new')}"
        ),
    ),
    "an event whose body cannot be read": (
        "I1",
        "orders",
        f"UPDATE events SET body = 'no json' WHERE order_id = {_order('new')}",
    ),
    "an open order that nobody looks at": (
        "I2",
        "order shop new",
        f"DELETE FROM due_work WHERE subject = {_order('new')}",
    ),
    "a closed order that nobody watches": (
        "I2",
        "order shop declined",
        f"DELETE FROM due_work WHERE subject = {_order('declined')}",
    ),
    "an unresolved order without its case": (
        "I2",
        "order shop short",
        "UPDATE cases SET closed_at = now(), closed_by = 'operator:x'",
    ),
    "an order without a transaction": (
        "I2",
        "order shop new",
        f"DELETE FROM transactions WHERE order_id = {_order('new')}",
    ),
    "work for an order that owes nothing": (
        "I2",
        "order shop paid",
        (
            f"INSERT INTO due_work (subject, lane, kind, due_at) SELECT {_order('paid')}, id, 'poll', now() FROM lanes"
            " WHERE family = 'provider'"
        ),
    ),
    "work without a subject": (
        "I2",
        "due work 999999",
        "INSERT INTO due_work (subject, lane, kind, due_at) VALUES (999999, 1, 'poll', now())",
    ),
    "work that is there twice": (
        "I2",
        "due work",
        (
            "ALTER TABLE due_work DROP CONSTRAINT pk_due_work;"
            f" INSERT INTO due_work SELECT * FROM due_work WHERE subject = {_order('new')}"
        ),
    ),
    "work of the wrong kind": (
        "I2",
        "due work",
        f"UPDATE due_work SET kind = 'deliver' WHERE subject = {_order('new')}",
    ),
    "work in the wrong lane": (
        "I2",
        "due work",
        f"UPDATE due_work SET lane = (SELECT id FROM lanes WHERE family = 'merchant') WHERE subject = {_order('new')}",
    ),
    "a callback stream that nobody drains": (
        "I2",
        "callback stream",
        "DELETE FROM due_work WHERE kind = 'deliver'",
    ),
    "a disabled endpoint that holds callbacks back without a case": (
        "I2",
        "callback stream",
        "UPDATE endpoints SET enabled = false",
    ),
    "an event that a stream has passed over": (
        "I2",
        "callback stream",
        f"UPDATE streams SET cursor = (SELECT max(id) FROM events) WHERE order_id = {_order('new')}",
    ),
    "an event that a stream with a filter has passed over": (
        "I2",
        "callback stream",
        (
            "UPDATE endpoints SET types = '{order.status_changed}';"
            f" UPDATE streams SET cursor = (SELECT max(id) FROM events) WHERE order_id = {_order('new')}"
        ),
    ),
    "an event that no stream carries to an endpoint that wants it": (
        "I2",
        "event",
        (
            "UPDATE endpoints SET created_at = now() - interval '1 day', types = '{order.status_changed}';"
            f" UPDATE streams SET start = 1000000 WHERE order_id = {_order('new')}"
        ),
    ),
    "an event that no stream carries": (
        "I2",
        "event evt_",
        (
            "UPDATE endpoints SET created_at = now() - interval '1 day';"
            f" DELETE FROM due_work WHERE subject IN (SELECT id FROM streams WHERE order_id = {_order('new')});"
            f" DELETE FROM streams WHERE order_id = {_order('new')}"
        ),
    ),
    "a waiting command that nobody tries": (
        "I2",
        "command",
        "DELETE FROM due_work WHERE kind = 'command'",
    ),
    "an accepted command that no order carries out": (
        "I2",
        "command",
        f"UPDATE orders SET cancel_command = NULL WHERE id = {_order('canceling')}",
    ),
    "an open reversal that nobody follows": (
        "I2",
        "reversal of shop acme pay-undoing",
        f"DELETE FROM due_work WHERE subject = {_reversal('pay-undoing')}",
    ),
    "work for a reversal that has ended": (
        "I2",
        "reversal of shop acme pay-undone",
        (
            f"INSERT INTO due_work (subject, lane, kind, due_at) SELECT {_reversal('pay-undone')}, id, 'reverse', now()"
            " FROM lanes WHERE family = 'provider'"
        ),
    ),
    "work of an order for a reversal": (
        "I2",
        "due work",
        f"UPDATE due_work SET kind = 'confirm' WHERE subject = {_reversal('pay-undoing')}",
    ),
    "a reversal in the wrong lane": (
        "I2",
        "due work",
        (
            "UPDATE due_work SET lane = (SELECT id FROM lanes WHERE family = 'merchant')"
            f" WHERE subject = {_reversal('pay-undoing')}"
        ),
    ),
    "an end of a reversal that nobody is told of": (
        "I2",
        "reversal of shop acme pay-reversed",
        f"DELETE FROM events WHERE event = concat('evt_reversal_', {_reversal('pay-reversed')}, '_ended')",
    ),
    "an end that is told and did not come": (
        "I2",
        "event evt_reversal_",
        "UPDATE reversals SET outcome = NULL, ended_at = NULL WHERE reference = 'pay-undone'",
    ),
    "an end that is told under another name": (
        "I2",
        "event evt_other",
        "UPDATE events SET event = 'evt_other' WHERE type = 'reversal.ended' AND order_id IS NOT NULL",
    ),
    "an end that is told otherwise": (
        "I2",
        "event evt_reversal_",
        "UPDATE reversals SET outcome = 'DECLINED' WHERE reference = 'pay-reversed'",
    ),
    "money that was not given back, without a case": (
        "I2",
        "reversal of shop acme pay-settled",
        "UPDATE cases SET kind = 'CONTRADICTION' WHERE kind = 'SETTLED_UNREVERSED'",
    ),
    "an end as exhausted with the case of another": (
        "I2",
        "reversal of shop acme pay-settled",
        "UPDATE reversals SET outcome = 'EXHAUSTED' WHERE reference = 'pay-settled'",
    ),
    "an order that does not know of its reversal": (
        "I2",
        "order shop reversed",
        f"UPDATE transactions SET reversal = NULL WHERE order_id = {_order('reversed')}",
    ),
    "an order that is held by no reversal": (
        "I2",
        "order shop new",
        f"UPDATE transactions SET reversal = 'open' WHERE order_id = {_order('new')}",
    ),
    "a key that two intents share": (
        "I3",
        "order shop canceling",
        (
            "ALTER TABLE intents DROP CONSTRAINT uq_intents_key;"
            f" UPDATE intents SET key = (SELECT min(key) FROM intents) WHERE order_id = {_order('canceling')}"
        ),
    ),
    "a key that does not follow from its intent": (
        "I3",
        "order shop canceling",
        "UPDATE intents SET key = 'random' WHERE number = 2",
    ),
    "an intent that is missing": (
        "I3",
        "order shop canceling",
        "DELETE FROM intents WHERE number = 1",
    ),
    "a second intent although the first was not refused": (
        "I3",
        "order shop canceling",
        "UPDATE intents SET refused_in = NULL WHERE number = 1",
    ),
    "an intent recorded after its answer": (
        "I3",
        "order shop canceling",
        "UPDATE intents SET created_at = answered_at + interval '1 second' WHERE number = 1",
    ),
    "an effect that is due without an intent": (
        "I3",
        "order shop new",
        f"UPDATE due_work SET kind = 'cancel' WHERE subject = {_order('new')}",
    ),
    "a key that two reversals share": (
        "I3",
        "reversal of shop acme pay-undoing",
        (
            "ALTER TABLE reversal_intents DROP CONSTRAINT uq_reversal_intents_key;"
            " UPDATE reversal_intents SET key = (SELECT min(key) FROM reversal_intents)"
        ),
    ),
    "a key that does not follow from its reversal": (
        "I3",
        "reversal of shop acme pay-undoing",
        "UPDATE reversal_intents SET key = 'random' WHERE number = 2",
    ),
    "an intent of a reversal that is missing": (
        "I3",
        "reversal of shop acme pay-undoing",
        "DELETE FROM reversal_intents WHERE number = 1",
    ),
    "a second void although the first was not refused": (
        "I3",
        "reversal of shop acme pay-undoing",
        f"UPDATE reversal_intents SET refused_in = NULL WHERE number = 1 AND reversal_id = {_reversal('pay-undoing')}",
    ),
    "an intent of a reversal recorded after its answer": (
        "I3",
        "reversal of shop acme pay-undone",
        (
            "UPDATE reversal_intents SET created_at = answered_at + interval '1 second'"
            f" WHERE reversal_id = {_reversal('pay-undone')}"
        ),
    ),
    "a void that was sent under a key that nobody recorded": (
        "I3",
        "reversal of shop acme pay-undone",
        f"UPDATE reversal_attempts SET key = 'x' WHERE asked = 'void' AND reversal_id = {_reversal('pay-undone')}",
    ),
    "a void of a reversal that is due without an intent": (
        "I3",
        "reversal of shop acme pay-undoing",
        "UPDATE reversal_intents SET refused_in = 'paid' WHERE number = 2",
    ),
    "an order that was paid while its payment is being undone": (
        "I5",
        "order shop held",
        f"UPDATE orders SET status = 'PAID' WHERE id = {_order('held')}",
    ),
    "an order that was canceled as reversed and is not": (
        "I5",
        "order shop reversed",
        f"UPDATE transactions SET reversal = 'DECLINED' WHERE order_id = {_order('reversed')}",
    ),
    "money on a closed order": (
        "I5",
        "order shop declined",
        f"UPDATE transactions SET state = 'AUTHORIZED' WHERE order_id = {_order('declined')}",
    ),
    "a paid order without money": (
        "I5",
        "order shop paid",
        f"UPDATE transactions SET state = 'PENDING' WHERE order_id = {_order('paid')}",
    ),
    "an amount with too many decimals": (
        "I6",
        "order shop new",
        f"UPDATE orders SET amount = 10.001 WHERE id = {_order('new')}",
    ),
    "more captured than authorized": (
        "I6",
        "order shop paid",
        f"INSERT INTO operations VALUES ({_order('paid')}, 'c', 'capture', 'done', 101)",
    ),
    "more refunded than received": (
        "I6",
        "order shop refunded",
        f"INSERT INTO operations VALUES ({_order('refunded')}, 'r-2', 'refund', 'done', 60.01)",
    ),
    "a void of what was captured": (
        "I6",
        "order shop paid",
        (
            f"INSERT INTO operations VALUES ({_order('paid')}, 'c', 'capture', 'done', 1),"
            f" ({_order('paid')}, 'v', 'void', 'done', 1)"
        ),
    ),
    "a timeout of too many decimals": (
        "I6",
        "reversal of shop acme pay-undoing",
        "UPDATE reversals SET amount = 10.001 WHERE reference = 'pay-undoing'",
    ),
    "a void that was meant after settlement": (
        "I6",
        "reversal of shop acme pay-undoing",
        "UPDATE reversals SET settles_at = now() - interval '1 minute' WHERE reference = 'pay-undoing'",
    ),
    "a reversal that was voided under no key": (
        "I6",
        "reversal of shop acme pay-undone",
        f"UPDATE reversal_intents SET confirmed = false WHERE reversal_id = {_reversal('pay-undone')}",
    ),
    "a void that was confirmed and does not count": (
        "I6",
        "reversal of shop acme pay-undoing",
        "UPDATE reversal_intents SET confirmed = true WHERE number = 2",
    ),
    "a payment that is reversed twice": (
        "I7",
        "reversal of shop acme pay-undone",
        (
            "ALTER TABLE reversals DROP CONSTRAINT uq_reversals_provider_reference;"
            " UPDATE reversals SET reference = 'pay-undone' WHERE reference = 'pay-undoing'"
        ),
    ),
    "an order that is there twice": (
        "I7",
        "order shop paid",
        (
            "ALTER TABLE orders DROP CONSTRAINT uq_orders_merchant_reference;"
            f" UPDATE orders SET reference = 'paid' WHERE id = {_order('new')}"
        ),
    ),
    "a payment that two orders have": (
        "I7",
        "order shop new",
        (
            "ALTER TABLE transactions DROP CONSTRAINT uq_transactions_provider_reference;"
            f" UPDATE transactions SET reference = 'pay-paid' WHERE order_id = {_order('new')}"
        ),
    ),
    "a command that is kept twice": (
        "I7",
        "command",
        "ALTER TABLE inbox DROP CONSTRAINT uq_inbox_merchant_name_key; UPDATE inbox SET key = 'same'",
    ),
    "an event name that two events have": (
        "I7",
        "event same",
        "ALTER TABLE events DROP CONSTRAINT uq_events_event; UPDATE events SET event = 'same'",
    ),
    "a command that is refused for no reason": (
        "I8",
        "command",
        (
            "UPDATE inbox SET state = 'refused', reason = NULL WHERE state = 'applied'; "
            "INSERT INTO refused_messages (digest, command, name, body, errors, channel, received_at)"
            """ SELECT concat('command ', id), id, name, '', '["?"]', 'inbox', received_at FROM inbox"""
        ),
    ),
    "a command whose refusal nobody finds": (
        "I8",
        "command",
        "UPDATE inbox SET state = 'refused', reason = 'no' WHERE state = 'applied'",
    ),
    "a message that is refused for no reason": (
        "I8",
        "refused message",
        "UPDATE refused_messages SET errors = '[]'",
    ),
    "an event that is told to somebody else": (
        "I9",
        "event evt_",
        (
            f"INSERT INTO merchants (id, name) VALUES ('rival', 'R'); UPDATE events SET merchant = 'rival'"
            f" WHERE order_id = {_order('new')}"
        ),
    ),
    "a stream to somebody else's endpoint": (
        "I9",
        "callback stream",
        "INSERT INTO merchants (id, name) VALUES ('rival', 'R'); UPDATE endpoints SET merchant = 'rival'",
    ),
    "a delivery of another order's event": (
        "I9",
        "callback stream",
        (
            "INSERT INTO deliveries SELECT s.id, x.id, 'pending', 1, 500, NULL, now(), now() FROM streams s, events x"
            f" WHERE s.order_id = {_order('new')} AND x.order_id = {_order('paid')}"
        ),
    ),
    "a delivery of an event that is not there": (
        "I9",
        "callback stream",
        (
            "INSERT INTO deliveries SELECT s.id, 999999, 'delivered', 1, 200, NULL, now(), now() FROM streams s"
            f" WHERE s.order_id = {_order('new')}"
        ),
    ),
    "a reversal of somebody else's payment": (
        "I9",
        "reversal of rival acme pay-held",
        (
            "INSERT INTO merchants (id, name) VALUES ('rival', 'R');"
            " UPDATE reversals SET merchant = 'rival' WHERE reference = 'pay-held'"
        ),
    ),
    "a case of somebody else's reversal": (
        "I9",
        "reversal of shop acme pay-settled",
        (
            "INSERT INTO merchants (id, name) VALUES ('rival', 'R');"
            " UPDATE cases SET merchant = 'rival' WHERE kind = 'SETTLED_UNREVERSED'"
        ),
    ),
    "a case that is somebody else's": (
        "I9",
        "case",
        "INSERT INTO merchants (id, name) VALUES ('rival', 'R'); UPDATE cases SET merchant = 'rival'",
    ),
}


class TestADamagedStore:
    @pytest.mark.parametrize("damage", _DAMAGES)
    def test_is_told_of(self, store: Store, damage: str) -> None:
        invariant, subject, statements = _DAMAGES[damage]

        store.damage(*statements.split("; "))

        found = verify(store.engine)
        assert any(breach.invariant == invariant and breach.subject.startswith(subject) for breach in found), found
