"""Rejected transactions: kept with their reasons, and with what they lack where new master data can find it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import outbox
from adapters.persistence.columns import Columns, run, to_json
from domain.model.event import Event
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.rejection import Reason, Rejection, RejectionStatus, RejectionType, Retrigger
from domain.ports.persistence import Conflict
from domain.rules.events import transaction_failed, transaction_rejected, transaction_reprocessed

_ORDERS: Final = Columns("c", merchant="text", name="text")
_KNOWN: Final = f"""
SELECT j.merchant, j."order" FROM {_ORDERS.table} JOIN rejections j ON j.merchant = c.merchant AND j."order" = c.name
"""

_NEW: Final = Columns(
    "c",
    id="bigint",
    merchant="text",
    name="text",
    provider="text",
    reference="text",
    customer="text",
    bill_number="text",
    bill_date="text",
    created_at="timestamptz",
    source="jsonb",
    type="text",
    status="text",
    reasons="jsonb",
    body="jsonb",
)
_INSERT: Final = f"""
INSERT INTO rejections (id, merchant, "order", provider, reference, customer, bill_number, bill_date, created_at,
                        source, type, status, reasons, body, actor, trace, rejected_at)
SELECT c.id, c.merchant, c.name, c.provider, c.reference, c.customer, c.bill_number, c.bill_date, c.created_at,
       c.source::jsonb, c.type, c.status, c.reasons::jsonb, c.body::jsonb, %(actor)s, %(trace)s, %(now)s
FROM {_NEW.table}
"""
_NEEDS: Final = Columns("c", rejection="bigint", merchant="text", kind="text", key="text", option="text")
_INSERT_NEEDS: Final = f"""
INSERT INTO rejection_needs (rejection, merchant, kind, key, option)
SELECT c.rejection, c.merchant, c.kind, c.key, c.option FROM {_NEEDS.table} ON CONFLICT DO NOTHING
"""
_DELETE_NEEDS: Final = "DELETE FROM rejection_needs WHERE rejection = ANY(%(ids)s::bigint[])"

_SELECT: Final = """
SELECT id, merchant, "order", provider, reference, customer, bill_number, bill_date, created_at, source, type, status,
       reasons, body, rejected_at, note
