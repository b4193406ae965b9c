"""Timed-out transactions, and due work that looks after them.

The release before runs on it: it knows none of the new tables, columns and kinds of due work.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command')"
_OUTCOMES = "'DECLINED', 'ALREADY_REVERSED', 'VOIDED', 'SETTLEMENT_PASSED', 'EXHAUSTED'"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_due_work_kind"), "due_work", type_="check")
    op.create_check_constraint(op.f("ck_due_work_kind"), "due_work", _KINDS)
    op.add_column("transactions", sa.Column("reversal", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_transactions_reversal"), "transactions", f"reversal IN ('open', {_OUTCOMES})")
    op.create_table(
        "reversals",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('subject_ids')"), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(38, 18), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("digits", sa.SmallInteger(), nullable=False),
        sa.Column("response_code", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("order", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settles_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("on_record", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("last_answer", sa.Text(), nullable=True),
        sa.Column("last_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_reversals_amount")),
        sa.CheckConstraint("digits BETWEEN 0 AND 18", name=op.f("ck_reversals_digits")),
        sa.CheckConstraint("response_code IN ('99', '797', '798', '799')", name=op.f("ck_reversals_response_code")),
        sa.CheckConstraint(
            "cause IN ('no_response', 'partial_response', 'unintelligible_response')", name=op.f("ck_reversals_cause")
        ),
        sa.CheckConstraint(
            "last_answer IN ('record', 'no_record', 'not_believed', 'could_not_ask')",
            name=op.f("ck_reversals_last_answer"),
        ),
        sa.CheckConstraint(f"outcome IN ({_OUTCOMES})", name=op.f("ck_reversals_outcome")),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_reversals_ended_at_some_time")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_reversals_attempts")),
        sa.CheckConstraint("settles_at > occurred_at", name=op.f("ck_reversals_settles_after_it_occurred")),
        sa.CheckConstraint("reference <> '' AND length(reference) <= 128", name=op.f("ck_reversals_reference")),
        sa.ForeignKeyConstraint(["merchant"], ["merchants.id"], name=op.f("fk_reversals_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reversals")),
        sa.UniqueConstraint("provider", "reference", name=op.f("uq_reversals_provider_reference")),
    )
    op.create_index("ix_reversals_merchant_id", "reversals", ["merchant", "id"])
    op.create_table(
        "reversal_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reversal_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column("decided", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("asked IN ('inquiry', 'void')", name=op.f("ck_reversal_attempts_asked")),
        sa.CheckConstraint("(asked = 'void') = (key IS NOT NULL)", name=op.f("ck_reversal_attempts_void_under_a_key")),
        sa.ForeignKeyConstraint(["reversal_id"], ["reversals.id"], name=op.f("fk_reversal_attempts_reversal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reversal_attempts")),
    )
    op.create_index("ix_reversal_attempts_reversal_id_id", "reversal_attempts", ["reversal_id", "id"])
    op.create_table(
        "reversal_intents",
        sa.Column("reversal_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("refused_in", sa.Text(), nullable=True),
        sa.Column("asked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("NOT confirmed OR refused_in IS NULL", name=op.f("ck_reversal_intents_one_outcome")),
        sa.ForeignKeyConstraint(["reversal_id"], ["reversals.id"], name=op.f("fk_reversal_intents_reversal_id")),
        sa.PrimaryKeyConstraint("reversal_id", "number", name=op.f("pk_reversal_intents")),
        sa.UniqueConstraint("key", name=op.f("uq_reversal_intents_key")),
    )


def downgrade() -> None:
    """Undo it; the database refuses while work is due that the release before does not know."""
    op.drop_constraint(op.f("ck_due_work_kind"), "due_work", type_="check")
    op.create_check_constraint(
        op.f("ck_due_work_kind"),
        "due_work",
        "kind IN ('void', 'cancel', 'close', 'poll', 'watch', 'deliver', 'command')",
    )
    op.drop_table("reversal_intents")
    op.drop_table("reversal_attempts")
    op.drop_table("reversals")
    op.drop_column("transactions", "reversal")
