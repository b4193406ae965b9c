"""Orders that are rejected transactions: why, and where their merchants find them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from adapters.http.addresses import address_of_rejected
from adapters.http.models import Rejected
from adapters.persistence import sanity_queue


def rejected_among(connection: Connection, merchant: str, orders: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    """Return {order: why it was rejected} of those of these orders that were, and are no orders by now."""
    rows = sanity_queue.not_added(connection, merchant, orders)
    return {row["order"]: _shown(row) for row in rows}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = Rejected.model_validate({**row, "address": address_of_rejected(row["rejection"])})
    return shown.model_dump(mode="json")
