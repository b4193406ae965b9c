"""Commands that were kept first and refused later stand where all that is refused does; indexes for lists and figures.

The release before runs on it: it knows none of the new columns, and none of them has to be given.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refused_messages", sa.Column("command", sa.BigInteger(), nullable=True))
    op.add_column(
        "refused_messages",
        sa.Column("refused_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.execute("UPDATE refused_messages SET refused_at = received_at")
    op.create_index(
        "ix_refused_messages_command",
        "refused_messages",
        ["command"],
        postgresql_where=sa.text("command IS NOT NULL"),
    )
    # Of those that were refused before nobody has written down when.
    op.execute(
        "INSERT INTO refused_messages"
        ' (digest, command, name, merchant, "order", body, errors, channel, received_at, refused_at)'
        " SELECT concat('command ', i.id), i.id, i.name, i.merchant, i.\"order\", i.body::text,"
        " jsonb_build_array(jsonb_build_object('field', 'order', 'reason', coalesce(i.reason, 'refused'))), 'inbox',"
        " i.received_at, i.received_at FROM inbox i WHERE i.state = 'refused' ORDER BY i.id"
    )
    op.create_index(
        "ix_rejections_pending",
        "rejections",
        ["merchant", "rejected_at"],
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.create_index("ix_rejections_merchant_rejected_at", "rejections", ["merchant", "rejected_at"])
    op.create_index(
        "ix_rejections_permanent", "rejections", ["merchant", "id"], postgresql_where=sa.text("type = 'permanent'")
    )
    op.create_index("ix_reversals_merchant_outcome_id", "reversals", ["merchant", "outcome", "id"])
    op.create_index("ix_reversals_outcome_id", "reversals", ["outcome", "id"])


def downgrade() -> None:
    op.drop_index("ix_reversals_outcome_id", table_name="reversals")
    op.drop_index("ix_reversals_merchant_outcome_id", table_name="reversals")
    for index in ("ix_rejections_permanent", "ix_rejections_merchant_rejected_at", "ix_rejections_pending"):
        op.drop_index(index, table_name="rejections")
    op.execute("DELETE FROM refused_messages WHERE command IS NOT NULL")
    op.drop_index("ix_refused_messages_command", table_name="refused_messages")
    op.drop_column("refused_messages", "refused_at")
    op.drop_column("refused_messages", "command")
