"""Answers, right ones and wrong ones, before they become HTTP."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from adapters.simulator.payments import Record

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


class Answer(msgspec.Struct, frozen=True):
    status: int
    document: Any
    content_type: str = JSON
    headers: Mapping[str, str] = {}

    def body(self) -> bytes:
        return self.document if isinstance(self.document, bytes) else msgspec.json.encode(self.document)


def problem(status: int, title: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    return Answer(status, {"title": title, "status": status, **more}, PROBLEM, headers or {})


def no_record(reference: str) -> Answer:
    return problem(404, "No record of this payment", detail=f"no payment has the reference {reference!r}")


def refused(payment_status: str) -> Answer:
    return problem(409, "The payment's state does not allow it", payment_status=payment_status)


# Each is a 200 that a careful reader does not believe.
NONSENSE: Final[Mapping[str, Callable[[Record], Any]]] = {
    "not_a_payment": lambda _: {"ok": True},
    "a_list": lambda record: [record],
    "null": lambda _: None,
    "missing_fields": lambda record: {"reference": record["reference"]},
    "wrong_currency": lambda record: {**record, "currency": "XTS"},
    "wrong_amount": lambda record: {**record, "amount": "999999.99"},
    "other_reference": lambda record: {**record, "reference": record["reference"] + "-of-another"},
    "no_amount_received": lambda record: {
        **{name: value for name, value in record.items() if name != "amount_received"},
        "status": "paid",
    },
    "bad_amount": lambda record: {**record, "amount": "12,30"},
    "bad_time": lambda record: {**record, "updated_at": "yesterday"},
}
