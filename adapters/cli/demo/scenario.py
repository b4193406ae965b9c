"""What a scenario is made of: how an order comes, what its provider's script says, and the one right end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Fields: TypeAlias = Mapping[str, Any]

FIAT: Final = ("EUR", "JPY", "KWD")
CRYPTO: Final = ("USDT", "BTC", "ETH")
EVERY: Final = FIAT + CRYPTO

# Who sells: the fields that a merchant's own settings have. What is not said here, nobody has set.
MERCHANTS: Final[Mapping[str, Fields]] = {
    "bakery": {"name": "Bakery"},
    "books": {"name": "Books", "cancellation_timeout": 7},
    "games": {"name": "Games", "checkout_timeout": 4},
    "hotel": {"name": "Hotel"},
    "market": {"name": "Market", "tolerance": "0.02"},
}
EVERYBODY: Final = tuple(MERCHANTS)
_ALL_CHECKS: Final = ["line_items", "payment_methods", "stores", "transaction_fields", "customer_fields"]
# Those whose bills are checked: one is mended by master data alone, one tries again by command, one has no queue.
CHECKED: Final[Mapping[str, Fields]] = {
    "roastery": {"name": "Roastery", "checks": _ALL_CHECKS, "sanity_queue": True, "auto_retrigger": True},
    "tailor": {"name": "Tailor", "checks": _ALL_CHECKS, "sanity_queue": True},
    "kiosk": {"name": "Kiosk", "checks": _ALL_CHECKS},
}
# Their software registers orders many at a time, the others' one by one.
IN_LISTS: Final = frozenset({"bakery", "market"})
LIST_SECONDS: Final = 2.0
# Those whose orders get no cancellation timeout from them.
WITHOUT_TIMEOUT: Final = ("bakery", "games", "hotel", "market")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of the producer: `at` seconds after the order began, or when its merchant hears of a status (`on`)."""

    task: str
    fields: Fields = field(default_factory=dict)
    at: float | None = None
    on: str | None = None
    is_refused: bool = False  # whether the merchant must be told that it was refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the provider does with the payment once the merchant has heard of a status, `after` so many seconds."""

    on: str
    after: float
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The one right end. `cases` are those that a person must decide; they are open when all is at rest.

    `at_provider` is what the payment truly is then, None where there is none; `effect` what was done to it by us.
    """

    status: str
    reason: str | None = None
    canceled_by: str | None = None
    cases: frozenset[str] = frozenset()
    at_provider: str | None
    effect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of order. `why` says why its end is the right one; `weight` how many of it there are.

    In scripts and messages an amount is named: whole, over, under, near (within the tolerance) or part.
    """

    name: str
    why: str
    expected: Expected
    weight: int = 4
    order: Fields = field(default_factory=dict)
    script: Sequence[Fields] | None = ()  # None: the provider never has a record of it
    said: Sequence[Said] = ()
    turns: Sequence[Turn] = ()
    currencies: tuple[str, ...] = EVERY
    merchants: tuple[str, ...] = EVERYBODY
    starts_early: bool = False  # its end takes longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """The one right end of a timed-out transaction: what we tell of it, and the case that a person must decide.

    `at_provider` and `effect` are as an order's.
    """

    outcome: str
    case: str | None = None
    at_provider: str | None
    effect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOrder:
    """The order that the timed-out transaction was to pay.

    Its timeout is reported when its merchant hears of a status (`reported_on`), or else before the order itself comes.
    """

    expected: Expected
    fields: Fields = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    reported_on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """One kind of transaction that timed out; what is not said here is as in `Scenario`.

    `settles` is in seconds from the report; without it the provider's calendar decides, which plays no part.
    """

    name: str
    why: str
    expected: Undone
    weight: int = 4
    script: Sequence[Fields] | None = ()
    settles: float | None = None
    provider: str | None = None  # None: any that takes the currency
    currencies: tuple[str, ...] = FIAT
    starts_early: bool = False
    again: Sequence[float] = ()  # when it is reported once more
    retried: bool = False  # the customer pays at once by another order of the merchant's
    of: OwnOrder | None = None  # None: no order names the payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """How a transaction that master data did not allow ends, and which checks its merchant is told of at first."""

    status: str
    type: str = "reprocessable"
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """What its merchant does `after` so many seconds of hearing that a transaction was rejected.

    What begins with `sanity.` names that transaction.
    """

    task: str
    after: float
    fields: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """One kind of transaction whose bill is checked; what is not said here is as in `Scenario`.

    In bills, master data and retriggers `#` stands for the transaction's number: nobody mends another's. `known` is
    the master data that is there before, {kind: entries}. Without `expected` it never becomes an order.
    """

    name: str
    why: str
    merchant: str
    bill: Fields
    rejected: Rejected | None
    expected: Expected | None = None
    weight: int = 4
    known: Mapping[str, Sequence[Fields]] = field(default_factory=dict)
    mends: Sequence[Mend] = ()
    said: Sequence[Said] = ()
    order: Fields = field(default_factory=dict)
    script: Sequence[Fields] | None = None


# A timeout that plays no part.
LONG: Final = 600
FIRST_FAILED: Final[Fields] = {
    "after": 1,
    "status": "attempted",
    "attempt": {"id": "1", "state": "failed", "reason": "insufficient funds"},
}


def attempt(key: str, state: str) -> Fields:
    """Return what a producer says of an attempt."""
    return {"attempt": {"id": key, "state": state}}
