"""The first tables."""
# ruff: noqa: E501 - as alembic writes them

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# The order's table of edges as it is in this release (domain/rules/order_lifecycle.py); history refers to it.
EDGES = (
    ("NEW", "PENDING"), ("NEW", "PAID"), ("NEW", "UNRESOLVED"), ("NEW", "CANCELED"), ("NEW", "EXPIRED"),
    ("NEW", "FAILED"), ("PENDING", "PAID"), ("PENDING", "UNRESOLVED"), ("PENDING", "CANCELED"),
    ("PENDING", "EXPIRED"), ("PENDING", "FAILED"), ("PAID", "REFUND_PENDING"), ("PAID", "REFUNDED"),
    ("UNRESOLVED", "RESOLVED"), ("EXPIRED", "UNRESOLVED"), ("CANCELED", "UNRESOLVED"), ("FAILED", "UNRESOLVED"),
    ("REFUND_PENDING", "PAID"), ("REFUND_PENDING", "REFUNDED"),
)  # fmt: skip


def upgrade() -> None:
    op.execute("CREATE SEQUENCE subject_ids")
    op.create_table(
        "due_work",
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=True),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("step", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("claims", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('void', 'cancel', 'close', 'poll', 'watch', 'deliver', 'command')", name=op.f("ck_due_work_kind")
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_due_work")),
    )
    op.create_index(
        "ix_due_work_healthy",
        "due_work",
        ["lane", "kind", "due_at"],
        unique=False,
        postgresql_where=sa.text("claims < 3"),
    )
    op.create_index(
        "ix_due_work_suspect",
        "due_work",
        ["lane", "kind", "due_at"],
        unique=False,
        postgresql_where=sa.text("claims >= 3"),
    )
    op.create_table(
        "lanes",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("refilled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("no_effects", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("shadow", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("family IN ('provider', 'endpoint', 'merchant')", name=op.f("ck_lanes_family")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lanes")),
        sa.UniqueConstraint("family", "name", name=op.f("uq_lanes_family_name")),
    )
    op.create_table(
        "merchants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("cancellation_timeout", sa.Integer(), nullable=True),
        sa.Column("checkout_timeout", sa.Integer(), nullable=True),
        sa.Column("tolerance", sa.Numeric(precision=38, scale=18), server_default=sa.text("0"), nullable=False),
        sa.Column("checks", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("sanity_queue", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("auto_retrigger", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("cancellation_timeout > 0 AND checkout_timeout > 0", name=op.f("ck_merchants_timeouts")),
        sa.CheckConstraint("tolerance >= 0", name=op.f("ck_merchants_tolerance")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchants")),
    )
    op.create_table(
        "order_edges",
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("previous", "status", name=op.f("pk_order_edges")),
    )
    op.create_table(
        "refused_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=True),
        sa.Column("order", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_messages")),
        sa.UniqueConstraint("digest", name=op.f("uq_refused_messages_digest")),
    )
    op.create_index("ix_refused_messages_merchant_id", "refused_messages", ["merchant", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_api_keys_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_index(op.f("ix_api_keys_merchant"), "api_keys", ["merchant"], unique=False)
    op.create_table(
        "cases",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("known", sa.Text(), nullable=False),
        sa.Column("provider_says", sa.Text(), nullable=True),
        sa.Column("amount_at_risk", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('LATE_PAYMENT', 'AMOUNT_MISMATCH', 'CANCEL_IN_DOUBT', 'REVERSAL_EXHAUSTED', 'SETTLED_UNREVERSED', 'CONTRADICTION', 'POLLING_EXHAUSTED', 'UNDELIVERABLE', 'STUCK')",
            name=op.f("ck_cases_kind"),
        ),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name=op.f("ck_cases_closed_by_somebody")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_cases_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
    )
    op.create_index("ix_cases_merchant_id", "cases", ["merchant", "id"], unique=False)
    op.create_index("ix_cases_order_id", "cases", ["order_id"], unique=False)
    op.create_index(
        "uq_cases_open", "cases", ["subject", "kind"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secrets", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("types", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("cardinality(secrets) BETWEEN 1 AND 2", name=op.f("ck_endpoints_secrets")),
        sa.ForeignKeyConstraint(["lane"], ["lanes.id"], name=op.f("fk_endpoints_lane")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_endpoints_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("lane", name=op.f("uq_endpoints_lane")),
    )
    op.create_index(op.f("ix_endpoints_merchant"), "endpoints", ["merchant"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "transaction", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_events_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("event", name=op.f("uq_events_event")),
    )
    op.create_index("ix_events_merchant_transaction_id", "events", ["merchant", "transaction", "id"], unique=False)
    op.create_index("ix_events_order_id_id", "events", ["order_id", "id"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("order", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'accepted', 'applied', 'refused')", name=op.f("ck_inbox_state")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_inbox_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("merchant", "name", "key", name=op.f("uq_inbox_merchant_name_key")),
    )
    op.create_index(
        "ix_inbox_waiting", "inbox", ["merchant", "order"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("canceled_by", sa.Text(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("digits", sa.SmallInteger(), nullable=False),
        sa.Column("tolerance", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancellation_timeout", sa.Double(), nullable=True),
        sa.Column("checkout_timeout", sa.Double(), nullable=True),
        sa.Column("payment_window", sa.Double(), nullable=False),
        sa.Column("checkout_completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_by", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("cancel_command", sa.BigInteger(), nullable=True),
        sa.Column("attempts_allowed", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("watching", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("bill", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "(status = 'CANCELED') = (canceled_by IS NOT NULL)", name=op.f("ck_orders_canceled_by_somebody")
        ),
        sa.CheckConstraint(
            "NOT watching OR status IN ('CANCELED', 'EXPIRED', 'FAILED')", name=op.f("ck_orders_watching")
        ),
        sa.CheckConstraint("cancel_by IS NULL OR status IN ('NEW', 'PENDING')", name=op.f("ck_orders_cancel_request")),
        sa.CheckConstraint("canceled_by IN ('user', 'merchant', 'system')", name=op.f("ck_orders_canceled_by")),
        sa.CheckConstraint("kind IN ('fiat', 'crypto')", name=op.f("ck_orders_kind")),
        sa.CheckConstraint("reference <> '' AND length(reference) <= 128", name=op.f("ck_orders_reference")),
        sa.CheckConstraint(
            "status <> 'UNRESOLVED' OR reason IS NOT NULL", name=op.f("ck_orders_unresolved_for_a_reason")
        ),
        sa.CheckConstraint(
            "status IN ('NEW', 'PENDING', 'PAID', 'UNRESOLVED', 'RESOLVED', 'EXPIRED', 'CANCELED', 'FAILED', 'REFUND_PENDING', 'REFUNDED')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_orders_amount")),
        sa.CheckConstraint("attempts_allowed >= 0", name=op.f("ck_orders_attempts_allowed")),
        sa.CheckConstraint("digits BETWEEN 0 AND 18", name=op.f("ck_orders_digits")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_orders_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("merchant", "reference", name=op.f("uq_orders_merchant_reference")),
    )
    op.create_index("ix_orders_merchant_id", "orders", ["merchant", "id"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'success', 'failed', 'canceled', 'error', 'cod')", name=op.f("ck_attempts_state")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_attempts_order_id")),
        sa.PrimaryKeyConstraint("order_id", "id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("order_id", "position", name=op.f("uq_attempts_order_id_position")),
    )
    op.create_table(
        "history",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("canceled_by", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(sequence = 1) = (previous IS NULL)", name=op.f("ck_history_registration")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_history_order_id")),
        sa.ForeignKeyConstraint(
            ["previous", "status"],
            ["order_edges.previous", "order_edges.status"],
            name=op.f("fk_history_previous_status"),
        ),
        sa.PrimaryKeyConstraint("order_id", "sequence", name=op.f("pk_history")),
    )
    op.create_table(
        "intents",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("refused_in", sa.Text(), nullable=True),
        sa.Column("asked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("effect IN ('cancel', 'void')", name=op.f("ck_intents_effect")),
        sa.CheckConstraint("NOT confirmed OR refused_in IS NULL", name=op.f("ck_intents_one_outcome")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_intents_order_id")),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_intents")),
        sa.UniqueConstraint("key", name=op.f("uq_intents_key")),
    )
    op.create_table(
        "operations",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('capture', 'refund', 'void')", name=op.f("ck_operations_kind")),
        sa.CheckConstraint("state IN ('queued', 'done', 'rejected')", name=op.f("ck_operations_state")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_operations_amount")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_operations_order_id")),
        sa.PrimaryKeyConstraint("order_id", "id", name=op.f("pk_operations")),
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("endpoint", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("single_event", sa.BigInteger(), nullable=True),
        sa.Column("cursor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "key", sa.BigInteger(), sa.Computed("coalesce(order_id, -single_event)", persisted=True), nullable=False
        ),
        sa.CheckConstraint("(order_id IS NULL) <> (single_event IS NULL)", name=op.f("ck_streams_one_source")),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.id"], name=op.f("fk_streams_endpoint")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streams")),
        sa.UniqueConstraint("endpoint", "key", name=op.f("uq_streams_endpoint_key")),
    )
    op.create_table(
        "timeline",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_timeline_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline")),
    )
    op.create_index("ix_timeline_order_id_id", "timeline", ["order_id", "id"], unique=False)
    op.create_table(
        "transactions",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("amount_received", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("amount_refunded", sa.Numeric(precision=38, scale=18), server_default=sa.text("0"), nullable=False),
        sa.Column("secured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmations", sa.Integer(), nullable=True),
        sa.Column("settled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("no_records", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("no_record_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("reference <> '' AND length(reference) <= 128", name=op.f("ck_transactions_reference")),
        sa.CheckConstraint(
            "state IN ('CREATED', 'PENDING', 'ATTEMPTED', 'AUTHORIZED', 'PAID', 'FAILED', 'CANCELED', 'EXPIRED', 'INVALID', 'COD')",
            name=op.f("ck_transactions_state"),
        ),
        sa.CheckConstraint("amount_received >= 0 AND amount_refunded >= 0", name=op.f("ck_transactions_amounts")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_transactions_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_transactions")),
        sa.UniqueConstraint("provider", "reference", name=op.f("uq_transactions_provider_reference")),
    )
    op.create_table(
        "deliveries",
        sa.Column("stream", sa.BigInteger(), nullable=False),
        sa.Column("event_row", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("first_tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(["event_row"], ["events.id"], name=op.f("fk_deliveries_event_row")),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"], name=op.f("fk_deliveries_stream")),
        sa.PrimaryKeyConstraint("stream", "event_row", name=op.f("pk_deliveries")),
    )
    edges = sa.table("order_edges", sa.column("previous"), sa.column("status"))
    op.bulk_insert(edges, [{"previous": previous, "status": status} for previous, status in EDGES])
    # Every row moves at every poll: vacuum by count, not by share, so that a large table is not let grow first.
    op.execute(
        "ALTER TABLE due_work SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,"
        " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,"
        " autovacuum_vacuum_cost_delay = 0)"
    )


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("transactions")
    op.drop_index("ix_timeline_order_id_id", table_name="timeline")
    op.drop_table("timeline")
    op.drop_table("streams")
    op.drop_table("operations")
    op.drop_table("intents")
    op.drop_table("history")
    op.drop_table("attempts")
    op.drop_index("ix_orders_merchant_id", table_name="orders")
    op.drop_table("orders")
    op.drop_index("ix_inbox_waiting", table_name="inbox", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_table("inbox")
    op.drop_index("ix_events_order_id_id", table_name="events")
    op.drop_index("ix_events_merchant_transaction_id", table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_endpoints_merchant"), table_name="endpoints")
    op.drop_table("endpoints")
    op.drop_index("uq_cases_open", table_name="cases", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_index("ix_cases_order_id", table_name="cases")
    op.drop_index("ix_cases_merchant_id", table_name="cases")
    op.drop_table("cases")
    op.drop_index(op.f("ix_api_keys_merchant"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("ix_refused_messages_merchant_id", table_name="refused_messages")
    op.drop_table("refused_messages")
    op.drop_table("order_edges")
    op.drop_table("merchants")
    op.drop_table("lanes")
    op.drop_index("ix_due_work_suspect", table_name="due_work", postgresql_where=sa.text("claims >= 3"))
    op.drop_index("ix_due_work_healthy", table_name="due_work", postgresql_where=sa.text("claims < 3"))
    op.drop_table("due_work")
    op.execute("DROP SEQUENCE subject_ids")
