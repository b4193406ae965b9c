"""Master data, the transactions that it did not allow, and what tries them again."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, subject_id

_KINDS: Final = "kind IN ('line_items', 'payment_methods', 'stores', 'transaction_fields', 'customer_fields')"

# Who said what when. An entry holds the version that it was last said by.
master_data_versions: Final = Table(
    "master_data_versions",
    metadata,
    Column("merchant", ForeignKey("merchants.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("entries", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("at", nullable=False),
    CheckConstraint(_KINDS, name="kind"),
)

master_data: Final = Table(
    "master_data",
    metadata,
    Column("merchant", ForeignKey("merchants.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("type", Text),
    Column("options", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("version", Integer, nullable=False),
    Column("changed_by", Text, nullable=False),
    moment("changed_at", nullable=False),
    CheckConstraint(_KINDS, name="kind"),
    CheckConstraint("type IN ('enum', 'string', 'number', 'boolean', 'date')", name="type"),
)

# The id is the one that its order has, if it becomes one: so both cannot differ, and one stream tells of both.
rejections: Final = Table(
    "rejections",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("order", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("customer", Text),
    Column("bill_number", Text),
    Column("bill_date", Text),
    moment("created_at"),
    Column("source", JSONB, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("rejected_at", nullable=False),
    moment("decided_at"),
    Column("decided_by", Text),
    Column("note", Text),
    Column("retrigger", BigInteger),
    UniqueConstraint("merchant", "order"),
    UniqueConstraint("provider", "reference"),
    Index("ix_rejections_merchant_id", "merchant", "id"),
    Index("ix_rejections_merchant_status_id", "merchant", "status", "id"),
    Index("ix_rejections_merchant_customer_id", "merchant", "customer", "id"),
    Index("ix_rejections_merchant_rejected_at", "merchant", "rejected_at"),
    Index("ix_rejections_permanent", "merchant", "id", postgresql_where=text("type = 'permanent'")),
    Index("ix_rejections_pending", "merchant", "rejected_at", postgresql_where=text("status = 'PENDING'")),
    CheckConstraint("status IN ('PENDING', 'PERMANENT_FAILED', 'REPROCESSED')", name="status"),
    CheckConstraint("type IN ('reprocessable', 'permanent')", name="type"),
    CheckConstraint("type = 'reprocessable' OR status = 'PERMANENT_FAILED'", name="permanent_is_permanent"),
    CheckConstraint("(status = 'REPROCESSED') = (retrigger IS NOT NULL)", name="reprocessed_by_a_retrigger"),
    CheckConstraint("jsonb_array_length(reasons) > 0", name="for_a_reason"),
)

# What pending ones lack; an option is empty where the whole key is missing. So new master data finds what waits for it.
rejection_needs: Final = Table(
    "rejection_needs",
    metadata,
    Column("rejection", ForeignKey("rejections.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("option", Text, primary_key=True, server_default=text("''")),
    Column("merchant", Text, nullable=False),
    Index("ix_rejection_needs_what", "merchant", "kind", "key"),
    CheckConstraint(_KINDS, name="kind"),
)

retriggers: Final = Table(
    "retriggers",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("started_at", nullable=False),
    moment("finished_at"),
    Column("cursor", BigInteger, nullable=False, server_default=text("0")),
    Column("total", Integer, nullable=False),
    Column("added", Integer, nullable=False, server_default=text("0")),
    Column("already_added", Integer, nullable=False, server_default=text("0")),
    Column("rejected", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("merchant", "name"),
    Index("ix_retriggers_merchant_id", "merchant", "id"),
    Index("ix_retriggers_open", "merchant", "origin", postgresql_where=text("finished_at IS NULL")),
    CheckConstraint("origin IN ('asked', 'master_data', 'sweep')", name="origin"),
    CheckConstraint("added + already_added + rejected + failed <= total", name="counts"),
)

# One row: when all that is pending was last tried again by itself.
sanity_sweeps: Final = Table(
    "sanity_sweeps",
    metadata,
    Column("id", Boolean, primary_key=True, server_default=text("true")),
    moment("at", nullable=False),
    CheckConstraint("id", name="only_one"),
)

# No foreign keys: of a hundred thousand rows each would be checked and locked by itself. `verify` looks instead.
retrigger_items: Final = Table(
    "retrigger_items",
    metadata,
    Column("retrigger", BigInteger, primary_key=True),
    Column("rejection", BigInteger, primary_key=True),
    Column("outcome", Text),
    Column("reasons", JSONB),
    Column("why", Text),
    CheckConstraint("outcome IN ('added', 'already_added', 'rejected', 'failed')", name="outcome"),
)
