"""The shapes of `contracts/provider.openapi.yaml`, and how they become what the domain knows.

msgspec checks types, patterns and offsets while it decodes. What is null counts as left out.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from domain.model.answer import ProviderStatus, Record, RecordedAttempt
from domain.model.transaction import AttemptState

Name = Annotated[str, Meta(min_length=1, max_length=1000)]
# It is kept, shown and mailed as it is, whatever a provider puts into it: so it has to be a word.
_PLAIN: Final = r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
Word = Annotated[str, Meta(pattern=rf"^{_PLAIN}{{1,64}}\Z")]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,18})?\Z")]
Time = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]

# Where money has arrived, how much of it is part of the statement
SAYS_WHAT_ARRIVED: Final = frozenset({ProviderStatus.PAID, ProviderStatus.REFUND_PENDING, ProviderStatus.REFUNDED})

# A word that we do not know closes nothing, as an attempt in error does
ATTEMPT_STATES: Final = {state.value: state for state in AttemptState}

NUL: Final = b"\\u0000"  # valid JSON that no word of the contract has and no text column takes
LONGEST_REASON: Final = 500  # of an attempt; what follows is cut off
EARLIEST_YEAR: Final = 1970
LATEST_YEAR: Final = 9998  # one more, and an offset leads out of the calendar


class Attempt(msgspec.Struct, frozen=True):
    id: Name
    state: Word
    reason: str | None = None
    at: Time | None = None


class Payment(msgspec.Struct, frozen=True):
    reference: Name
    status: Word
    amount: Amount
    currency: Name
    updated_at: Time
    amount_received: Amount | None = None
    amount_refunded: Amount | None = None
    paid_at: Time | None = None
    settled: bool | None = None
    network: str | None = None
    confirmations: Count | None = None
    attempts: tuple[Attempt, ...] | None = None


class Named(msgspec.Struct, frozen=True):
    """As much of a payment as says whose it is."""

    reference: str


class Found(msgspec.Struct, frozen=True):
    """The answer of a bulk call."""

    payments: list[Payment]
    missing: list[str]


class RawFound(msgspec.Struct, frozen=True):
    """The answer of a bulk call, its payments not looked into yet."""

    payments: list[msgspec.Raw]
    missing: list[str]


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, as far as it says anything to us."""

    title: str
    payment_status: Annotated[str, Meta(pattern=rf"^{_PLAIN}{{0,64}}\Z")] | None = None


class References(msgspec.Struct, frozen=True):
    """The question of a bulk call."""

    references: tuple[str, ...]


NOT_READABLE: Final = (ValueError, RecursionError)  # all that decoding raises; msgspec's errors are ValueErrors

read_payment: Final = msgspec.json.Decoder(Payment).decode
read_found: Final = msgspec.json.Decoder(Found).decode
read_raw_found: Final = msgspec.json.Decoder(RawFound).decode
read_problem: Final = msgspec.json.Decoder(Problem).decode
read_named: Final = msgspec.json.Decoder(Named).decode
write: Final = msgspec.json.Encoder().encode


def record_from(text: bytes | msgspec.Raw) -> Record:
    """Return the record that a payment's JSON states.

    Raises:
        ValueError, RecursionError: it states none (`NOT_READABLE`).
    """
    if NUL in bytes(text):
        raise ValueError("a text holds a NUL")
    return record_of(read_payment(text))


def found_in(body: bytes) -> tuple[Iterable[tuple[str, Record | str]], Iterable[str]]:
    """Return what a bulk answer found, {reference: record or why it is none} in pairs, and what it calls missing.

    The payments are read one by one only if they cannot be read together, so that a bad one costs itself alone.

    Raises:
        ValueError, RecursionError: it is no answer to a query (`NOT_READABLE`).
    """
    if NUL not in body:
        with suppress(*NOT_READABLE):
            found = read_found(body)
            return [(payment.reference, record_of(payment)) for payment in found.payments], found.missing
    raw = read_raw_found(body)
    return _one_by_one(raw.payments), raw.missing


def _one_by_one(payments: Iterable[msgspec.Raw]) -> Iterator[tuple[str, Record | str]]:
    for raw in payments:
        try:
            reference = read_named(raw).reference
        except NOT_READABLE:
            continue  # nobody can say whose it was
        try:
            yield reference, record_from(raw)
        except NOT_READABLE as error:
            yield reference, str(error)


def record_of(payment: Payment) -> Record:
    """Return the record that a payment states.

    Raises:
        ValueError: it leaves out what must be there, or a time is none that anything happened at.
    """
    received = payment.amount_received
    if received is None and payment.status in SAYS_WHAT_ARRIVED:
        raise ValueError(f"it is {payment.status}, and amount_received is missing")
    refunded = payment.amount_refunded
    return Record(
        reference=payment.reference,
        status=payment.status,
        amount=Decimal(payment.amount),
        currency=payment.currency,
        updated_at=_sensible(payment.updated_at),
        amount_received=None if received is None else Decimal(received),
        amount_refunded=None if refunded is None else Decimal(refunded),
        paid_at=None if payment.paid_at is None else _sensible(payment.paid_at),
        settled=payment.settled is True,
        network=payment.network,
        confirmations=payment.confirmations,
        attempts=tuple([_attempt(attempt) for attempt in payment.attempts]) if payment.attempts else (),
    )


def _attempt(attempt: Attempt) -> RecordedAttempt:
    return RecordedAttempt(
        id=attempt.id,
        state=ATTEMPT_STATES.get(attempt.state, AttemptState.ERROR),
        reason=None if attempt.reason is None else attempt.reason[:LONGEST_REASON],
        at=None if attempt.at is None else _sensible(attempt.at),
    )


def _sensible(moment: datetime) -> datetime:
    if EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        return moment
    raise ValueError(f"nothing happened at {moment.isoformat()}")
