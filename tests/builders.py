"""Builders: every field has a plain value, so that a test names only what distinguishes its object."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from domain.model.answer import ProviderStatus, Record, RecordedAttempt
from domain.model.command import ReportTimeout
from domain.model.decision import Decision
from domain.model.due_work import Claimed, Due, Lane, LaneFamily, LaneLimits, Work
from domain.model.mail import Audience, Mail
from domain.model.merchant import Merchant
from domain.model.money import Currency
from domain.model.order import CanceledBy, CancelRequest, Order, OrderStatus, PaymentKind, Timeouts
from domain.model.policy import Cadence, NoRecordPolicy, ProviderPolicy, Stage
from domain.model.reversal import Reversal
from domain.model.transaction import (
    Attempt,
    AttemptState,
    Effect,
    Intent,
    Operation,
    OperationKind,
    OperationState,
    ParentState,
    Transaction,
)
from domain.ports.persistence import NewOrder

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECONDS: Final = timedelta(seconds=1)
MINUTES: Final = timedelta(minutes=1)
HOURS: Final = timedelta(hours=1)
DAYS: Final = timedelta(days=1)

EUR: Final = Currency("EUR", 2)
JPY: Final = Currency("JPY", 0)
BTC: Final = Currency("BTC", 8)
ETH: Final = Currency("ETH", 18)

PROVIDER: Final = "acme"
PAYMENT: Final = "pay-1"

# The parent that an order of this status usually has.
_PARENT_OF: Final = {
    OrderStatus.NEW: ParentState.CREATED,
    OrderStatus.PENDING: ParentState.PENDING,
    OrderStatus.EXPIRED: ParentState.EXPIRED,
    OrderStatus.CANCELED: ParentState.CANCELED,
    OrderStatus.FAILED: ParentState.FAILED,
}
_OF_TRANSACTION: Final = frozenset(field.name for field in fields(Transaction)) - {"reference", "provider"}
_CLOSED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.FAILED})
_RECEIVED: Final = frozenset({ProviderStatus.PAID, ProviderStatus.REFUND_PENDING, ProviderStatus.REFUNDED})


def money(amount: str | int | Decimal) -> Decimal:
    return Decimal(amount)


def a_new(order: Order, due: Due, **given: Any) -> NewOrder:
    """Return an order to be registered, by its merchant and without a bill."""
    fields: dict[str, Any] = {"order": order, "due": due, "bill": None, "actor": "merchant:shop"}
    return NewOrder(**fields | given)


def an_order(**given: Any) -> Order:
    """Return an order of 100.00 EUR, created at noon, with a payment window of three hours.

    Beside the order's own fields it takes those of its transaction (`state`, `attempts`, `intent`, ...), `payment`
    and `provider` for what the transaction is called, and `cancellation`, `checkout`, `window` for its timeouts.
    """
    status = given.setdefault("status", OrderStatus.NEW)
    kind = given.setdefault("kind", PaymentKind.FIAT)
    of_transaction = {name: given.pop(name) for name in _OF_TRANSACTION & given.keys()}
    of_transaction.setdefault("state", _PARENT_OF.get(status, ParentState.PAID))
    if of_transaction["state"] is ParentState.PAID:
        of_transaction.setdefault("amount_received", money(given.get("amount", "100.00")))
    transaction = Transaction(
        provider=given.pop("provider", PROVIDER), reference=given.pop("payment", PAYMENT), **of_transaction
    )
    timeouts = Timeouts(
        cancellation=given.pop("cancellation", None),
        checkout=given.pop("checkout", None),
        window=given.pop("window", 60 * MINUTES if kind is PaymentKind.CRYPTO else 3 * HOURS),
    )
    if status is OrderStatus.CANCELED:
        given.setdefault("canceled_by", CanceledBy.SYSTEM)
    if status is OrderStatus.UNRESOLVED:
        given.setdefault("reason", "underpaid")
    plain: dict[str, Any] = {
        "id": 7,
        "merchant": "shop",
        "reference": "order-1",
        "amount": money("100.00"),
        "currency": EUR,
        "network": None,
        "created_at": NOON,
        "changed_at": NOON,
        "attempts_allowed": 1,
        "tolerance": money(0),
        "watching": status in _CLOSED,
    }
    if status is not OrderStatus.NEW:
        plain |= {"sequence": 2, "version": 2}
    return Order(**plain | given | {"timeouts": timeouts, "transaction": transaction})


def a_cancel_request(**given: Any) -> CancelRequest:
    plain: dict[str, Any] = {"by": CanceledBy.MERCHANT, "reason": "out of stock", "command": 41, "at": NOON}
    return CancelRequest(**plain | given)


def an_attempt(key: str = "a-1", state: AttemptState = AttemptState.PENDING, position: int = 1) -> Attempt:
    return Attempt(id=key, state=state, position=position, at=NOON)


def told(key: str = "a-1", state: AttemptState = AttemptState.PENDING) -> RecordedAttempt:
    """An attempt as the provider lists it."""
    return RecordedAttempt(id=key, state=state)


def an_operation(
    key: str, kind: OperationKind, state: OperationState = OperationState.DONE, amount: str = "100.00"
) -> Operation:
    return Operation(id=key, kind=kind, state=state, amount=money(amount), at=NOON)


def a_refund(key: str, state: OperationState = OperationState.QUEUED, amount: str = "100.00") -> Operation:
    return an_operation(key, OperationKind.REFUND, state, amount)


def an_intent(effect: Effect = Effect.CANCEL, number: int = 1, **given: Any) -> Intent:
    return Intent(effect=effect, number=number, key=f"trueup:{effect}:{PROVIDER}:{PAYMENT}:{number}", **given)


def a_record(status: str = ProviderStatus.PENDING, **given: Any) -> Record:
    """Return the provider's record of the payment of `an_order()`; a paid one has received all that was asked for."""
    plain: dict[str, Any] = {
        "reference": PAYMENT,
        "amount": money("100.00"),
        "currency": "EUR",
        "updated_at": NOON,
    }
    if status in _RECEIVED:
        plain["amount_received"] = given.get("amount", plain["amount"])
    return Record(**plain | given | {"status": status})


