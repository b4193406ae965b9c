"""The sanity check: a bill against its merchant's master data, and what becomes of a transaction that fails it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from domain.model.command import CheckoutCompleted, RegisterOrder
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.merchant import Merchant
from domain.model.order import Order
from domain.model.rejection import Reason, Rejection, RejectionStatus, RejectionType

Bill = Mapping[str, Any]

# Longer than any option that can be put.
LONGEST_OPTION: Final = 256
_SHOWN: Final = 80
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
# RFC 3339, 5.6: `full-date`, or `date-time`. Python's own reader takes more, and not the same in every version.
_DATE: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"([Tt ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)(\.\d+)?"
    r"([Zz]|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d)))?",
    re.ASCII,
)
_DAY_MINUTES: Final = 24 * 60


def _keys(items: Iterable[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    return [(item["key"], None) for item in items]


def _fields(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    # A field that is null is one that was left out.
    return [(key, value) for key, value in fields.items() if value is not None]


# What of a bill each check is about, as (key, value); things that are only named have no value.
NAMED: Final[Mapping[MasterKind, Callable[[Bill], list[tuple[str, Any]]]]] = MappingProxyType({
    MasterKind.LINE_ITEMS: lambda bill: _keys(bill.get("line_items", ())),
    MasterKind.PAYMENT_METHODS: lambda bill: _keys(bill.get("payment_methods", ())),
    MasterKind.STORES: lambda bill: _keys([bill["store"]] if bill.get("store") else ()),
    MasterKind.TRANSACTION_FIELDS: lambda bill: _fields(bill.get("extended_fields", {})),
    MasterKind.CUSTOMER_FIELDS: lambda bill: _fields(bill.get("customer_extended_fields", {})),
})  # fmt: skip
_FIELDS: Final = frozenset({MasterKind.TRANSACTION_FIELDS, MasterKind.CUSTOMER_FIELDS})
_CALLED: Final[Mapping[MasterKind, str]] = MappingProxyType({
    MasterKind.LINE_ITEMS: "line item",
    MasterKind.PAYMENT_METHODS: "payment method",
    MasterKind.STORES: "store",
    MasterKind.TRANSACTION_FIELDS: "transaction field",
    MasterKind.CUSTOMER_FIELDS: "customer field",
})  # fmt: skip


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_date(value: Any) -> bool:
    read = _DATE.fullmatch(value) if isinstance(value, str) else None
    if read is None:
        return False
    try:
        date.fromisoformat(read["day"])
    except ValueError:
        return False
    return read["second"] != "60" or _ends_a_day(read)


def _ends_a_day(read: re.Match[str]) -> bool:
    """Whether it is the last minute of a day in UTC, where alone a second may leap."""
    minutes = int(read["hour"]) * 60 + int(read["minute"])
    offset = int(read["hours"] or 0) * 60 + int(read["minutes"] or 0)
    return (minutes - (-offset if read["sign"] == "-" else offset)) % _DAY_MINUTES == _DAY_MINUTES - 1


# What a field of each type may hold. What an enum may hold are its options.
HOLDS: Final[Mapping[FieldType, Callable[[Any], bool]]] = MappingProxyType({
    FieldType.STRING: lambda value: isinstance(value, str),
    FieldType.NUMBER: _is_number,
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.DATE: _is_date,
})  # fmt: skip


# What becomes of a rejected transaction: a retrigger adds it, or somebody gives it up. Nothing leads back.
LEADS_TO: Final[Mapping[RejectionStatus, frozenset[RejectionStatus]]] = MappingProxyType({
    RejectionStatus.PENDING: frozenset({RejectionStatus.REPROCESSED, RejectionStatus.PERMANENT_FAILED}),
    RejectionStatus.PERMANENT_FAILED: frozenset(),
    RejectionStatus.REPROCESSED: frozenset(),
})  # fmt: skip


def named_in(bill: Bill | None, checks: Iterable[MasterKind]) -> Iterator[tuple[MasterKind, str]]:
    """Yield (kind, key) of all that these checks have to know of a bill."""
    for kind in checks:
        for key, _ in NAMED[kind](bill or {}):
            yield kind, key


def reasons_against(
    bill: Bill | None, checks: Iterable[MasterKind], known: Callable[[MasterKind, str], Entry | None]
) -> tuple[Reason, ...]:
    """Return every reason why master data does not allow the bill, each once, in the order of the checks."""
    wanted = frozenset(checks)
    found: dict[tuple[MasterKind, str, str], Reason] = {}
    for kind in (kind for kind in MasterKind if kind in wanted):
        for key, value in NAMED[kind](bill or {}):
            reason = _against(kind, key, value, known(kind, key))
            if reason is not None:
                found.setdefault((kind, key, reason.option), reason)
    return tuple(found.values())


def verdict(reasons: Iterable[Reason], *, sanity_queue: bool) -> RejectionStatus:
    """Say what becomes of a rejected transaction: it waits only where all can be mended, and somebody wants that."""
    if sanity_queue and all(reason.mendable for reason in reasons):
        return RejectionStatus.PENDING
    return RejectionStatus.PERMANENT_FAILED


def rejection_of(
    command: RegisterOrder,
    reasons: tuple[Reason, ...],
    *,
    id: int,  # noqa: A002 - the field's own name
    merchant: Merchant,
    body: Mapping[str, Any],
    now: datetime,
) -> Rejection:
    """Return what is kept of a transaction that its master data does not allow."""
    bill = command.bill or {}
    status = verdict(reasons, sanity_queue=merchant.sanity_queue)
    pending = status is RejectionStatus.PENDING
    return Rejection(
        id=id,
        merchant=command.merchant,
        order=command.order,
        provider=command.provider,
        reference=command.reference,
        customer=command.customer,
        bill_number=bill.get("number"),
        bill_date=bill.get("date"),
        created_at=command.created_at,
        source=bill.get("source", {}),
        type=RejectionType.REPROCESSABLE if pending else RejectionType.PERMANENT,
        status=status,
        reasons=reasons,
        body=body,
        rejected_at=now,
    )


def _against(kind: MasterKind, key: str, value: Any, entry: Entry | None) -> Reason | None:
    called = f"{_CALLED[kind]} {key!r}"
    if entry is None:
        # What a field means is said by its type, so one that nobody has described cannot be mended by adding a word.
        return Reason(kind=kind, key=key, message=f"the {called} is not known", mendable=kind not in _FIELDS)
    if kind not in _FIELDS or entry.type is None:
        return None
    if entry.type is FieldType.ENUM:
        option = _option(value)
        if option in entry.options:
            return None
        message = f"the {called} has no option {option[:_SHOWN]!r}"
        return Reason(kind=kind, key=key, message=message, option=option if len(option) <= LONGEST_OPTION else "")
    if HOLDS[entry.type](value):
        return None
    return Reason(kind=kind, key=key, message=f"the {called} should be a {entry.type}", mendable=False)


def _option(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def from_processing(command: CheckoutCompleted, order: Order) -> CheckoutCompleted:
    """Return what is said of a reprocessed order's checkout: like the order, it counts from the processing."""
    return replace(command, at=None if command.at is None else max(command.at, order.created_at))
