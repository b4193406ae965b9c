"""Events, and the streams that carry them to endpoints."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.persistence.tables.base import metadata, moment, subject_id

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
    moment("created_at", nullable=False),
    Column("transaction", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Index("ix_events_order_id_id", "order_id", "id"),
    Index("ix_events_merchant_transaction_id", "merchant", "transaction", "id"),
)

# The callbacks of one order to one endpoint. What came before `start` is not told there: an endpoint hears what happens
# from its making on. An event that belongs to no order is a stream of its own, and so is one
# of an order that is delivered once more.
streams: Final = Table(
    "streams",
    metadata,
    subject_id(),
    Column("endpoint", ForeignKey("endpoints.id"), nullable=False),
    Column("order_id", BigInteger),
    Column("single_event", BigInteger),
    Column("cursor", BigInteger, nullable=False, server_default=text("0")),
    Column("start", BigInteger, nullable=False, server_default=text("0")),
    Column("key", BigInteger, Computed("coalesce(order_id, -single_event)", persisted=True), nullable=False),
    UniqueConstraint("endpoint", "key"),
    CheckConstraint("(order_id IS NULL) <> (single_event IS NULL)", name="one_source"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("stream", ForeignKey("streams.id"), primary_key=True),
    # No foreign key: it would look through all deliveries for each event that retention deletes.
    Column("event_row", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    moment("first_tried_at", nullable=False),
    moment("last_tried_at", nullable=False),
    Index("ix_deliveries_failed", "event_row", postgresql_where=text("state = 'failed'")),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
)
