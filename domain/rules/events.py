"""What the merchant is told: the payload of each type of event."""

from datetime import datetime
from typing import Any

from domain.model.decision import Move
from domain.model.event import Event, EventType
from domain.model.order import Order
from domain.model.rejection import Rejection
from domain.model.reversal import Reversal


def status_changed(order: Order, move: Move) -> Event:
    """Tell of one change of status, with the amounts as they are known at that moment."""
    received = order.transaction.amount_received
    return Event(
        type=EventType.ORDER_STATUS_CHANGED,
        merchant=order.merchant,
        order_id=order.id,
        data={
            "merchant": order.merchant,
            "order": order.reference,
            "sequence": move.sequence,
            "previous_status": move.previous,
            "status": move.status,
            "reason": move.reason,
            "canceled_by": move.canceled_by,
            "amount": order.currency.render(order.amount),
            "amount_received": None if received is None else order.currency.render(received),
            "currency": order.currency.code,
        },
    )


def message_refused(
    merchant: str, *, name: str, order: str | None, errors: list[dict[str, str]], received_at: datetime
) -> Event:
    """Tell that something the merchant sent was not accepted, and why. `errors` is [{field, reason}]."""
    data: dict[str, Any] = {
        "merchant": merchant,
        "order": order,
        "message": name,
        "errors": errors,
        "received_at": received_at.isoformat(),
    }
    return Event(type=EventType.MESSAGE_REFUSED, merchant=merchant, order_id=None, data=data)


def reversal_ended(reversal: Reversal, *, order: Order | None) -> Event:
    """Tell how the undoing of a timed-out transaction ended; `order` is the one whose own payment it is."""
    return Event(
        type=EventType.REVERSAL_ENDED,
        merchant=reversal.merchant,
        order_id=None if order is None else order.id,
        data={
            "merchant": reversal.merchant,
            "order": reversal.order if order is None else order.reference,
            "provider": reversal.provider,
            "reference": reversal.reference,
            "outcome": reversal.outcome,
            "on_record": reversal.on_record,
            "provider_says": reversal.provider_status,
            "attempts": reversal.attempts,
            "amount": reversal.currency.render(reversal.amount),
            "currency": reversal.currency.code,
            "response_code": reversal.response_code,
            "occurred_at": reversal.occurred_at.isoformat(),
            "settles_at": reversal.settles_at.isoformat(),
        },
    )


def transaction_rejected(rejection: Rejection) -> Event:
    """Tell that a transaction was not added, why, and whether it can be mended."""
    return _of_rejection(
        EventType.TRANSACTION_REJECTED,
        rejection,
        rejection_type=rejection.type,
        reasons=[{"kind": r.kind, "key": r.key, "message": r.message} for r in rejection.reasons],
    )


def transaction_reprocessed(rejection: Rejection, *, retrigger: str) -> Event:
    """Tell that a rejected transaction was added after all; its order's own events follow."""
    return _of_rejection(EventType.TRANSACTION_REPROCESSED, rejection, retrigger=retrigger)


def transaction_failed(rejection: Rejection, *, note: str | None, by: str) -> Event:
    """Tell that somebody has given a rejected transaction up."""
    return _of_rejection(
        EventType.TRANSACTION_FAILED,
        rejection,
        reasons=[{"kind": r.kind, "key": r.key, "message": r.message} for r in rejection.reasons],
        note=note,
        by=by,
    )


def _of_rejection(kind: EventType, rejection: Rejection, **others: Any) -> Event:
    # Under the id that its order has or would have: one stream carries all that happens to it, in its order.
    return Event(
        type=kind,
        merchant=rejection.merchant,
        order_id=rejection.id,
        data={
            "merchant": rejection.merchant,
            "order": rejection.order,
            "rejection": str(rejection.id),
            "bill_number": rejection.bill_number,
            "bill_date": rejection.bill_date,
            "customer": rejection.customer,
            "source": rejection.source,
            **others,
        },
    )
