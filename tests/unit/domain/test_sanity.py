"""A bill against master data: five kinds of reasons, and what becomes of the transaction."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.rejection import Reason, RejectionStatus, RejectionType
from domain.rules.sanity import LONGEST_OPTION, Bill, reasons_against, rejection_of, verdict
from tests.builders import NOON, a_merchant
from tests.unit.usecases.yard import a_registration

K = MasterKind
ALL = tuple(MasterKind)
Known = Mapping[tuple[MasterKind, str], Entry]

DATES = [
    "2026-01-31",
    "2028-02-29",
    "2026-01-31T12:00:00Z",
    "2026-01-31t12:00:00.123456789123z",
    "2026-01-31T23:59:59-23:59",
    "2026-02-28T23:59:60Z",
    "2026-12-31T15:59:60.5-08:00",
    "2027-01-01T05:29:60+05:30",
]
NO_DATES = [
    "2026-02-30",
    "2026-02-29T12:00:00Z",
    "2026-02-28T10:00:00",
    "2026-02-28T10:00Z",
    "2026-02-28T24:00:00Z",
    "2026-02-28T12:00:60Z",
    "2026-02-28T23:59:60+01:00",
    "2026-02-28T23:59:61Z",
    "2026-02-28T10:00:00+0100",
    "2026-02-28T10:00:00+24:00",
    "2026-02-28T",
    "20260228",
    "2026-W01-1",
    "2026-060",
    "٢٠٢٦-01-31",
    "2026-01-31\n",
    "0000-01-01",
    "January",
    20260131,
    True,
]


def against(bill: Bill | None, *entries: tuple[MasterKind, Entry], checks: tuple[MasterKind, ...] = ALL) -> Any:
    known = {(kind, entry.key): entry for kind, entry in entries}
    return reasons_against(bill, checks, lambda kind, key: known.get((kind, key)))


def names(reasons: tuple[Reason, ...]) -> list[tuple[str, str, bool]]:
    return [(reason.kind.value, reason.key, reason.mendable) for reason in reasons]


def a_field(
    type_: FieldType | None, *options: str, kind: MasterKind = K.TRANSACTION_FIELDS
) -> tuple[MasterKind, Entry]:
    return kind, Entry(key="f", type=type_, options=options)


class TestABill:
    @pytest.mark.parametrize(
        ("bill", "kind"),
        [
            ({"line_items": [{"key": "x"}]}, "line_items"),
            ({"payment_methods": [{"key": "x"}]}, "payment_methods"),
            ({"store": {"key": "x"}}, "stores"),
        ],
    )
    def test_that_names_what_is_not_known_can_be_mended(self, bill: Bill, kind: str) -> None:
        assert names(against(bill)) == [(kind, "x", True)]
        assert against(bill, (MasterKind(kind), Entry(key="x"))) == ()

    @pytest.mark.parametrize(
        ("bill", "kind"),
        [
            ({"extended_fields": {"x": 1}}, "transaction_fields"),
            ({"customer_extended_fields": {"x": 1}}, "customer_fields"),
        ],
    )
    def test_with_a_field_that_nobody_has_described_cannot(self, bill: Bill, kind: str) -> None:
        assert names(against(bill)) == [(kind, "x", False)]
        assert against(bill, (MasterKind(kind), Entry(key="x"))) == ()

    def test_is_told_all_that_is_wrong_with_it_at_once(self) -> None:
        bill = {
            "line_items": [{"key": "tea"}, {"key": "milk"}, {"key": "tea"}],
            "payment_methods": [{"key": "card"}],
            "store": {"key": "north"},
            "extended_fields": {"f": "web"},
            "customer_extended_fields": {"tier": "gold"},
        }

        found = against(bill, a_field(FieldType.ENUM, "till"), (K.PAYMENT_METHODS, Entry(key="card")))

        assert names(found) == [
            ("line_items", "tea", True),
            ("line_items", "milk", True),
            ("stores", "north", True),
            ("transaction_fields", "f", True),
            ("customer_fields", "tier", False),
        ]
        assert found[3].option == "web"

    @pytest.mark.parametrize("bill", [None, {}, {"number": "1"}, {"extended_fields": {"f": None}}])
    def test_that_names_nothing_is_allowed(self, bill: Bill | None) -> None:
        assert against(bill) == ()

    @given(st.sets(st.sampled_from(MasterKind)))
    def test_is_checked_for_nothing_but_what_is_switched_on(self, checks: set[MasterKind]) -> None:
        bill = {
            "line_items": [{"key": "x"}],
            "payment_methods": [{"key": "x"}],
            "store": {"key": "x"},
            "extended_fields": {"x": 1},
            "customer_extended_fields": {"x": 1},
        }

        assert {reason.kind for reason in against(bill, checks=tuple(checks))} == checks


class TestAField:
    @pytest.mark.parametrize(
        ("type_", "holds", "holds_not"),
        [
            (FieldType.STRING, ["", "a"], [1, True, [], {}]),
            (FieldType.NUMBER, [1, -1.5, "12.30", "-7"], ["", "1e3", "x", True, "1,5", []]),
            (FieldType.BOOLEAN, [True, False], ["true", 0, 1]),
            (FieldType.DATE, DATES, NO_DATES),
            (None, ["a", 1, True, [1], {"a": 1}], []),
        ],
    )
    def test_holds_what_its_type_says(self, type_: FieldType | None, holds: list[Any], holds_not: list[Any]) -> None:
        for value in holds:
            assert against({"extended_fields": {"f": value}}, a_field(type_)) == (), value
        for value in holds_not:
            found = against({"extended_fields": {"f": value}}, a_field(type_))
            assert names(found) == [("transaction_fields", "f", False)], value

    @pytest.mark.parametrize(
        ("value", "option"), [("web", "web"), (5, "5"), (True, "true"), (["b", "a"], '["b", "a"]')]
    )
    def test_that_is_an_enum_lacks_the_option_and_can_be_mended(self, value: Any, option: str) -> None:
        bill = {"customer_extended_fields": {"f": value}}

        (reason,) = against(bill, a_field(FieldType.ENUM, "till", kind=K.CUSTOMER_FIELDS))

        assert (reason.option, reason.mendable) == (option, True)
        assert against(bill, a_field(FieldType.ENUM, option, kind=K.CUSTOMER_FIELDS)) == ()

    def test_that_is_an_enum_keeps_no_option_that_nobody_could_put(self) -> None:
        (reason,) = against({"extended_fields": {"f": "x" * (LONGEST_OPTION + 1)}}, a_field(FieldType.ENUM, "till"))

        assert reason.option == ""
        assert len(reason.message) < 200


reasons = st.builds(
    Reason, kind=st.sampled_from(MasterKind), key=st.just("x"), message=st.just("m"), mendable=st.booleans()
)


class TestTheVerdict:
    @given(found=st.lists(reasons, min_size=1), sanity_queue=st.booleans())
    def test_is_to_wait_only_where_all_can_be_mended_and_somebody_wants_that(
        self, *, found: list[Reason], sanity_queue: bool
    ) -> None:
        waits = verdict(found, sanity_queue=sanity_queue) is RejectionStatus.PENDING

        assert waits == (sanity_queue and not any(not reason.mendable for reason in found))

    @pytest.mark.parametrize("sanity_queue", [True, False])
    def test_stands_in_what_is_kept(self, *, sanity_queue: bool) -> None:
        bill = {"number": "B-1", "date": "2026-01-30", "line_items": [{"key": "x"}], "source": {"system": "pos"}}

        kept = rejection_of(
            a_registration(bill=bill, customer="c-7", created_at=NOON),
            against(bill),
            id=7,
            merchant=a_merchant(sanity_queue=sanity_queue),
            body={"says": "it"},
            now=NOON,
        )

        assert (kept.status, kept.type) == (
            (RejectionStatus.PENDING, RejectionType.REPROCESSABLE)
            if sanity_queue
            else (RejectionStatus.PERMANENT_FAILED, RejectionType.PERMANENT)
        )
        assert (kept.bill_number, kept.bill_date, kept.customer, kept.created_at) == ("B-1", "2026-01-30", "c-7", NOON)
        assert (kept.source, kept.body, kept.rejected_at) == ({"system": "pos"}, {"says": "it"}, NOON)


# Bills and master data over a few words, so that they meet often.
WORDS = st.sampled_from(["a", "b", "c"])
ITEMS = st.lists(st.fixed_dictionaries({"key": WORDS}), max_size=3)
FIELDS = st.dictionaries(WORDS, st.sampled_from(["a", "b", 1, True, "2026-01-31", None]), max_size=3)
BILLS = st.fixed_dictionaries(
    {},
    optional={
        "line_items": ITEMS,
        "payment_methods": ITEMS,
        "store": st.fixed_dictionaries({"key": WORDS}),
        "extended_fields": FIELDS,
        "customer_extended_fields": FIELDS,
    },
)
ENTRIES = st.dictionaries(
    st.tuples(st.sampled_from(MasterKind), WORDS),
    st.tuples(st.none() | st.sampled_from(FieldType), st.lists(st.sampled_from(["a", "b", "1", "true"]), max_size=2)),
)


class TestAnyBill:
    @given(BILLS, ENTRIES)
    def test_is_allowed_once_all_that_can_be_mended_is(self, bill: Bill, entries: Mapping[Any, Any]) -> None:
        known = {place: Entry(key=place[1], type=t, options=tuple(o)) for place, (t, o) in entries.items()}
        found = reasons_against(bill, ALL, lambda kind, key: known.get((kind, key)))

        for reason in found:
            old = known.get((reason.kind, reason.key))
            if reason.mendable:
                options = (*(old.options if old else ()), reason.option)
                known[reason.kind, reason.key] = Entry(key=reason.key, type=old.type if old else None, options=options)

        left = reasons_against(bill, ALL, lambda kind, key: known.get((kind, key)))
        assert left == tuple(reason for reason in found if not reason.mendable)

    @given(BILLS, ENTRIES)
    def test_has_each_reason_once(self, bill: Bill, entries: Mapping[Any, Any]) -> None:
        known = {place: Entry(key=place[1], type=t, options=tuple(o)) for place, (t, o) in entries.items()}

        found = reasons_against(bill, ALL, lambda kind, key: known.get((kind, key)))

        assert len({(reason.kind, reason.key, reason.option) for reason in found}) == len(found)
