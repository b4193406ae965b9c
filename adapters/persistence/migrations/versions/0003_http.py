"""What HTTP needs: operators' keys, budgets of keys, answers that are given again, and callbacks that failed.

The release before runs on it: it makes keys of merchants only, and knows none of the new tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("api_keys", "merchant", nullable=True)
    op.add_column("api_keys", sa.Column("operator", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_api_keys_one_owner"), "api_keys", "(merchant IS NULL) <> (operator IS NULL)")
    op.add_column("transactions", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "key_budgets",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("refilled_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("tokens >= 0", name=op.f("ck_key_budgets_tokens")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_key_budgets")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "kept_answers",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", postgresql.JSONB(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL)",
            name=op.f("ck_kept_answers_answered_whole"),
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_kept_answers")),
    )
    op.create_index("ix_kept_answers_expires_at", "kept_answers", ["expires_at"])
    op.create_index("ix_deliveries_failed", "deliveries", ["event_row"], postgresql_where=sa.text("state = 'failed'"))


def downgrade() -> None:
    """Undo it; the database refuses while an operator has a key."""
    op.drop_index("ix_deliveries_failed", table_name="deliveries")
    op.drop_table("kept_answers")
    op.drop_table("key_budgets")
    op.drop_column("transactions", "told_at")
    op.alter_column("api_keys", "merchant", nullable=False)
    op.drop_constraint(op.f("ck_api_keys_one_owner"), "api_keys", type_="check")
    op.drop_column("api_keys", "operator")
