"""Mails, what merchants choose of them, and due work that sends them.

The release before runs on it: it knows none of the new tables, columns and kinds of due work.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OLD_KINDS = (
    "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command', 'retrigger')"
)
_KINDS = (
    "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command', 'retrigger',"
    " 'mail')"
)
_OLD_FAMILIES = "family IN ('provider', 'endpoint', 'merchant')"
_FAMILIES = "family IN ('provider', 'endpoint', 'merchant', 'mail')"
_STATUSES = (
    "mail_statuses <@ ARRAY['NEW', 'PENDING', 'PAID', 'UNRESOLVED', 'RESOLVED', 'EXPIRED', 'CANCELED', 'FAILED',"
    " 'REFUND_PENDING', 'REFUNDED']"
)


def upgrade() -> None:
    _replace_check("due_work", "kind", _KINDS)
    _replace_check("lanes", "family", _FAMILIES)
    op.add_column("merchants", sa.Column("mail_name", sa.Text(), nullable=True))
    op.add_column("merchants", sa.Column("mail_sender", sa.Text(), nullable=True))
    op.add_column("merchants", sa.Column("mail_link", sa.Text(), nullable=True))
    op.add_column(
        "merchants",
        sa.Column("mail_statuses", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.create_check_constraint(op.f("ck_merchants_mail_statuses"), "merchants", _STATUSES)
    op.add_column("cases", sa.Column("mailed", sa.Boolean(), nullable=True))
    op.create_table(
        "mails",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=True),
        sa.Column("case_id", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("audience = 'operator' OR recipient IS NOT NULL", name=op.f("ck_mails_recipient")),
        sa.CheckConstraint("audience IN ('merchant', 'operator')", name=op.f("ck_mails_audience")),
        sa.CheckConstraint("state <> 'sent' OR sent_at IS NOT NULL", name=op.f("ck_mails_sent_at_some_time")),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'kept', 'failed')", name=op.f("ck_mails_state")),
        sa.CheckConstraint("subject !~ '[\\r\\n]' AND sender_name !~ '[\\r\\n]'", name=op.f("ck_mails_on_one_line")),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_mails_tries")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_mails_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("event", "audience", name=op.f("uq_mails_event_audience")),
        sa.UniqueConstraint("message_id", name=op.f("uq_mails_message_id")),
    )
    op.create_index("ix_mails_case_id", "mails", ["case_id"])
    op.create_index("ix_mails_merchant_id", "mails", ["merchant", "id"])
    op.execute("INSERT INTO lanes (family, name) VALUES ('mail', 'smtp')")


def downgrade() -> None:
    """Undo it; the database refuses while work is due that the release before does not know."""
    _replace_check("due_work", "kind", _OLD_KINDS)
    op.execute("DELETE FROM lanes WHERE family = 'mail'")
    _replace_check("lanes", "family", _OLD_FAMILIES)
    op.drop_table("mails")
    op.drop_column("cases", "mailed")
    op.drop_constraint(op.f("ck_merchants_mail_statuses"), "merchants", type_="check")
    for column in ("mail_statuses", "mail_link", "mail_sender", "mail_name"):
        op.drop_column("merchants", column)


def _replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
