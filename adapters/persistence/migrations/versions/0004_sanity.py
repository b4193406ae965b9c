"""Master data, the transactions that it did not allow, and due work that tries them again.

The release before runs on it: it knows none of the new tables and kinds of due work.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OLD_KINDS = "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command')"
_KINDS = "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command', 'retrigger')"
_OF_BILLS = "kind IN ('line_items', 'payment_methods', 'stores', 'transaction_fields', 'customer_fields')"

# The release before keeps the checks and reads them nowhere, so it may go on writing its own names.
_RENAME_CHECKS = """
UPDATE merchants SET checks = array_replace(array_replace(
    checks, 'transaction_extended_fields', 'transaction_fields'), 'customer_extended_fields', 'customer_fields')
"""


def upgrade() -> None:
    op.drop_constraint(op.f("ck_due_work_kind"), "due_work", type_="check")
    op.create_check_constraint(op.f("ck_due_work_kind"), "due_work", _KINDS)
    op.execute(_RENAME_CHECKS)
    op.create_table(
        "master_data",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("options", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(_OF_BILLS, name=op.f("ck_master_data_kind")),
        sa.CheckConstraint("type IN ('enum', 'string', 'number', 'boolean', 'date')", name=op.f("ck_master_data_type")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_master_data_merchant")),
        sa.PrimaryKeyConstraint("merchant", "kind", "key", name=op.f("pk_master_data")),
    )
    op.create_table(
        "master_data_versions",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entries", postgresql.JSONB(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(_OF_BILLS, name=op.f("ck_master_data_versions_kind")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_master_data_versions_merchant")),
        sa.PrimaryKeyConstraint("merchant", "kind", "version", name=op.f("pk_master_data_versions")),
    )
    op.create_table(
        "rejections",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("bill_number", sa.Text(), nullable=True),
        sa.Column("bill_date", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", postgresql.JSONB(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("retrigger", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(status = 'REPROCESSED') = (retrigger IS NOT NULL)", name=op.f("ck_rejections_reprocessed_by_a_retrigger")
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PERMANENT_FAILED', 'REPROCESSED')", name=op.f("ck_rejections_status")
        ),
        sa.CheckConstraint(
            "type = 'reprocessable' OR status = 'PERMANENT_FAILED'", name=op.f("ck_rejections_permanent_is_permanent")
        ),
        sa.CheckConstraint("type IN ('reprocessable', 'permanent')", name=op.f("ck_rejections_type")),
        sa.CheckConstraint("jsonb_array_length(reasons) > 0", name=op.f("ck_rejections_for_a_reason")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_rejections_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint("merchant", "order", name=op.f("uq_rejections_merchant_order")),
        sa.UniqueConstraint("provider", "reference", name=op.f("uq_rejections_provider_reference")),
    )
    op.create_index("ix_rejections_merchant_customer_id", "rejections", ["merchant", "customer", "id"])
    op.create_index("ix_rejections_merchant_id", "rejections", ["merchant", "id"])
    op.create_index("ix_rejections_merchant_status_id", "rejections", ["merchant", "status", "id"])
    op.create_table(
        "retriggers",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("already_added", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("origin IN ('asked', 'master_data', 'sweep')", name=op.f("ck_retriggers_origin")),
        sa.CheckConstraint("added + already_added + rejected + failed <= total", name=op.f("ck_retriggers_counts")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_retriggers_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retriggers")),
        sa.UniqueConstraint("merchant", "name", name=op.f("uq_retriggers_merchant_name")),
    )
    op.create_index("ix_retriggers_merchant_id", "retriggers", ["merchant", "id"])
    op.create_index(
        "ix_retriggers_open", "retriggers", ["merchant", "origin"], postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_table(
        "rejection_needs",
        sa.Column("rejection", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("option", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.CheckConstraint(_OF_BILLS, name=op.f("ck_rejection_needs_kind")),
        sa.ForeignKeyConstraint(["rejection"], ["rejections.id"], name=op.f("fk_rejection_needs_rejection")),
        sa.PrimaryKeyConstraint("rejection", "kind", "key", "option", name=op.f("pk_rejection_needs")),
    )
    op.create_index("ix_rejection_needs_what", "rejection_needs", ["merchant", "kind", "key"])
    op.create_table(
        "retrigger_items",
        sa.Column("retrigger", sa.BigInteger(), nullable=False),
        sa.Column("rejection", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reasons", postgresql.JSONB(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('added', 'already_added', 'rejected', 'failed')", name=op.f("ck_retrigger_items_outcome")
        ),
        sa.PrimaryKeyConstraint("retrigger", "rejection", name=op.f("pk_retrigger_items")),
    )
    op.create_table(
        "sanity_sweeps",
        sa.Column("id", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id", name=op.f("ck_sanity_sweeps_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sanity_sweeps")),
    )


def downgrade() -> None:
    """Undo it; the database refuses while work is due that the release before does not know."""
    op.drop_constraint(op.f("ck_due_work_kind"), "due_work", type_="check")
    op.create_check_constraint(op.f("ck_due_work_kind"), "due_work", _OLD_KINDS)
    op.drop_table("sanity_sweeps")
    op.drop_table("retrigger_items")
    op.drop_table("rejection_needs")
    op.drop_table("retriggers")
    op.drop_table("rejections")
    op.drop_table("master_data_versions")
    op.drop_table("master_data")
