"""Whether what was received settles the order: amount and time decide."""

from datetime import datetime
from decimal import Decimal

from domain.model.money import difference
from domain.model.order import Order, Reason
from domain.rules.deadlines import paid_in_time


def oddity_of(order: Order, received: Decimal, paid_at: datetime, *, closed: bool) -> Reason | None:
    """Return what keeps a payment from settling its order, or None if the order may be fulfilled.

    The amount comes first: a merchant who resolves the case must settle the difference in any event,
    but money on a closed order is `delayed` whatever its amount, because the goods may be gone.
    """
    if closed:
        return Reason.DELAYED
    excess = difference(received, order.amount)
    if excess > order.tolerance:
        return Reason.OVERPAID
    if -excess > order.tolerance:
        return Reason.UNDERPAID
    return None if paid_in_time(order, paid_at) else Reason.DELAYED