def a_report(**given: Any) -> ReportTimeout:
    """Return the report of a timeout of the payment of `an_order()`, a minute ago, settled six hours from noon."""
    plain: dict[str, Any] = {
        "merchant": "shop",
        "provider": PROVIDER,
        "reference": PAYMENT,
        "response_code": "99",
        "amount": "100.00",
        "currency": "EUR",
        "occurred_at": NOON - 1 * MINUTES,
        "settles_at": NOON + 6 * HOURS,
    }
    return ReportTimeout(**plain | given)


def a_reversal(**given: Any) -> Reversal:
    """Return the reversal that `a_report()` opens."""
    plain: dict[str, Any] = {
        "id": 9,
        "merchant": "shop",
        "provider": PROVIDER,
        "reference": PAYMENT,
        "amount": money("100.00"),
        "currency": EUR,
        "response_code": "99",
        "occurred_at": NOON - 1 * MINUTES,
        "settles_at": NOON + 6 * HOURS,
        "reported_at": NOON,
    }
    return Reversal(**plain | given)


def a_void(number: int = 1, **given: Any) -> Intent:
    """Return a reversal's intent to void the payment of `an_order()`."""
    return Intent(effect=Effect.VOID, number=number, key=f"trueup:reverse:{PROVIDER}:{PAYMENT}:{number}", **given)


def a_row(work: Work = Work.POLL, step: int = 0, **given: Any) -> Claimed:
    plain: dict[str, Any] = {"subject": 7, "lane": 1, "due_at": NOON, "generation": 0, "claims": 1}
    return Claimed(**plain | given | {"work": work, "step": step})


def a_cadence(*stages: tuple[timedelta, int], **given: Any) -> Cadence:
    return Cadence(stages=tuple(Stage(delay, times) for delay, times in stages), **given)


def a_policy(**given: Any) -> ProviderPolicy:
    """Return a provider's terms without jitter: polls each minute ten times, retries each half minute four times."""
    plain: dict[str, Any] = {
        "name": PROVIDER,
        "polling": a_cadence((1 * MINUTES, 10), max_age=7 * DAYS),
        "watch": a_cadence((1 * HOURS, 24), (1 * DAYS, 6)),
        "watch_crypto": a_cadence((10 * MINUTES, 144)),
        "retries": a_cadence((30 * SECONDS, 4)),
        "no_record": NoRecordPolicy(answers=3, over=15 * MINUTES),
    }
    return ProviderPolicy(**plain | given)


def a_merchant(**given: Any) -> Merchant:
    return Merchant(**{"id": "shop", "name": "The Shop"} | given)


def a_lane(**given: Any) -> Lane:
    plain: dict[str, Any] = {"id": 1, "family": LaneFamily.PROVIDER, "name": PROVIDER, "tokens": 10.0}
    return Lane(**plain | {"refilled_at": NOON + 1 * SECONDS} | given)


def limits(**given: Any) -> LaneLimits:
    plain: dict[str, Any] = {"requests_per_second": 10.0, "concurrency": 8, "call_timeout": 60 * SECONDS}
    return LaneLimits(**plain | given)


def path_of(decision: Decision) -> list[OrderStatus]:
    """The statuses that a decision moves its order through, in their order."""
    return [move.status for move in decision.moves]


def a_mail(**given: Any) -> Mail:
    plain: dict[str, Any] = {
        "id": 7,
        "message_id": "<mail-7.0123456789abcdef@trueup>",
        "audience": Audience.MERCHANT,
        "recipient": "ops@shop.example",
        "sender": None,
        "sender_name": None,
        "subject": "Case 7: Money came late",
        "text": "Money came late.\n",
        "html": "<p>Money came late.</p>\n",
        "created_at": NOON,
        "since": NOON,
        "tries": 0,
        "merchant": "shop",
        "order_id": 5,
    }
    return Mail(**plain | given)
