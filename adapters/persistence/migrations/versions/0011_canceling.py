"""Since when an order is being canceled: a provider that cannot be asked may keep that quiet for a day at most.

The release before runs on it: it leaves the time out, and then the order's last change counts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE orders o SET cancel_at = i.received_at FROM inbox i"
        " WHERE o.cancel_by IS NOT NULL AND i.id = o.cancel_command"
    )


def downgrade() -> None:
    op.drop_column("orders", "cancel_at")
