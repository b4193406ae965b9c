"""Orders with their transactions: read whole, registered in batches."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import outbox
from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.lanes import SqlLanes
from domain.model.due_work import LaneFamily
from domain.model.money import Currency
from domain.model.order import CanceledBy, CancelRequest, Order, OrderStatus, PaymentKind, Resolution, Timeouts
from domain.model.transaction import (
    Attempt,
    AttemptState,
    Effect,
    Intent,
    Operation,
    OperationKind,
    OperationState,
    ParentState,
    ReversalOutcome,
    Transaction,
)
from domain.ports.persistence import Named, NewOrder
from domain.rules.events import status_changed
from domain.rules.registration import first_move

_SELECT: Final = """
SELECT o.id, o.merchant, o.reference, o.status, o.reason, o.canceled_by, o.amount, o.currency, o.digits, o.tolerance,
       o.kind, o.network, o.customer, o.created_at, o.cancellation_timeout, o.checkout_timeout, o.payment_window,
       o.checkout_completed_at, o.cancel_by, o.cancel_reason, o.cancel_command, o.cancel_at, o.attempts_allowed,
       o.changed_at, o.watching, o.version, o.sequence,
       t.provider, t.reference, t.state, t.provider_status, t.amount_received, t.amount_refunded, t.secured_at,
       t.confirmations, t.settled, t.no_records, t.no_record_since, t.reversal
FROM orders o JOIN transactions t ON t.order_id = o.id
"""
# A transaction's column `reversal` while that is open; then it holds the outcome.
REVERSING: Final = "open"
# How many of its columns are the order's own; the others are the transaction's.
_OF_ORDER: Final = 27
_BY_ID: Final = f"{_SELECT} WHERE o.id = ANY(%(ids)s::bigint[])"
_LOCK_DUE: Final = """
SELECT d.subject FROM due_work d JOIN orders o ON o.id = d.subject
WHERE o.merchant = %(merchant)s AND o.reference = %(reference)s FOR UPDATE OF d
"""
_LOCK: Final = f"{_SELECT} WHERE o.merchant = %(merchant)s AND o.reference = %(reference)s FOR UPDATE OF o"

_ATTEMPTS: Final = """
SELECT order_id, id, state, position, reason, at FROM attempts WHERE order_id = ANY(%(ids)s::bigint[])
ORDER BY order_id, position
"""
_OPERATIONS: Final = """
SELECT order_id, id, kind, state, amount, at FROM operations WHERE order_id = ANY(%(ids)s::bigint[])
ORDER BY order_id, at, id
"""
_INTENTS: Final = """
SELECT DISTINCT ON (order_id) order_id, effect, number, key, confirmed, refused_in, asked
FROM intents WHERE order_id = ANY(%(ids)s::bigint[]) ORDER BY order_id, number DESC
"""
_RESOLUTION: Final = """
SELECT detail ->> 'note', detail ->> 'by' FROM timeline WHERE order_id = %(id)s AND kind = 'note'
ORDER BY id DESC LIMIT 1
"""

_PAIRS: Final = Columns("c", provider="text", reference="text")
# Whoever names a payment meets the others in so many places. Registrations share a place with one another: the key of
# `transactions` is between them. Who may name it in another table, in a report or a rejection, is there for itself.
_PLACES: Final = f"""
(SELECT DISTINCT hashtext(concat(c.provider, ':', c.reference)) & 63 AS place FROM {_PAIRS.table} ORDER BY 1) p
"""
_MEET: Final = f"SELECT pg_advisory_xact_lock_shared(7206, p.place) FROM {_PLACES}"
_MEET_ALONE: Final = f"SELECT pg_advisory_xact_lock(7206, p.place) FROM {_PLACES}"
_TAKEN: Final = f"""
WITH r AS (
    SELECT r.id, r.merchant, r.provider, r.reference, r.outcome FROM {_PAIRS.table}
    JOIN reversals r ON r.provider = c.provider AND r.reference = c.reference
    FOR SHARE OF r
)
SELECT c.provider, c.reference, coalesce(o.merchant, j.merchant, r.merchant), o.id IS NOT NULL, r.id IS NOT NULL,
       o.id IS NULL AND j.id IS NOT NULL, r.outcome
