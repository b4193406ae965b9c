"""Endpoints with a schedule of their own and a memory of failure, streams with a start, and every step of a case.

The release before runs on it: its streams start at nothing, and its cases have no steps.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OPENED = """
INSERT INTO case_entries (case_id, at, actor, kind, note, details)
SELECT id, opened_at, opened_by, 'opened', known,
       jsonb_build_object('provider_says', provider_says, 'amount_at_risk', amount_at_risk)
FROM cases ORDER BY id
"""
_CLOSED = """
INSERT INTO case_entries (case_id, at, actor, kind, note)
SELECT id, closed_at, closed_by, 'closed', note FROM cases WHERE closed_at IS NOT NULL ORDER BY closed_at, id
"""


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("waits", sa.ARRAY(sa.Integer()), nullable=True))
    op.add_column("endpoints", sa.Column("types_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("endpoints", sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_endpoints_waits"), "endpoints", "cardinality(waits) BETWEEN 1 AND 50 AND 0 < ALL (waits)"
    )
    op.add_column("streams", sa.Column("start", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("cases", sa.Column("deadline", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cases", sa.Column("opened_by", sa.Text(), server_default=sa.text("'system'"), nullable=False))
    op.create_table(
        "case_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint("kind IN ('opened', 'finding', 'action', 'closed')", name=op.f("ck_case_entries_kind")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_entries_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_entries")),
    )
    op.create_index("ix_case_entries_case_id_id", "case_entries", ["case_id", "id"])
    op.execute(_OPENED)
    op.execute(_CLOSED)


def downgrade() -> None:
    op.drop_table("case_entries")
    op.drop_column("cases", "opened_by")
    op.drop_column("cases", "deadline")
    op.drop_column("streams", "start")
    op.drop_constraint(op.f("ck_endpoints_waits"), "endpoints", type_="check")
    op.drop_column("endpoints", "failing_since")
    op.drop_column("endpoints", "types_since")
    op.drop_column("endpoints", "waits")
