"""Steps of cases keep their trace; endpoints keep their steps, and can be removed.

The release before runs on it: what it writes has no trace, and it knows of no endpoint that was removed but as one that
wants no type of event and rests.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TRACE = "nullif(current_setting('trueup.trace', true), '')"
_STEPS = "'added', 'changed', 'enabled', 'disabled', 'rotated', 'finished', 'tested', 'redelivered', 'removed'"


def upgrade() -> None:
    op.add_column("case_entries", sa.Column("trace", sa.Text(), server_default=sa.text(_TRACE), nullable=True))
    op.add_column("endpoints", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "endpoint_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("endpoint", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), server_default=sa.text(_TRACE), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint(f"step IN ({_STEPS})", name=op.f("ck_endpoint_entries_step")),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.id"], name=op.f("fk_endpoint_entries_endpoint")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_entries")),
    )
    op.create_index("ix_endpoint_entries_endpoint_id", "endpoint_entries", ["endpoint", "id"])


def downgrade() -> None:
    op.drop_table("endpoint_entries")
    op.drop_column("endpoints", "removed_at")
    op.drop_column("case_entries", "trace")