FROM {_PAIRS.table}
LEFT JOIN transactions t ON t.provider = c.provider AND t.reference = c.reference
LEFT JOIN orders o ON o.id = t.order_id
LEFT JOIN rejections j ON j.provider = c.provider AND j.reference = c.reference
LEFT JOIN r ON r.provider = c.provider AND r.reference = c.reference
WHERE o.id IS NOT NULL OR j.id IS NOT NULL OR r.id IS NOT NULL
"""
_OF_PAYMENTS: Final = f"""
SELECT t.order_id FROM {_PAIRS.table}
JOIN transactions t ON t.provider = c.provider AND t.reference = c.reference
"""
# The due rows first: waves lock in this order too.
_LOCK_DUE_MANY: Final = """
SELECT subject FROM due_work WHERE subject = ANY(%(ids)s::bigint[]) ORDER BY subject FOR UPDATE
"""
_LOCK_MANY: Final = f"{_BY_ID} ORDER BY o.id FOR UPDATE OF o"

_NAMES: Final = Columns("c", merchant="text", reference="text")
_KNOWN: Final = f"""
SELECT o.merchant, o.reference FROM {_NAMES.table}
JOIN orders o ON o.merchant = c.merchant AND o.reference = c.reference
"""

_NEW: Final = Columns(
    "c",
    id="bigint",
    merchant="text",
    reference="text",
    amount="numeric",
    currency="text",
    digits="int",
    tolerance="numeric",
    kind="text",
    network="text",
    customer="text",
    created_at="timestamptz",
    cancellation_timeout="double precision",
    checkout_timeout="double precision",
    payment_window="double precision",
    attempts_allowed="int",
    bill="jsonb",
    provider="text",
    payment="text",
    reversal="text",
    actor="text",
    trace="text",
)
_INSERT_ORDERS: Final = f"""
INSERT INTO orders (id, merchant, reference, status, amount, currency, digits, tolerance, kind, network, customer,
                    created_at, registered_at, cancellation_timeout, checkout_timeout, payment_window,
                    attempts_allowed, changed_at, bill)
SELECT c.id, c.merchant, c.reference, 'NEW', c.amount, c.currency, c.digits, c.tolerance, c.kind, c.network,
       c.customer, c.created_at, %(now)s, c.cancellation_timeout, c.checkout_timeout, c.payment_window,
       c.attempts_allowed, %(now)s, c.bill::jsonb
