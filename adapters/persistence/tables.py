"""The tables. What they refuse, no code can do; the statements are in the modules beside this one."""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Every subject of due work draws its id here, so that one narrow key serves them all.
subject_ids: Final = Sequence("subject_ids", metadata=metadata)


def _subject_id() -> "Column[int]":
    return Column("id", BigInteger, primary_key=True, server_default=subject_ids.next_value())


def _money(name: str, **options: Any) -> "Column[Any]":
    return Column(name, Numeric(38, 18), **options)


def _time(name: str, **options: Any) -> "Column[Any]":
    return Column(name, DateTime(timezone=True), **options)


merchants: Final = Table(
    "merchants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("cancellation_timeout", Integer),
    Column("checkout_timeout", Integer),
    _money("tolerance", nullable=False, server_default=text("0")),
    Column("checks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("sanity_queue", Boolean, nullable=False, server_default=text("false")),
    Column("auto_retrigger", Boolean, nullable=False, server_default=text("false")),
    _time("created_at", nullable=False, server_default=text("now()")),
    CheckConstraint("cancellation_timeout > 0 AND checkout_timeout > 0", name="timeouts"),
    CheckConstraint("tolerance >= 0", name="tolerance"),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("merchant", ForeignKey("merchants.id"), nullable=False, index=True),
    Column("hash", Text, nullable=False, unique=True),
    _time("created_at", nullable=False, server_default=text("now()")),
    _time("revoked_at"),
)

lanes: Final = Table(
    "lanes",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("family", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("tokens", Double, nullable=False, server_default=text("0")),
    _time("refilled_at"),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    _time("paused_until"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("no_effects", Boolean, nullable=False, server_default=text("false")),
    Column("shadow", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("family", "name"),
    CheckConstraint("family IN ('provider', 'endpoint', 'merchant')", name="family"),
)

endpoints: Final = Table(
    "endpoints",
    metadata,
    _subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("secrets", ARRAY(Text), nullable=False),
    Column("types", ARRAY(Text)),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("lane", ForeignKey("lanes.id"), nullable=False, unique=True),
    _time("created_at", nullable=False, server_default=text("now()")),
    CheckConstraint("cardinality(secrets) BETWEEN 1 AND 2", name="secrets"),
)

# Narrow, and only what a claim needs: everything else is the subject's own. The lease stands in `due_at`,
# so that the head of the index holds no leased rows.
due_work: Final = Table(
    "due_work",
    metadata,
    Column("subject", BigInteger, primary_key=True),
    _time("due_at", nullable=False),
    Column("lease", BigInteger),
    Column("lane", Integer, nullable=False),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("step", Integer, nullable=False, server_default=text("0")),
    Column("claims", SmallInteger, nullable=False, server_default=text("0")),
    Column("kind", Text, nullable=False),
    Column("last_error", Text),
    CheckConstraint("kind IN ('void', 'cancel', 'close', 'poll', 'watch', 'deliver', 'command')", name="kind"),
    Index("ix_due_work_healthy", "lane", "kind", "due_at", postgresql_where=text("claims < 3")),
    Index("ix_due_work_suspect", "lane", "kind", "due_at", postgresql_where=text("claims >= 3")),
)

_STATUSES: Final = (
    "'NEW', 'PENDING', 'PAID', 'UNRESOLVED', 'RESOLVED', 'EXPIRED', 'CANCELED', 'FAILED', 'REFUND_PENDING', 'REFUNDED'"
)

orders: Final = Table(
    "orders",
    metadata,
    _subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("canceled_by", Text),
    _money("amount", nullable=False),
    Column("currency", Text, nullable=False),
    Column("digits", SmallInteger, nullable=False),
    _money("tolerance", nullable=False),
    Column("kind", Text, nullable=False),
    Column("network", Text),
    Column("customer", Text),
    _time("created_at", nullable=False),
    _time("registered_at", nullable=False),
    Column("cancellation_timeout", Double),
    Column("checkout_timeout", Double),
    Column("payment_window", Double, nullable=False),
    _time("checkout_completed_at"),
    Column("cancel_by", Text),
    Column("cancel_reason", Text),
    Column("cancel_command", BigInteger),
    Column("attempts_allowed", Integer, nullable=False),
    _time("changed_at", nullable=False),
    Column("watching", Boolean, nullable=False, server_default=text("false")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("sequence", Integer, nullable=False, server_default=text("1")),
    Column("bill", JSONB),
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
    _money("amount_received"),
    _money("amount_refunded", nullable=False, server_default=text("0")),
    _time("secured_at"),
    Column("confirmations", Integer),
    Column("settled", Boolean, nullable=False, server_default=text("false")),
    Column("no_records", Integer, nullable=False, server_default=text("0")),
    _time("no_record_since"),
    UniqueConstraint("provider", "reference"),
    CheckConstraint(
        "state IN ('CREATED', 'PENDING', 'ATTEMPTED', 'AUTHORIZED', 'PAID', 'FAILED', 'CANCELED', 'EXPIRED',"
        " 'INVALID', 'COD')",
        name="state",
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
    _time("at"),
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
    _money("amount", nullable=False),
    _time("at"),
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
    _time("created_at", nullable=False),
    _time("answered_at"),
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
    _time("at", nullable=False),
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
    _time("at", nullable=False),
    Index("ix_timeline_order_id_id", "order_id", "id"),
)

# The outbox. `transaction` orders the feed: below the oldest that still runs, nothing can appear any more.
events: Final = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("order_id", BigInteger),
    Column("sequence", Integer),
    Column("body", LargeBinary, nullable=False),
    _time("created_at", nullable=False),
    Column("transaction", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Index("ix_events_order_id_id", "order_id", "id"),
    Index("ix_events_merchant_transaction_id", "merchant", "transaction", "id"),
)

# The callbacks of one order to one endpoint; an event that belongs to no order is a stream of its own.
streams: Final = Table(
    "streams",
    metadata,
    _subject_id(),
    Column("endpoint", ForeignKey("endpoints.id"), nullable=False),
    Column("order_id", BigInteger),
    Column("single_event", BigInteger),
    Column("cursor", BigInteger, nullable=False, server_default=text("0")),
    Column("key", BigInteger, Computed("coalesce(order_id, -single_event)", persisted=True), nullable=False),
    UniqueConstraint("endpoint", "key"),
    CheckConstraint("(order_id IS NULL) <> (single_event IS NULL)", name="one_source"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("stream", ForeignKey("streams.id"), primary_key=True),
    Column("event_row", ForeignKey("events.id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    _time("first_tried_at", nullable=False),
    _time("last_tried_at", nullable=False),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
)

cases: Final = Table(
    "cases",
    metadata,
    _subject_id(),
    Column("kind", Text, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("merchant", ForeignKey("merchants.id")),
    Column("order_id", BigInteger),
    Column("known", Text, nullable=False),
    Column("provider_says", Text),
    _money("amount_at_risk"),
    Column("currency", Text),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    _time("opened_at", nullable=False),
    _time("closed_at"),
    Column("closed_by", Text),
    Column("note", Text),
    Index("uq_cases_open", "subject", "kind", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("ix_cases_order_id", "order_id"),
    Index("ix_cases_merchant_id", "merchant", "id"),
    CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed_by_somebody"),
    CheckConstraint(
        "kind IN ('LATE_PAYMENT', 'AMOUNT_MISMATCH', 'CANCEL_IN_DOUBT', 'REVERSAL_EXHAUSTED', 'SETTLED_UNREVERSED',"
        " 'CONTRADICTION', 'POLLING_EXHAUSTED', 'UNDELIVERABLE', 'STUCK')",
        name="kind",
    ),
)

inbox: Final = Table(
    "inbox",
    metadata,
    _subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("order", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    _time("received_at", nullable=False),
    UniqueConstraint("merchant", "name", "key"),
    Index("ix_inbox_waiting", "merchant", "order", postgresql_where=text("state = 'waiting'")),
    CheckConstraint("state IN ('waiting', 'accepted', 'applied', 'refused')", name="state"),
)

refused_messages: Final = Table(
    "refused_messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("merchant", Text),
    Column("order", Text),
    Column("body", Text, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("channel", Text, nullable=False),
    Column("times", Integer, nullable=False, server_default=text("1")),
    _time("received_at", nullable=False),
    Index("ix_refused_messages_merchant_id", "merchant", "id"),
)
