"""Writing a wave of decisions: each part of them is one set-based statement, whatever the size of the wave."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, inbox, outbox
from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.orders import reversal_of
from domain.model.decision import Decision
from domain.model.order import Order
from domain.ports.persistence import Conflict

_ORDERS: Final = Columns(
    "c",
    id="bigint",
    version="int",
    previous="text",
    status="text",
    reason="text",
    canceled_by="text",
    checkout_completed_at="timestamptz",
    cancel_by="text",
    cancel_reason="text",
    cancel_command="bigint",
    cancel_at="timestamptz",
    changed_at="timestamptz",
    watching="boolean",
    sequence="int",
)
# The version and the status that the decision came from are the fence; history's edges are the table's.
_UPDATE_ORDERS: Final = f"""
UPDATE orders o SET status = c.status, reason = c.reason, canceled_by = c.canceled_by,
    checkout_completed_at = c.checkout_completed_at, cancel_by = c.cancel_by, cancel_reason = c.cancel_reason,
    cancel_command = c.cancel_command, cancel_at = c.cancel_at, changed_at = c.changed_at, watching = c.watching,
    sequence = c.sequence, version = o.version + 1
FROM {_ORDERS.table} WHERE o.id = c.id AND o.version = c.version AND o.status = c.previous
"""

_TRANSACTIONS: Final = Columns(
    "c",
    order_id="bigint",
    state="text",
    provider_status="text",
    amount_received="numeric",
    amount_refunded="numeric",
    secured_at="timestamptz",
    confirmations="int",
    settled="boolean",
    no_records="int",
    no_record_since="timestamptz",
    reversal="text",
)
_UPDATE_TRANSACTIONS: Final = f"""
UPDATE transactions t SET state = c.state, provider_status = c.provider_status, amount_received = c.amount_received,
    amount_refunded = c.amount_refunded, secured_at = c.secured_at, confirmations = c.confirmations,
    settled = c.settled, no_records = c.no_records, no_record_since = c.no_record_since, reversal = c.reversal
FROM {_TRANSACTIONS.table} WHERE t.order_id = c.order_id
"""

_HISTORY: Final = Columns(
    "c",
    order_id="bigint",
    sequence="int",
    previous="text",
    status="text",
    reason="text",
    canceled_by="text",
    actor="text",
)
_INSERT_HISTORY: Final = f"""
INSERT INTO history (order_id, sequence, previous, status, reason, canceled_by, actor, trace, at)
SELECT c.order_id, c.sequence, c.previous, c.status, c.reason, c.canceled_by, c.actor, %(trace)s, %(now)s
FROM {_HISTORY.table}
"""

_TIMELINE: Final = Columns("c", order_id="bigint", kind="text", detail="jsonb", actor="text", position="int")
_INSERT_TIMELINE: Final = f"""
INSERT INTO timeline (order_id, kind, detail, actor, trace, at)
SELECT c.order_id, c.kind, c.detail::jsonb, c.actor, %(trace)s, %(now)s FROM {_TIMELINE.table} ORDER BY c.position
"""

_ATTEMPTS: Final = Columns(
    "c", order_id="bigint", id="text", position="int", state="text", reason="text", at="timestamptz"
)
_UPSERT_ATTEMPTS: Final = f"""
INSERT INTO attempts (order_id, id, position, state, reason, at)
SELECT c.order_id, c.id, c.position, c.state, c.reason, c.at FROM {_ATTEMPTS.table}
ON CONFLICT (order_id, id) DO UPDATE SET state = excluded.state, reason = excluded.reason, at = excluded.at
"""

_OPERATIONS: Final = Columns(
    "c", order_id="bigint", id="text", kind="text", state="text", amount="numeric", at="timestamptz"
)
_UPSERT_OPERATIONS: Final = f"""
INSERT INTO operations (order_id, id, kind, state, amount, at)
SELECT c.order_id, c.id, c.kind, c.state, c.amount, c.at FROM {_OPERATIONS.table}
ON CONFLICT (order_id, id) DO UPDATE SET state = excluded.state, amount = excluded.amount, at = excluded.at
"""

_INTENTS: Final = Columns(
    "c",
    order_id="bigint",
    number="int",
    effect="text",
    key="text",
    confirmed="boolean",
    refused_in="text",
    asked="boolean",
)
_UPSERT_INTENTS: Final = f"""
INSERT INTO intents (order_id, number, effect, key, confirmed, refused_in, asked, created_at)
SELECT c.order_id, c.number, c.effect, c.key, c.confirmed, c.refused_in, c.asked, %(now)s FROM {_INTENTS.table}
ON CONFLICT (order_id, number) DO UPDATE SET confirmed = excluded.confirmed, refused_in = excluded.refused_in,
    asked = excluded.asked,
    answered_at = CASE WHEN excluded.confirmed OR excluded.refused_in IS NOT NULL THEN %(now)s END