FROM {_NEW.table}
"""
_INSERT_TRANSACTIONS: Final = f"""
INSERT INTO transactions (order_id, provider, reference, state, reversal)
SELECT c.id, c.provider, c.payment, 'CREATED', c.reversal FROM {_NEW.table}
"""
_INSERT_HISTORY: Final = f"""
INSERT INTO history (order_id, sequence, status, actor, trace, at)
SELECT c.id, 1, 'NEW', c.actor, c.trace, %(now)s FROM {_NEW.table}
"""


class SqlOrders:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._now = now
        self._trace = trace

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Order]:
        if not ids:
            return {}
        rows = run(self._connection, _BY_ID, {"ids": list(ids)}).fetchall()
        return {order.id: order for order in self._whole(rows)}

    def lock_by_reference(self, merchant: str, reference: str) -> Order | None:
        # The due row first: waves lock in this order too.
        parameters = {"merchant": merchant, "reference": reference}
        run(self._connection, _LOCK_DUE, parameters)
        rows = run(self._connection, _LOCK, parameters).fetchall()
        return next(iter(self._whole(rows)), None)

    def resolution_of(self, id: int) -> Resolution | None:  # noqa: A002 - the field's own name
        row = run(self._connection, _RESOLUTION, {"id": id}).fetchone()
        return None if row is None else Resolution(note=row[0], by=row[1])

    def next_ids(self, count: int) -> Sequence[int]:
        rows = run(
            self._connection, "SELECT nextval('subject_ids') FROM generate_series(1, %(count)s)", {"count": count}
        )
        return [row[0] for row in rows]

    def lock_payments(self, payments: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Order]:
        ids = [row[0] for row in run(self._connection, _OF_PAYMENTS, _PAIRS.parameters(payments))]
        if not ids:
            return {}
        run(self._connection, _LOCK_DUE_MANY, {"ids": ids})
        rows = run(self._connection, _LOCK_MANY, {"ids": ids}).fetchall()
        return {(order.transaction.provider, order.transaction.reference): order for order in self._whole(rows)}

    def taken(self, payments: Iterable[tuple[str, str]], *, alone: bool = False) -> Mapping[tuple[str, str], Named]:
        parameters = _PAIRS.parameters(payments)
        run(self._connection, _MEET_ALONE if alone else _MEET, parameters)
        return {
            (provider, reference): Named(
                merchant=merchant,
                by_order=by_order,
                by_report=by_report,
                by_rejection=by_rejection,
                outcome=None if outcome is None else ReversalOutcome(outcome),
            )
            for provider, reference, merchant, by_order, by_report, by_rejection, outcome in run(
                self._connection, _TAKEN, parameters
            )
        }

    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        rows = run(self._connection, _KNOWN, _NAMES.parameters(orders))
        return frozenset((merchant, reference) for merchant, reference in rows)

    def register(self, orders: Sequence[NewOrder]) -> None:
        if not orders:
            return
        connection, now = self._connection, self._now
        parameters = _NEW.parameters((_new_row(new, self._trace) for new in orders), now=now)
        run(connection, _INSERT_ORDERS, parameters)
        run(connection, _INSERT_TRANSACTIONS, parameters)
        run(connection, _INSERT_HISTORY, parameters)
        lanes = SqlLanes(connection, now).ids(LaneFamily.PROVIDER, {new.order.transaction.provider for new in orders})
        SqlDueWork(connection, now).plan(
            (new.order.id, lanes[new.order.transaction.provider], new.due) for new in orders
        )
        told = [
            outbox.Named(f"evt_{new.order.id}_1", status_changed(new.order, first_move()), sequence=1) for new in orders
        ]
        outbox.store(connection, told, now=now)

    def _whole(self, rows: Sequence[Any]) -> Iterable[Order]:
        ids = {"ids": [row[0] for row in rows]}
        attempts: dict[int, list[Attempt]] = defaultdict(list)
        operations: dict[int, list[Operation]] = defaultdict(list)
        intents: dict[int, Intent] = {}
        if rows:
            for row in run(self._connection, _ATTEMPTS, ids):
                attempts[row[0]].append(_attempt(row))
            for row in run(self._connection, _OPERATIONS, ids):
                operations[row[0]].append(_operation(row))
            intents = {row[0]: _intent(row) for row in run(self._connection, _INTENTS, ids)}
        for row in rows:
            order = row[0]
            yield _order(row, tuple(attempts[order]), tuple(operations[order]), intents.get(order))


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _new_row(new: NewOrder, trace: str | None) -> tuple[object, ...]:
    order, bill = new.order, new.bill
    return (
        order.id,
        order.merchant,
        order.reference,
        order.amount,
        order.currency.code,
        order.currency.digits,
        order.tolerance,
        order.kind,
        order.network,
        order.customer,
        order.created_at,
        _seconds(order.timeouts.cancellation),
        _seconds(order.timeouts.checkout),
        _seconds(order.timeouts.window),
        order.attempts_allowed,
        None if bill is None else to_json(bill),
        order.transaction.provider,
        order.transaction.reference,
        reversal_of(order.transaction),
        new.actor,
        new.trace or trace,
    )


def reversal_of(transaction: Transaction) -> str | None:
    """Return what the column says of a reversal: `open`, its outcome, or nothing where there is none."""
    return REVERSING if transaction.reversing else transaction.reversal


def _attempt(row: Any) -> Attempt:
    return Attempt(id=row[1], state=AttemptState(row[2]), position=row[3], reason=row[4], at=row[5])


def _operation(row: Any) -> Operation:
    return Operation(id=row[1], kind=OperationKind(row[2]), state=OperationState(row[3]), amount=row[4], at=row[5])


def _intent(row: Any) -> Intent:
    return Intent(effect=Effect(row[1]), number=row[2], key=row[3], confirmed=row[4], refused_in=row[5], asked=row[6])


def _order(row: Any, attempts: tuple[Attempt, ...], operations: tuple[Operation, ...], intent: Intent | None) -> Order:
    (
        key, merchant, reference, status, reason, canceled_by, amount, currency, digits, tolerance,
        kind, network, customer, created_at, cancellation, checkout, window,
        checkout_completed_at, cancel_by, cancel_reason, cancel_command, cancel_at, attempts_allowed,
        changed_at, watching, version, sequence,
    ) = row[:_OF_ORDER]  # fmt: skip
    request = None
    if cancel_by is not None:
        # The release before did not say when: since the order stands as it does, then, and no longer.
        since = cancel_at or changed_at
        request = CancelRequest(by=CanceledBy(cancel_by), reason=cancel_reason, command=cancel_command, at=since)
    return Order(
        id=key,
        merchant=merchant,
        reference=reference,
        amount=amount,
        currency=Currency(currency, digits),
        kind=PaymentKind(kind),
        network=network,
        customer=customer,
        created_at=created_at,
        attempts_allowed=attempts_allowed,
        timeouts=Timeouts(
            cancellation=_duration(cancellation), checkout=_duration(checkout), window=timedelta(seconds=window)
        ),
        tolerance=tolerance,
        status=OrderStatus(status),
        reason=reason,
        canceled_by=None if canceled_by is None else CanceledBy(canceled_by),
        checkout_completed_at=checkout_completed_at,
        cancel_request=request,
        changed_at=changed_at,
        watching=watching,
        version=version,
        sequence=sequence,
        transaction=_transaction(row[_OF_ORDER:], attempts, operations, intent),
    )


def _transaction(
    row: Any, attempts: tuple[Attempt, ...], operations: tuple[Operation, ...], intent: Intent | None
) -> Transaction:
    (
        provider, reference, state, provider_status, amount_received, amount_refunded, secured_at,
        confirmations, settled, no_records, no_record_since, reversal,
    ) = row  # fmt: skip
    return Transaction(
        provider=provider,
        reference=reference,
        state=ParentState(state),
        provider_status=provider_status,
        amount_received=amount_received,
        amount_refunded=amount_refunded,
        secured_at=secured_at,
        confirmations=confirmations,
        settled=settled,
        no_records=no_records,
        no_record_since=no_record_since,
        attempts=attempts,
        operations=operations,
        intent=intent,
        reversing=reversal == REVERSING,
        reversal=None if reversal in (None, REVERSING) else ReversalOutcome(reversal),
    )
