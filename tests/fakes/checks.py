"""What the tables of PostgreSQL refuse, refused here too."""

from collections.abc import Iterable
from decimal import Decimal

from domain.model.order import Order, OrderStatus
from domain.model.reversal import TIMEOUT_CODES, Reversal
from domain.model.transaction import Operation
from domain.rules.lifecycle import edges
from domain.rules.order_lifecycle import CLOSED, OPEN, TRANSITIONS
from tests.fakes.rows import HistoryRow, Tables

_EDGES = edges(TRANSITIONS)
_LONGEST_REFERENCE = 128
_WHOLE_DIGITS = 20
_DECIMALS = 18


class Violation(Exception):
    """A constraint of a table is broken; the unit of work is lost."""


def check(name: str, *, holds: bool) -> None:
    if not holds:
        raise Violation(name)


def check_order(tables: Tables, order: Order) -> None:
    check("fk_orders_merchant", holds=order.merchant in tables.merchants)
    check("ck_orders_amount", holds=order.amount > 0)
    check("ck_orders_digits", holds=0 <= order.currency.digits <= _DECIMALS)
    canceled = order.status is OrderStatus.CANCELED
    check("ck_orders_canceled_by_somebody", holds=canceled == (order.canceled_by is not None))
    unresolved = order.status is OrderStatus.UNRESOLVED
    check("ck_orders_unresolved_for_a_reason", holds=not unresolved or order.reason is not None)
    check("ck_orders_watching", holds=not order.watching or order.status in CLOSED)
    check("ck_orders_attempts_allowed", holds=order.attempts_allowed >= 0)
    check("ck_orders_cancel_request", holds=order.cancel_request is None or order.status in OPEN)
    for reference in (order.reference, order.transaction.reference):
        check("ck_reference", holds=0 < len(reference) <= _LONGEST_REFERENCE)
    for amount in (order.transaction.amount_received, order.transaction.amount_refunded):
        check("ck_transactions_amounts", holds=amount is None or amount >= 0)
    _check_numbers((order.amount, order.transaction.amount_received, order.transaction.amount_refunded))


def check_reversal(tables: Tables, reversal: Reversal) -> None:
    check("fk_reversals_merchant", holds=reversal.merchant in tables.merchants)
    check("ck_reversals_amount", holds=reversal.amount > 0)
    check("ck_reversals_response_code", holds=reversal.response_code in TIMEOUT_CODES)
    check("ck_reversals_settles_after_it_occurred", holds=reversal.settles_at > reversal.occurred_at)
    check("ck_reversals_ended_at_some_time", holds=(reversal.outcome is None) == (reversal.ended_at is None))
    check("ck_reference", holds=0 < len(reversal.reference) <= _LONGEST_REFERENCE)
    _check_numbers((reversal.amount,))


def check_operation(operation: Operation) -> None:
    check("ck_operations_amount", holds=operation.amount > 0)
    _check_numbers((operation.amount,))


def check_history(row: HistoryRow) -> None:
    check("ck_history_registration", holds=(row.sequence == 1) == (row.previous is None))
    check("fk_history_previous", holds=row.previous is None or (row.previous, row.status) in _EDGES)


def _check_numbers(amounts: Iterable[Decimal | None]) -> None:
    for amount in amounts:
        check("numeric(38,18)", holds=amount is None or amount < 10**_WHOLE_DIGITS)