FROM rejections WHERE id = ANY(%(ids)s::bigint[])
"""
# Weaker than an update's lock, for what only refers to a rejection need not wait.
_LOCK: Final = f"{_SELECT} ORDER BY id FOR NO KEY UPDATE"

_DECIDE: Final = """
UPDATE rejections SET status = %(status)s, decided_at = %(now)s, decided_by = %(by)s, note = %(note)s,
    retrigger = %(retrigger)s
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'PENDING'
"""
_REASONS: Final = Columns("c", id="bigint", reasons="jsonb")
_RESTATE: Final = f"""
UPDATE rejections j SET reasons = c.reasons::jsonb FROM {_REASONS.table} WHERE j.id = c.id
RETURNING j.id, j.merchant
"""

# Of an enum only the options that are there now are no longer missing; any other type is looked at again.
_ENTRIES: Final = Columns("c", key="text", is_enum="boolean", options="jsonb")
_WAITING_FOR: Final = f"""
SELECT DISTINCT n.rejection FROM {_ENTRIES.table}
JOIN rejection_needs n ON n.merchant = %(merchant)s AND n.kind = %(kind)s AND n.key = c.key
WHERE n.option = '' OR NOT c.is_enum OR jsonb_exists(c.options::jsonb, n.option)
ORDER BY 1
"""


class SqlRejections:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._now = now
        self._trace = trace

    def known(self, orders: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        rows = run(self._connection, _KNOWN, _ORDERS.parameters(orders))
        return frozenset((merchant, order) for merchant, order in rows)

    def store(self, rejections: Sequence[Rejection], *, actor: str) -> None:
        if not rejections:
            return
        parameters = _NEW.parameters(map(_row, rejections), actor=actor, trace=self._trace, now=self._now)
        run(self._connection, _INSERT, parameters)
        pending = [r for r in rejections if r.status is RejectionStatus.PENDING]
        self._need((r.id, r.merchant, reason) for r in pending for reason in r.reasons)
        self._tell("rejected", rejections, [transaction_rejected(rejection) for rejection in rejections])

    def status_of(self, merchant: str, order: str) -> RejectionStatus | None:
        statement = 'SELECT status FROM rejections WHERE merchant = %(merchant)s AND "order" = %(order)s'
        status = run(self._connection, statement, {"merchant": merchant, "order": order}).scalar()
        return None if status is None else RejectionStatus(status)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        return {row[0]: _rejection(row) for row in run(self._connection, _SELECT, {"ids": list(ids)})}

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, Rejection]:
        return {row[0]: _rejection(row) for row in run(self._connection, _LOCK, {"ids": list(ids)})}

    def reprocess(self, rejections: Sequence[Rejection], retrigger: Retrigger) -> None:
        self._decide(rejections, RejectionStatus.REPROCESSED, by=retrigger.actor, retrigger=retrigger.id)
        events = [transaction_reprocessed(rejection, retrigger=retrigger.name) for rejection in rejections]
        self._tell("reprocessed", rejections, events)

    def restate(self, reasons: Mapping[int, Sequence[Reason]]) -> None:
        if not reasons:
            return
        rows = [(key, to_json([_as_json(reason) for reason in some])) for key, some in reasons.items()]
        restated = run(self._connection, _RESTATE, _REASONS.parameters(rows)).fetchall()
        run(self._connection, _DELETE_NEEDS, {"ids": list(reasons)})
        self._need((key, merchant, reason) for key, merchant in restated for reason in reasons[key])

    def fail(self, rejections: Sequence[Rejection], *, note: str | None, actor: str) -> None:
        self._decide(rejections, RejectionStatus.PERMANENT_FAILED, by=actor, note=note)
        events = [transaction_failed(rejection, note=note, by=actor) for rejection in rejections]
        self._tell("failed", rejections, events)

    def waiting_for(self, merchant: str, kind: MasterKind, entries: Sequence[Entry]) -> Sequence[int]:
        rows = [(entry.key, entry.type is FieldType.ENUM, to_json(entry.options)) for entry in entries]
        parameters = _ENTRIES.parameters(rows, merchant=merchant, kind=kind)
        return [row[0] for row in run(self._connection, _WAITING_FOR, parameters)]

    def _decide(
        self,
        rejections: Sequence[Rejection],
        status: RejectionStatus,
        *,
        by: str,
        note: str | None = None,
        retrigger: int | None = None,
    ) -> None:
        ids = [rejection.id for rejection in rejections]
        if ids:
            decided = {"ids": ids, "status": status, "by": by, "note": note, "retrigger": retrigger, "now": self._now}
            if run(self._connection, _DECIDE, decided).rowcount != len(ids):
                raise Conflict("a rejected transaction was decided meanwhile")
            run(self._connection, _DELETE_NEEDS, {"ids": ids})

    def _need(self, needs: Iterable[tuple[int, str, Reason]]) -> None:
        rows = [(key, merchant, reason.kind, reason.key, reason.option) for key, merchant, reason in needs]
        if rows:
            run(self._connection, _INSERT_NEEDS, _NEEDS.parameters(rows))

    def _tell(self, what: str, rejections: Sequence[Rejection], events: Sequence[Event]) -> None:
        named = [
            outbox.Named(f"evt_rejection_{rejection.id}_{what}", event)
            for rejection, event in zip(rejections, events, strict=True)
        ]
        outbox.store(self._connection, named, now=self._now)


def _as_json(reason: Reason) -> Mapping[str, Any]:
    return {
        "kind": reason.kind,
        "key": reason.key,
        "message": reason.message,
        "mendable": reason.mendable,
        "option": reason.option,
    }


def _row(rejection: Rejection) -> tuple[Any, ...]:
    return (
        rejection.id,
        rejection.merchant,
        rejection.order,
        rejection.provider,
        rejection.reference,
        rejection.customer,
        rejection.bill_number,
        rejection.bill_date,
        rejection.created_at,
        to_json(rejection.source),
        rejection.type,
        rejection.status,
        to_json([_as_json(reason) for reason in rejection.reasons]),
        to_json(rejection.body),
    )


def _rejection(row: Any) -> Rejection:
    (
        key, merchant, order, provider, reference, customer, bill_number, bill_date, created_at, source, kind, status,
        reasons, body, rejected_at, note,
    ) = row  # fmt: skip
    return Rejection(
        id=key,
        merchant=merchant,
        order=order,
        provider=provider,
        reference=reference,
        customer=customer,
        bill_number=bill_number,
        bill_date=bill_date,
        created_at=created_at,
        source=source,
        type=RejectionType(kind),
        status=RejectionStatus(status),
        reasons=tuple(reason_of(reason) for reason in reasons),
        body=body,
        rejected_at=rejected_at,
        note=note,
    )


def reason_of(kept: Mapping[str, Any]) -> Reason:
    """Return a reason as it was stored."""
    return Reason(**{**kept, "kind": MasterKind(kept["kind"])})
