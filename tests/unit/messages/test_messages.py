"""What producers may send, and what they are told where they may not."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from adapters.messages import BY_NAME, MANY, NAMES, Parsed, command_of, parse, unreadable
from adapters.messages.refusing import LONGEST_BODY
from domain.model.command import (
    CancelOrder,
    CheckoutCompleted,
    FieldError,
    MarkFailed,
    PutMasterData,
    RecordAttempt,
    RecordOperation,
    RegisterOrder,
    ReportTimeout,
    ResolveOrder,
    RetriggerRejected,
)
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.order import CanceledBy, PaymentKind
from domain.model.reversal import TimeoutCause
from domain.model.transaction import AttemptState, OperationKind, OperationState

NOON = "2026-01-31T12:00:00Z"
# Every field of every message, each with a value that holds.
WHOLE: Mapping[str, Mapping[str, Any]] = {
    "intake.register_order": {
        "merchant": "shop",
        "order": "A-1",
        "provider": "acme",
        "reference": "pay_1",
        "amount": "12.30",
        "currency": "EUR",
        "kind": "crypto",
        "network": "bitcoin",
        "customer": "c-7",
        "created_at": NOON,
        "cancellation_timeout": 3600,
        "checkout_timeout": 120,
        "attempts_allowed": 3,
        "bill": {
            "number": "B-1",
            "date": "2026-01-30",
            "store": {"key": "north"},
            "payment_methods": ["card"],
            "line_items": [{"key": "tea", "quantity": 2}],
            "extended_fields": {"till": 4},
            "customer_extended_fields": {"tier": "gold"},
            "source": {"system": "pos"},
        },
    },
    "intake.checkout_completed": {"merchant": "shop", "order": "A-1", "at": NOON},
    "intake.cancel_order": {"merchant": "shop", "order": "A-1", "by": "user", "reason": "too slow"},
    "intake.record_attempt": {
        "merchant": "shop",
        "order": "A-1",
        "attempt": {"id": "t1", "state": "failed", "reason": "no funds", "at": NOON},
    },
    "intake.record_operation": {
        "merchant": "shop",
        "order": "A-1",
        "operation": {"id": "r1", "kind": "refund", "state": "queued", "amount": "1.5", "at": NOON},
    },
    "intake.resolve_order": {"merchant": "shop", "order": "A-1", "note": "sent goods", "by": "ann"},
    "intake.report_timeout": {
        "merchant": "shop",
        "provider": "acme",
        "reference": "pay_1",
        "response_code": "99",
        "amount": "12.30",
        "currency": "EUR",
        "occurred_at": NOON,
        "settles_at": "2026-02-01T12:00:00Z",
        "order": "A-1",
        "cause": "no_response",
    },
    "intake.put_master_data": {
        "merchant": "shop",
        "kind": "transaction_fields",
        "entries": [{"key": "channel", "type": "enum", "options": ["web", "till"]}, {"key": "note"}],
    },
    "sanity.retrigger": {"merchant": "shop", "retrigger": "r-1", "transactions": ["17", 18], "dry_run": True},
    "sanity.mark_failed": {"merchant": "shop", "transactions": ["17"], "note": "a test of ours"},
}
REQUIRED = {
    "intake.register_order": ["merchant", "order", "provider", "reference", "amount", "currency"],
    "intake.checkout_completed": ["merchant", "order"],
    "intake.cancel_order": ["merchant", "order", "by"],
    "intake.record_attempt": ["merchant", "order", "attempt", "attempt.id", "attempt.state"],
    "intake.record_operation": [
        *("merchant", "order", "operation"),
        *(f"operation.{field}" for field in ("id", "kind", "state", "amount")),
    ],
    "intake.resolve_order": ["merchant", "order", "note"],
    "intake.report_timeout": [
        *("merchant", "provider", "reference", "response_code", "amount", "currency", "occurred_at"),
    ],
    "intake.put_master_data": ["merchant", "kind", "entries"],
    "sanity.retrigger": ["merchant", "retrigger"],
    "sanity.mark_failed": ["merchant", "transactions"],
}

IDENTIFIER = [
    (7, "should be a string"),
    ("", "is empty"),
    ("  ", "is blank"),
    ("x" * 129, "is longer than"),
    ("a\0b", "holds a NUL character"),
    ("a\nb", "holds a control character"),
    ("\ud800", "holds half of a character (a lone surrogate)"),
    ([], "should be a string"),
]
AMOUNT = [
    *((wrong, "should be a string") for wrong in (12.3, 12, True, Decimal(1), ["1"])),
    *(
        (wrong, 'like "12.30"')
        for wrong in ("", "1,5", "-1", "+1", "1e3", "NaN", ".5", "5.", " 1", "1\n", "٣", "1" * 16)
    ),
    *((wrong, "greater than zero") for wrong in ("0", "0.00", "000")),
]
TIME = [
    (1769860800, "should be a string"),
    (datetime(2026, 1, 31, tzinfo=UTC), "should be a string"),
    *(
        (wrong, "with an offset (RFC 3339)")
        for wrong in ("2026-01-31T12:00:00", "2026-01-31", "20260131T120000Z", "2026-W05-6T12:00:00Z", "noon", "")
    ),
    *(
        (wrong, "does not exist")
        for wrong in ("2026-02-30T12:00:00Z", "2026-01-31T24:30:00Z", "2026-01-31T12:00:00+99:00")
    ),
    *((wrong, "between 1970 and 2200") for wrong in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z")),
]
SECONDS = [
    *((wrong, "should be a whole number") for wrong in ("60", 60.0, True, [60])),
    *((wrong, "should be 1 or more") for wrong in (0, -5)),
    (10**30, "or less"),
]
PROSE = [(7, "should be a string"), ("", "is empty"), ("x" * 2001, "is longer than"), ("a\0", "NUL")]
GROUNDS = [*PROSE, (" ", "is blank"), ("\u200b\n", "is blank")]
OBJECT = [(wrong, "should be an object") for wrong in ("x", 5, [1])]
TRANSACTIONS = [("17", "should be a list"), (17, "should be a list"), ([], "is empty"), ([1] * 10_001, "entries")]
ENTRIES = [("x", "should be a list"), ({"key": "a"}, "should be a list")]
FREE = [
    *OBJECT,
    ({"a": "\0"}, "holds a NUL character"),
    ({"a": {"\ud800": 1}}, "surrogate"),
    ({"a": float("inf")}, "not finite"),
    ({"a": 10**19}, "too large"),
    ({"a": 1e22}, "too large"),
    ({"a": [{"b": -1e300}]}, "too large"),
    ({"a": Decimal(1)}, "holds a Decimal, which is not JSON"),
    ({"": 1}, "is empty"),
]


def one_of(*words: str) -> list[tuple[object, str]]:
    return [(wrong, f"should be '{words[0]}'") for wrong in ("other", 5, words[0].upper(), "")]


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


# Each field of each message with all that it may not be.
WRONG: Mapping[str, Mapping[str, list[tuple[Any, str]]]] = {
    "intake.register_order": {
        **dict.fromkeys(["merchant", "order", "provider", "reference", "currency", "network"], IDENTIFIER),
        "customer": [("x" * 257, "is longer than"), *(wrong for wrong in IDENTIFIER if wrong[0] != "x" * 129)],
        "amount": AMOUNT,
        "kind": one_of("fiat", "crypto"),
        "created_at": TIME,
        "cancellation_timeout": SECONDS,
        "checkout_timeout": SECONDS,
        "attempts_allowed": [("1", "whole number"), (True, "whole number"), (-1, "0 or more"), (10**9, "or less")],
        "bill": OBJECT,
        "bill.number": IDENTIFIER,
        "bill.date": [(5, "should be a string"), ("2026-02-30", "does not exist"), ("January", "RFC 3339")],
        "bill.store": [(5, "should be an object")],
        "bill.payment_methods": ENTRIES,
        "bill.line_items": ENTRIES,
        "bill.extended_fields": FREE,
        "bill.customer_extended_fields": FREE,
        "bill.source": [*FREE, ({"a": deep(12)}, "deeper than 12")],
    },
    "intake.checkout_completed": {"merchant": IDENTIFIER, "order": IDENTIFIER, "at": TIME},
    "intake.cancel_order": {
        "merchant": IDENTIFIER,
        "order": IDENTIFIER,
        "by": [*one_of("user", "merchant"), ("system", "should be 'user' or 'merchant'")],
        "reason": GROUNDS,
    },
    "intake.record_attempt": {
        "merchant": IDENTIFIER,
        "order": IDENTIFIER,
        "attempt": OBJECT,
        "attempt.id": IDENTIFIER,
        "attempt.state": one_of("pending"),
        "attempt.reason": PROSE,
        "attempt.at": TIME,
    },
    "intake.record_operation": {
        "merchant": IDENTIFIER,
        "order": IDENTIFIER,
        "operation": OBJECT,
        "operation.id": IDENTIFIER,
        "operation.kind": one_of("capture"),
        "operation.state": one_of("queued"),
        "operation.amount": AMOUNT,
        "operation.at": TIME,
    },
    "intake.resolve_order": {"merchant": IDENTIFIER, "order": IDENTIFIER, "note": GROUNDS, "by": IDENTIFIER},
    "intake.report_timeout": {
        **dict.fromkeys(["merchant", "order", "provider", "reference", "currency"], IDENTIFIER),
        "response_code": [(wrong, "should be '99', '797', '798' or '799'") for wrong in (99, "00", "7 98", "", "0099")],
        "amount": AMOUNT,
        "occurred_at": TIME,
        "settles_at": TIME,
        "cause": one_of("no_response"),
    },
    "intake.put_master_data": {
        "merchant": IDENTIFIER,
        "kind": one_of("line_items"),
        "entries": [*ENTRIES, ([], "is empty"), ([{"key": "a"}] * 10_001, "more than 10000 entries")],
    },
    "sanity.retrigger": {
        "merchant": IDENTIFIER,
        "retrigger": [*IDENTIFIER, ("auto:1", "should not begin with 'auto:'")],
        "transactions": TRANSACTIONS,
        "dry_run": [("true", "should be true or false"), (1, "true or false"), ([], "true or false")],
    },
    "sanity.mark_failed": {"merchant": IDENTIFIER, "transactions": TRANSACTIONS, "note": GROUNDS},
}


def received(name: str, **message: Any) -> Parsed:
    return parse(name, message, trace="trace-1", channel="message")


def errors_of(parsed: Parsed) -> Mapping[str, str]:
    assert parsed.accepted == ()
    (refused,) = parsed.refused
    return {error.field: error.reason for error in refused.errors}


def changed(name: str, path: str, value: object) -> dict[str, Any]:
    """Return the whole message with the field at `path` set, or taken away for `...`."""
    message = deepcopy(dict(WHOLE[name]))
    *outer, last = path.split(".")
    place = message
    for part in outer:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return message


def same_but(**changes: Any) -> str:
    (accepted,) = received(RegisterOrder.name, **{**WHOLE[RegisterOrder.name], **changes}).accepted
    return accepted.content


class TestAName:
    @pytest.mark.parametrize("name", [".", ".."])
    @pytest.mark.parametrize("field", ["merchant", "order", "reference"])
    def test_is_no_step_of_a_path_for_no_address_could_hold_it(self, field: str, name: str) -> None:
        (refused,) = received(RegisterOrder.name, **changed(RegisterOrder.name, field, name)).refused

        assert [(error.field, "no address" in error.reason) for error in refused.errors] == [(field, True)]


class TestEveryMessage:
    def test_is_tried_here(self) -> None:
        assert set(WHOLE) | {MANY} == NAMES
        for name, message in WHOLE.items():
            assert set(message) == set(BY_NAME[name].model_fields)
            assert {path.partition(".")[0] for path in WRONG[name]} == set(message)

    @pytest.mark.parametrize("name", WHOLE)
    def test_is_accepted_whole_and_can_be_read_again_from_its_body(self, name: str) -> None:
        parsed = received(name, **WHOLE[name])

        assert parsed.refused == ()
        (accepted,) = parsed.accepted
        assert accepted.command.name == name
        assert accepted.actor == "merchant:shop"
        assert accepted.trace == "trace-1"
        assert command_of(name, accepted.body) == accepted.command

    @pytest.mark.parametrize("name", WHOLE)
    def test_is_accepted_with_what_is_required_and_nothing_else(self, name: str) -> None:
        message = deepcopy(dict(WHOLE[name]))
        for path in WRONG[name]:
            if path not in REQUIRED[name]:
                outer, _, last = path.rpartition(".")
                place = message.get(outer, {}) if outer else message
                place.pop(last, None)

        assert received(name, **message).refused == ()

    @pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in REQUIRED.items() for path in paths])
    def test_is_refused_without_what_is_required(self, name: str, path: str) -> None:
        assert errors_of(received(name, **changed(name, path, ...))) == {path: "is required"}

    @pytest.mark.parametrize(
        ("name", "path", "value", "reason"),
        [
            pytest.param(name, path, value, reason, id=f"{name}-{path}-{number}")
            for name, paths in WRONG.items()
            for path, wrongs in paths.items()
            for number, (value, reason) in enumerate(wrongs)
        ],
    )
    def test_is_refused_with_the_field_and_the_reason(self, name: str, path: str, value: object, reason: str) -> None:
        parsed = received(name, **changed(name, path, value))

        errors = errors_of(parsed)
        assert len(errors) == 1
        (field,) = errors
        assert field == path or field.startswith(f"{path}.")
        assert reason in errors[field]
        assert not any(word in errors[field].lower() for word in ("input", "pydantic", "http", "valid string"))

    @pytest.mark.parametrize("name", sorted(set(WHOLE) - {"sanity.retrigger"}))
    def test_ignores_what_it_does_not_know(self, name: str) -> None:
        known = received(name, **WHOLE[name])

        assert received(name, **WHOLE[name], tomorrow={"a": "\0"}) == known

    @pytest.mark.parametrize("name", WHOLE)
    def test_takes_null_for_left_out(self, name: str) -> None:
        optional = {path for path in WHOLE[name] if path not in REQUIRED[name]}
        message = {field: None if field in optional else value for field, value in WHOLE[name].items()}

        assert received(name, **message).refused == ()

    @pytest.mark.parametrize("fields", [5, "x", None, [1], ["merchant", "shop"]])
    def test_is_refused_where_its_fields_are_no_object(self, fields: object) -> None:
        parsed = parse("intake.cancel_order", fields, trace="t", channel="message")

        assert errors_of(parsed) == {"kwargs": "the fields should be an object"}

    def test_is_refused_with_positional_arguments(self) -> None:
        message = WHOLE["intake.cancel_order"]

        parsed = parse("intake.cancel_order", message, args=["shop"], trace="t", channel="message")

        assert list(errors_of(parsed)) == ["args"]
        assert parsed.refused[0].body.startswith('["shop",{"merchant":"shop"')

    def test_is_refused_under_a_name_that_nobody_knows(self) -> None:
        assert errors_of(received("intake.nothing", merchant="shop")) == {"task": "no message has this name"}

    def test_names_every_field_that_is_wrong(self) -> None:
        errors = errors_of(received(RegisterOrder.name, merchant="shop", order=5, amount=1.5, kind="x"))

        assert list(errors) == ["order", "provider", "reference", "amount", "currency", "kind"]

    def test_is_done_by_its_actor(self) -> None:
        message = WHOLE["intake.cancel_order"]

        parsed = parse("intake.cancel_order", message, trace="t", channel="cli", actor="operator:ann", key="mine")

        assert (parsed.accepted[0].actor, parsed.accepted[0].key) == ("operator:ann", "mine")


class TestACommand:
    def test_says_what_its_message_says(self) -> None:
        commands = [received(name, **message).accepted[0].command for name, message in WHOLE.items()]

        noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
        registration, *others = commands
        assert registration == RegisterOrder(
            merchant="shop",
            order="A-1",
            provider="acme",
            reference="pay_1",
            amount="12.30",
            currency="EUR",
            kind=PaymentKind.CRYPTO,
            network="bitcoin",
            customer="c-7",
            created_at=noon,
            cancellation_timeout=timedelta(hours=1),
            checkout_timeout=timedelta(minutes=2),
            attempts_allowed=3,
            bill={**WHOLE[RegisterOrder.name]["bill"], "payment_methods": [{"key": "card"}]},
        )
        shop: dict[str, Any] = {"merchant": "shop", "order": "A-1"}
        assert others == [
            CheckoutCompleted(**shop, at=noon),
            CancelOrder(**shop, by=CanceledBy.USER, reason="too slow"),
            RecordAttempt(**shop, id="t1", state=AttemptState.FAILED, reason="no funds", at=noon),
            RecordOperation(
                **shop,
                id="r1",
                kind=OperationKind.REFUND,
                state=OperationState.QUEUED,
                amount="1.5",
                at=noon,
            ),
            ResolveOrder(**shop, note="sent goods", by="ann"),
            ReportTimeout(
                **shop,
                provider="acme",
                reference="pay_1",
                response_code="99",
                amount="12.30",
                currency="EUR",
                occurred_at=noon,
                settles_at=noon + timedelta(days=1),
                cause=TimeoutCause.NO_RESPONSE,
            ),
            PutMasterData(
                merchant="shop",
                kind=MasterKind.TRANSACTION_FIELDS,
                entries=(Entry(key="channel", type=FieldType.ENUM, options=("web", "till")), Entry(key="note")),
            ),
            RetriggerRejected(merchant="shop", retrigger="r-1", transactions=(17, 18), dry_run=True),
            MarkFailed(merchant="shop", transactions=(17,), note="a test of ours"),
        ]

    def test_has_a_field_for_each_of_its_message(self) -> None:
        registration = {field.name for field in fields(RegisterOrder)}

        assert registration == set(BY_NAME[RegisterOrder.name].model_fields)

    @pytest.mark.parametrize(
        "text",
        ["2026-01-31T13:30:00+01:30", "2026-01-31t12:00:00z", "2026-01-31 12:00:00.000Z", "2026-01-31T12:00:00-00:00"],
    )
    def test_has_its_times_in_utc(self, text: str) -> None:
        (accepted,) = received("intake.checkout_completed", merchant="shop", order="1", at=text).accepted

        assert isinstance(accepted.command, CheckoutCompleted)
        assert accepted.command.at == datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta()))
        assert accepted.body["at"] == text


class TestTheKeyOfAMessage:
    @pytest.mark.parametrize("name", ["intake.register_order", "intake.checkout_completed"])
    def test_is_the_order(self, name: str) -> None:
        assert received(name, **WHOLE[name]).accepted[0].key == "A-1"

    def test_is_order_id_and_state_which_never_run_together(self) -> None:
        def key(order: str, id_: str, state: str) -> str:
            attempt = {"id": id_, "state": state}
            (accepted,) = received("intake.record_attempt", merchant="shop", order=order, attempt=attempt).accepted
            return accepted.key

        keys = [
            key("a", "b", "failed"),
            key("a", "b", "success"),
            key('a","b', "c", "failed"),
            key("a", 'b","c', "failed"),
        ]
        assert len(set(keys)) == 4
        assert keys[0] == '["a","b","failed"]'

    @pytest.mark.parametrize(("name", "field"), [("intake.cancel_order", "reason"), ("intake.resolve_order", "note")])
    def test_is_what_it_says_where_nothing_else_names_it(self, name: str, field: str) -> None:
        first, same, other = (
            received(name, **{**WHOLE[name], field: said}).accepted[0].key for said in ("one", "one", "two")
        )

        assert first == same != other


class TestTheContentOfAMessage:
    def test_is_the_same_however_it_is_written(self) -> None:
        assert same_but() == same_but(amount="012.300") == same_but(created_at="2026-01-31T14:00:00+02:00")
        assert same_but(attempts_allowed=1) == same_but(attempts_allowed=None)
        assert same_but(bill={"line_items": ["tea"]}) == same_but(bill={"line_items": [{"key": "tea"}]})

    def test_is_another_where_something_else_is_said(self) -> None:
        contents = [
            same_but(),
            same_but(amount="12.31"),
            same_but(created_at="2026-01-31T12:00:01Z"),
            same_but(customer=None),
            same_but(cancellation_timeout=3601),
            same_but(bill={"number": "B-2"}),
        ]

        assert len(set(contents)) == len(contents)

    def test_stays_what_it_is_today(self) -> None:
        # Kept in databases: a change would make every repeated message a conflict.
        (accepted,) = received(
            RegisterOrder.name, **{f: WHOLE[RegisterOrder.name][f] for f in REQUIRED[RegisterOrder.name]}
        ).accepted

        assert accepted.content == "68b579531d9bb8ecb821125b6f1de7539a040b307080280ff7d9cdf7f64bf25e"

    def test_does_not_matter_where_the_first_stands(self) -> None:
        contents = {
            received("intake.checkout_completed", merchant="shop", order="1", at=at).accepted[0].content
            for at in (None, NOON, "2026-01-31T13:00:00Z")
        }

        assert len(contents) == 1


class TestManyOrders:
    def test_stand_or_fall_each_by_itself(self) -> None:
        whole = {field: value for field, value in WHOLE[RegisterOrder.name].items() if field != "merchant"}
        orders = [
            whole,
            {**whole, "order": "A-2", "amount": 5},
            "x",
            {**whole, "merchant": "other"},
            {**whole, "order": "A-3"},
        ]

        parsed = received(MANY, merchant="shop", orders=orders)

        assert [accepted.key for accepted in parsed.accepted] == ["A-1", "A-3"]
        assert {accepted.command.name for accepted in parsed.accepted} == {RegisterOrder.name}
        assert parsed.accepted[0] == received(RegisterOrder.name, **WHOLE[RegisterOrder.name]).accepted[0]
        assert [(refused.merchant, refused.order, refused.errors) for refused in parsed.refused] == [
            ("shop", "A-2", (FieldError(field="orders[1].amount", reason="should be a string"),)),
            ("shop", None, (FieldError(field="orders[2]", reason="should be an object"),)),
            ("shop", "A-1", (FieldError(field="orders[3].merchant", reason="is not the merchant of the message"),)),
        ]

    def test_are_up_to_a_thousand(self) -> None:
        orders = [{**WHOLE[RegisterOrder.name], "order": str(number)} for number in range(1001)]

        assert len(received(MANY, merchant="shop", orders=orders[:1000]).accepted) == 1000
        assert errors_of(received(MANY, merchant="shop", orders=orders)) == {"orders": "has more than 1,000 entries"}

    @pytest.mark.parametrize(
        ("orders", "reason"), [(None, "is required"), ([], "is empty"), ({"0": {}}, "should be a list")]
    )
    def test_come_in_a_list(self, orders: object, reason: str) -> None:
        assert errors_of(received(MANY, merchant="shop", orders=orders)) == {"orders": reason}

    @pytest.mark.parametrize(
        ("merchant", "reason"), [(None, "is required"), (5, "should be a string"), ("a\0", "holds a NUL character")]
    )
    def test_have_one_merchant(self, merchant: object, reason: str) -> None:
        assert errors_of(received(MANY, merchant=merchant, orders=[{}])) == {"merchant": reason}

    def test_name_the_item_that_is_wrong(self) -> None:
        bill = {"line_items": ["a", "b", "c", {"key": 5}, {"quantity": 1}, {"key": "e", "a\0": 1}]}
        orders = [{**WHOLE[RegisterOrder.name], "bill": bill}]

        assert errors_of(received(MANY, merchant="shop", orders=orders)) == {
            "orders[0].bill.line_items[3].key": "should be a string",
            "orders[0].bill.line_items[4].key": "is required",
            "orders[0].bill.line_items[5]": "holds a NUL character",
        }


class TestARefusedMessage:
    def test_is_kept_as_it_came(self) -> None:
        (refused,) = received(RegisterOrder.name, merchant="shop", order="é\0", x=[1, None]).refused

        assert (refused.name, refused.merchant, refused.order, refused.channel) == (
            RegisterOrder.name,
            "shop",
            None,
            "message",
        )
        assert refused.body == '{"merchant":"shop","order":"é\\u0000","x":[1,null]}'

    def test_is_cut_where_it_is_long_and_says_so(self) -> None:
        (refused,) = received(RegisterOrder.name, merchant="shop", order="é" * 100_000).refused

        assert len(refused.body.encode()) <= LONGEST_BODY
        assert refused.body[-32:] == " ... cut here: 200030 bytes came"

    def test_can_be_stored_whatever_came(self) -> None:
        nested: dict[str, Any] = {}
        inner = nested
        for _ in range(5000):
            inner["a"] = inner = {}
        for value in ("\ud800", "\0", 10**5000, float("nan"), nested, {"a": {1, 2}}, b"\xff", {5: 1}):
            (refused,) = parse("intake.cancel_order", {"by": value}, trace="t", channel="message").refused
            text = refused.body + refused.name + "".join(error.field + error.reason for error in refused.errors)
            assert "\0" not in text
            assert text.encode()

    def test_lists_no_more_errors_than_one_reads(self) -> None:
        (refused,) = received(RegisterOrder.name, **changed(RegisterOrder.name, "bill.line_items", [5] * 500)).refused

        assert len(refused.errors) == 101
        assert refused.errors[-1].reason == "and 400 more fields are wrong"

    def test_is_one_that_is_too_large(self) -> None:
        source = {f"k{number}": "x" * 1000 for number in range(300)}

        assert errors_of(received(RegisterOrder.name, **changed(RegisterOrder.name, "bill.source", source))) == {
            "message": "is larger than 256 KiB"
        }

    def test_may_be_bytes_that_nobody_can_read(self) -> None:
        refused = unreadable("intake\0", b"\xff\x00 abc", "it is\0 garbage")

        assert (refused.name, refused.body) == ("intake\\x00", "\\xff\\x00 abc")
        assert refused.errors == (FieldError(field="message", reason="it is\\x00 garbage"),)
