"""Orders in memory, and the writing of decisions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.decision import Decision, EntryKind, Move
from domain.model.due_work import LaneFamily
from domain.model.order import Order, Resolution
from domain.model.transaction import Attempt, Operation, Transaction
from domain.ports.persistence import Conflict, Named, NewOrder
from domain.rules.events import status_changed
from domain.rules.registration import first_move
from tests.fakes.checks import check, check_history, check_operation, check_order
from tests.fakes.concluding import conclude
from tests.fakes.due_work import FakeDueWork
from tests.fakes.outbox import About, close_case, open_case, tell
from tests.fakes.rows import HistoryRow, Tables, TimelineRow


class FakeOrders:
    def __init__(self, tables: Tables, now: datetime, ids: "count[int]", due_work: FakeDueWork) -> None:
        self._tables = tables
        self._now = now
        self._ids = ids
        self._due_work = due_work

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Order]:
        return {key: self._tables.orders[key] for key in ids if key in self._tables.orders}

    def lock_by_reference(self, merchant: str, reference: str) -> Order | None:
        wanted = (merchant, reference)
        return next((o for o in self._tables.orders.values() if (o.merchant, o.reference) == wanted), None)

    def resolution_of(self, id: int) -> Resolution | None:  # noqa: A002 - the field's own name
        notes = [row.detail for row in self._tables.timeline if (row.order_id, row.kind) == (id, EntryKind.NOTE)]
        return Resolution(note=str(notes[-1]["note"]), by=notes[-1].get("by")) if notes else None

    def next_ids(self, count: int) -> Sequence[int]:
        return [next(self._ids) for _ in range(count)]

    def lock_payments(self, payments: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Order]:
        wanted = set(payments)
        return {payment: order for payment, order in self._by_payment().items() if payment in wanted}

    def taken(
        self,
        payments: Iterable[tuple[str, str]],
        *,
        alone: bool = False,  # noqa: ARG002 - nobody else is there
    ) -> Mapping[tuple[str, str], Named]:
        orders = self._by_payment()
        reversals = {(r.provider, r.reference): r for r in self._tables.reversals.values()}
        rejections = {(r.provider, r.reference): r for r in self._tables.rejections.values()}
        found: dict[tuple[str, str], Named] = {}
        for payment in payments:
            order, reversal = orders.get(payment), reversals.get(payment)
            rejection = rejections.get(payment)
            first = order or rejection or reversal
            if first is not None:
                found[payment] = Named(
                    merchant=first.merchant,
                    by_order=order is not None,
                    by_rejection=order is None and rejection is not None,
                    by_report=reversal is not None,
                    outcome=None if reversal is None else reversal.outcome,
                )
        return found

    def _by_payment(self) -> Mapping[tuple[str, str], Order]:
        return {(o.transaction.provider, o.transaction.reference): o for o in self._tables.orders.values()}

    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return frozenset({(o.merchant, o.reference) for o in self._tables.orders.values()}.intersection(orders))

    def register(self, orders: Sequence[NewOrder]) -> None:
        for new in orders:
            order = new.order
            check_order(self._tables, order)
            payment = (order.transaction.provider, order.transaction.reference)
            if self.known([(order.merchant, order.reference)]) or payment in self._by_payment():
                raise Conflict(order.reference)
            # Registration stores what an order is, and none of what may happen to it.
            self._tables.orders[order.id] = replace(
                order,
                changed_at=self._now,
                transaction=Transaction(
                    provider=payment[0],
                    reference=payment[1],
                    reversing=order.transaction.reversing,
                    reversal=order.transaction.reversal,
                ),
            )
            self._tables.bills[order.id] = new.bill
            write_move(self._tables, order.id, first_move(), actor=new.actor, now=self._now)
            self._due_work.plan(order.id, lane_of(self._tables, order), new.due)
            event = status_changed(order, first_move())
            tell(self._tables, self._ids, f"evt_{order.id}_1", event, now=self._now, sequence=1)


def lane_of(tables: Tables, order: Order) -> int:
    name = order.transaction.provider
    return next(k for k, lane in tables.lanes.items() if (lane.family, lane.name) == (LaneFamily.PROVIDER, name))


def write_move(tables: Tables, order: int, move: Move, *, actor: str, now: datetime) -> None:
    row = HistoryRow(
        order_id=order,
        sequence=move.sequence,
        previous=move.previous,
        status=move.status,
        reason=move.reason,
        canceled_by=move.canceled_by,
        actor=actor,
        at=now,
    )
    check_history(row)
    if (order, move.sequence) in tables.history:
        raise Conflict(f"history {order} {move.sequence}")
    tables.history[order, move.sequence] = row


def write(tables: Tables, ids: "count[int]", decisions: Sequence[Decision], *, now: datetime) -> None:
    """Write everything of these decisions but their due rows."""
    for decision in decisions:
        if decision.order != decision.before:
            _write_order(tables, decision)
    for decision in decisions:
        key = decision.order.id
        for move in decision.moves:
            write_move(tables, key, move, actor=decision.actor, now=now)
        tables.timeline += [
            TimelineRow(order_id=key, kind=e.kind, detail=dict(e.detail), actor=decision.actor)
            for e in decision.entries
        ]
        _write_intents(tables, decision)
        for move, event in zip(decision.moves, decision.events, strict=True):
            tell(tables, ids, f"evt_{key}_{move.sequence}", event, now=now, sequence=move.sequence)
    for decision in decisions:
        _write_cases(tables, ids, decision, now=now)
        conclude(tables, ids, decision.outcomes, now=now)


def _write_order(tables: Tables, decision: Decision) -> None:
    stored, order = tables.orders.get(decision.order.id), decision.order
    if stored is None or (stored.version, stored.status) != (decision.before.version, decision.before.status):
        raise Conflict(f"order {order.id} has moved meanwhile")
    check_order(tables, order)
    transaction = replace(
        order.transaction,
        attempts=_attempts(stored.transaction.attempts, decision.attempts),
        operations=_operations(stored.transaction.operations, decision.operations),
        intent=decision.intents[-1] if decision.intents else stored.transaction.intent,
    )
    tables.orders[order.id] = replace(order, transaction=transaction, version=stored.version + 1)


def _attempts(known: Iterable[Attempt], written: Iterable[Attempt]) -> tuple[Attempt, ...]:
    after = {attempt.id: attempt for attempt in known} | {attempt.id: attempt for attempt in written}
    positions = [attempt.position for attempt in after.values()]
    if len(set(positions)) < len(positions):
        raise Conflict("uq_attempts_order_id")
    return tuple(sorted(after.values(), key=lambda attempt: attempt.position))


def _operations(known: Iterable[Operation], written: Iterable[Operation]) -> tuple[Operation, ...]:
    written = list(written)
    for operation in written:
        check_operation(operation)
    after = {operation.id: operation for operation in known} | {operation.id: operation for operation in written}
    return tuple(sorted(after.values(), key=lambda operation: (operation.at is None, operation.at, operation.id)))


def _write_intents(tables: Tables, decision: Decision) -> None:
    for intent in decision.intents:
        place = (decision.order.id, intent.number)
        check("ck_intents_one_outcome", holds=not intent.confirmed or intent.refused_in is None)
        if any(other.key == intent.key and at != place for at, other in tables.intents.items()):
            raise Conflict(intent.key)
        tables.intents[place] = intent


def _write_cases(tables: Tables, ids: "count[int]", decision: Decision, *, now: datetime) -> None:
    order = decision.order
    about = About(
        subject=order.id,
        merchant=order.merchant,
        order_id=order.id,
        currency=order.currency,
        actor=decision.actor,
    )
    for kind in sorted(decision.closures):
        close_case(
            tables,
            ids,
            subject=order.id,
            kind=kind,
            note=decision.closure_note,
            by=decision.actor,
            by_hand=decision.closed_with is not None,
            now=now,
        )
    for opening in decision.openings:
        open_case(tables, ids, about, opening, now=now)
