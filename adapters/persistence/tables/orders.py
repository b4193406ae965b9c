"""Orders with their transactions, and everything that happened to them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, money, subject_id

_STATUSES: Final = (
    "'NEW', 'PENDING', 'PAID', 'UNRESOLVED', 'RESOLVED', 'EXPIRED', 'CANCELED', 'FAILED', 'REFUND_PENDING', 'REFUNDED'"
)

orders: Final = Table(
    "orders",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("canceled_by", Text),
    money("amount", nullable=False),
    Column("currency", Text, nullable=False),
    Column("digits", SmallInteger, nullable=False),
    money("tolerance", nullable=False),
    Column("kind", Text, nullable=False),
    Column("network", Text),
    Column("customer", Text),
    moment("created_at", nullable=False),
    moment("registered_at", nullable=False),
    Column("cancellation_timeout", Double),
    Column("checkout_timeout", Double),
    Column("payment_window", Double, nullable=False),
    moment("checkout_completed_at"),
    Column("cancel_by", Text),
    Column("cancel_reason", Text),
    Column("cancel_command", BigInteger),
    moment("cancel_at"),
    Column("attempts_allowed", Integer, nullable=False),
    moment("changed_at", nullable=False),
    Column("watching", Boolean, nullable=False, server_default=text("false")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("sequence", Integer, nullable=False, server_default=text("1")),
    Column("bill", JSONB),
    # Up to when what only tells of it was deleted (`retention`).
    moment("trimmed_to"),
    UniqueConstraint("merchant", "reference"),
    Index("ix_orders_merchant_id", "merchant", "id"),
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("digits BETWEEN 0 AND 18", name="digits"),
    CheckConstraint("kind IN ('fiat', 'crypto')", name="kind"),
    CheckConstraint("canceled_by IN ('user', 'merchant', 'system')", name="canceled_by"),
    CheckConstraint("(status = 'CANCELED') = (canceled_by IS NOT NULL)", name="canceled_by_somebody"),
    CheckConstraint("status <> 'UNRESOLVED' OR reason IS NOT NULL", name="unresolved_for_a_reason"),
    CheckConstraint("NOT watching OR status IN ('CANCELED', 'EXPIRED', 'FAILED')", name="watching"),
    CheckConstraint("attempts_allowed >= 0", name="attempts_allowed"),
    CheckConstraint("cancel_by IS NULL OR status IN ('NEW', 'PENDING')", name="cancel_request"),
    CheckConstraint("reference <> '' AND length(reference) <= 128", name="reference"),
)

transactions: Final = Table(
    "transactions",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("provider_status", Text),
    money("amount_received"),
    money("amount_refunded", nullable=False, server_default=text("0")),
    moment("secured_at"),
    Column("confirmations", Integer),
    Column("settled", Boolean, nullable=False, server_default=text("false")),
    Column("no_records", Integer, nullable=False, server_default=text("0")),
    moment("no_record_since"),
    # What becomes of it while a timeout that was reported for it is undone: `open`, then the reversal's outcome.
    Column("reversal", Text),
    # When the provider itself last told that something has changed.
    moment("told_at"),
    UniqueConstraint("provider", "reference"),
    CheckConstraint(
        "state IN ('CREATED', 'PENDING', 'ATTEMPTED', 'AUTHORIZED', 'PAID', 'FAILED', 'CANCELED', 'EXPIRED',"
        " 'INVALID', 'COD')",
        name="state",
    ),
    CheckConstraint(
        "reversal IN ('open', 'DECLINED', 'ALREADY_REVERSED', 'VOIDED', 'SETTLEMENT_PASSED', 'EXHAUSTED')",
        name="reversal",
    ),
    CheckConstraint("amount_received >= 0 AND amount_refunded >= 0", name="amounts"),
    CheckConstraint("reference <> '' AND length(reference) <= 128", name="reference"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    moment("at"),
    UniqueConstraint("order_id", "position"),
    CheckConstraint("state IN ('pending', 'success', 'failed', 'canceled', 'error', 'cod')", name="state"),
)

operations: Final = Table(
    "operations",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    money("amount", nullable=False),
    moment("at"),
    CheckConstraint("kind IN ('capture', 'refund', 'void')", name="kind"),
    CheckConstraint("state IN ('queued', 'done', 'rejected')", name="state"),
    CheckConstraint("amount > 0", name="amount"),
)

# One row for one intended effect, written before it is asked for. The number makes its key, and stands once.
intents: Final = Table(
    "intents",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("effect", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("refused_in", Text),
    Column("asked", Boolean, nullable=False, server_default=text("false")),
    moment("created_at", nullable=False),
    moment("answered_at"),
    CheckConstraint("effect IN ('cancel', 'void')", name="effect"),
    CheckConstraint("NOT confirmed OR refused_in IS NULL", name="one_outcome"),
)

# The edges that the domain's table allows; history refers to them, so that no other can be taken.
order_edges: Final = Table(
    "order_edges",
    metadata,
    Column("previous", Text, primary_key=True),
    Column("status", Text, primary_key=True),
)

history: Final = Table(
    "history",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("previous", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("canceled_by", Text),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("at", nullable=False),
    ForeignKeyConstraint(["previous", "status"], ["order_edges.previous", "order_edges.status"]),
    CheckConstraint("(sequence = 1) = (previous IS NULL)", name="registration"),
)

timeline: Final = Table(
    "timeline",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("at", nullable=False),
    Index("ix_timeline_order_id_id", "order_id", "id"),
)