"""


def write(connection: Connection, decisions: Sequence[Decision], *, now: datetime, trace: str | None) -> None:
    """Write everything of these decisions but their due rows.

    Raises:
        Conflict: an order is no longer as it was read.
    """
    changed = [d for d in decisions if d.order is not d.before and d.order != d.before]
    if changed:
        updated = run(connection, _UPDATE_ORDERS, _ORDERS.parameters(map(_order_row, changed)))
        if updated.rowcount != len(changed):
            raise Conflict(f"{len(changed) - updated.rowcount} of {len(changed)} orders have moved meanwhile")
        run(connection, _UPDATE_TRANSACTIONS, _TRANSACTIONS.parameters(_transaction_row(d.order) for d in changed))
    stamp = {"now": now, "trace": trace}
    _each(connection, _INSERT_HISTORY, _HISTORY, _history(decisions), **stamp)
    _each(connection, _INSERT_TIMELINE, _TIMELINE, _timeline(decisions), **stamp)
    _each(connection, _UPSERT_ATTEMPTS, _ATTEMPTS, _attempts(decisions))
    _each(connection, _UPSERT_OPERATIONS, _OPERATIONS, _operations(decisions))
    _each(connection, _UPSERT_INTENTS, _INTENTS, _intents(decisions), now=now)
    told = _status_events(decisions)
    # Closures are about what was open before, so that none of them ends what its own decision opens.
    closures = [(d.order.id, kind, d.closure_note, d.actor) for d in decisions for kind in sorted(d.closures)]
    told += cases.close_cases(connection, closures, now=now, steps={d.order.id: _step(d) for d in decisions})
    openings = [(_about(d), opening) for d in decisions for opening in d.openings]
    told += cases.open_cases(connection, openings, now=now)
    outbox.store(connection, told, now=now)
    outcomes = [outcome for d in decisions for outcome in d.outcomes]
    if outcomes:
        inbox.conclude(connection, outcomes, now=now)


def _each(
    connection: Connection, statement: str, columns: Columns, rows: Iterable[Sequence[Any]], **others: Any
) -> None:
    rows = list(rows)
    if rows:
        run(connection, statement, columns.parameters(rows, **others))


def _step(decision: Decision) -> Mapping[str, Any]:
    """Return what the closing of cases keeps: what was before and after, and what a person did."""
    done = {} if decision.closed_with is None else {"action": decision.closed_with}
    return {**done, "before": {"order": decision.before.status}, "after": {"order": decision.order.status}}


def _about(decision: Decision) -> cases.About:
    order = decision.order
    return cases.About(
        subject=order.id, merchant=order.merchant, order_id=order.id, currency=order.currency, actor=decision.actor
    )


def _order_row(decision: Decision) -> tuple[Any, ...]:
    order, before = decision.order, decision.before
    request = order.cancel_request
    return (
        order.id,
        before.version,
        before.status,
        order.status,
        order.reason,
        order.canceled_by,
        order.checkout_completed_at,
        None if request is None else request.by,
        None if request is None else request.reason,
        None if request is None else request.command,
        None if request is None else request.at,
        order.changed_at,
        order.watching,
        order.sequence,
    )


def _transaction_row(order: Order) -> tuple[Any, ...]:
    t = order.transaction
    return (
        order.id,
        t.state,
        t.provider_status,
        t.amount_received,
        t.amount_refunded,
        t.secured_at,
        t.confirmations,
        t.settled,
        t.no_records,
        t.no_record_since,
        reversal_of(t),
    )


def _history(decisions: Sequence[Decision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        for move in d.moves:
            yield d.order.id, move.sequence, move.previous, move.status, move.reason, move.canceled_by, d.actor


def _timeline(decisions: Sequence[Decision]) -> Iterable[tuple[Any, ...]]:
    position = 0
    for d in decisions:
        for entry in d.entries:
            position += 1
            yield d.order.id, entry.kind, to_json(dict(entry.detail)), d.actor, position


def _attempts(decisions: Sequence[Decision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        for a in d.attempts:
            yield d.order.id, a.id, a.position, a.state, a.reason, a.at


def _operations(decisions: Sequence[Decision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        for o in d.operations:
            yield d.order.id, o.id, o.kind, o.state, o.amount, o.at


def _intents(decisions: Sequence[Decision]) -> Iterable[tuple[Any, ...]]:
    for d in decisions:
        for i in d.intents:
            yield d.order.id, i.number, i.effect, i.key, i.confirmed, i.refused_in, i.asked


def _status_events(decisions: Sequence[Decision]) -> list[outbox.Named]:
    """Every change of status tells once; its name is the order's and the change's own, so it cannot tell twice."""
    told: list[outbox.Named] = []
    for d in decisions:
        for move, event in zip(d.moves, d.events, strict=True):
            told.append(outbox.Named(f"evt_{d.order.id}_{move.sequence}", event, sequence=move.sequence))
    return told
