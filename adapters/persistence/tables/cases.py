"""What a person must decide."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, money, subject_id
from adapters.persistence.traces import OF_TRANSACTION

# `mailed` says whether its merchant is told by mail; where it says nothing, nobody is.
cases: Final = Table(
    "cases",
    metadata,
    subject_id(),
    Column("kind", Text, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("merchant", ForeignKey("merchants.id")),
    Column("order_id", BigInteger),
    Column("known", Text, nullable=False),
    Column("provider_says", Text),
    money("amount_at_risk"),
    Column("currency", Text),
    moment("deadline"),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    moment("opened_at", nullable=False),
    Column("opened_by", Text, nullable=False, server_default=text("'system'")),
    Column("mailed", Boolean),
    moment("closed_at"),
    Column("closed_by", Text),
    Column("note", Text),
    Index("uq_cases_open", "subject", "kind", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("ix_cases_order_id", "order_id"),
    Index("ix_cases_merchant_id", "merchant", "id"),
    CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed_by_somebody"),
    CheckConstraint(
        "kind IN ('LATE_PAYMENT', 'AMOUNT_MISMATCH', 'CANCEL_IN_DOUBT', 'REVERSAL_EXHAUSTED', 'SETTLED_UNREVERSED',"
        " 'CONTRADICTION', 'POLLING_EXHAUSTED', 'UNDELIVERABLE', 'STUCK')",
        name="kind",
    ),
)

# Every step of a case: who, when, why, and what was before and after it.
case_entries: Final = Table(
    "case_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    moment("at", nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("note", Text),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("trace", Text, server_default=text(OF_TRANSACTION)),
    Index("ix_case_entries_case_id_id", "case_id", "id"),
    CheckConstraint("kind IN ('opened', 'finding', 'action', 'closed')", name="kind"),
)
