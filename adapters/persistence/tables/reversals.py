"""Timed-out transactions that are being undone, every attempt at it, and the voids that were meant."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, money, subject_id

# Known by its payment, not by an order: `order` is what the report called it, and need not be known here.
reversals: Final = Table(
    "reversals",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    money("amount", nullable=False),
    Column("currency", Text, nullable=False),
    Column("digits", SmallInteger, nullable=False),
    Column("response_code", Text, nullable=False),
    Column("cause", Text),
    Column("order", Text),
    moment("occurred_at", nullable=False),
    moment("settles_at", nullable=False),
    moment("reported_at", nullable=False),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("on_record", Boolean, nullable=False, server_default=text("false")),
    Column("last_answer", Text),
    moment("last_asked_at"),
    Column("provider_status", Text),
    Column("outcome", Text),
    moment("ended_at"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    UniqueConstraint("provider", "reference"),
    Index("ix_reversals_merchant_id", "merchant", "id"),
    # For lists by an outcome that few have.
    Index("ix_reversals_merchant_outcome_id", "merchant", "outcome", "id"),
    Index("ix_reversals_outcome_id", "outcome", "id"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("digits BETWEEN 0 AND 18", name="digits"),
    CheckConstraint("response_code IN ('99', '797', '798', '799')", name="response_code"),
    CheckConstraint("cause IN ('no_response', 'partial_response', 'unintelligible_response')", name="cause"),
    CheckConstraint("last_answer IN ('record', 'no_record', 'not_believed', 'could_not_ask')", name="last_answer"),
    CheckConstraint(
        "outcome IN ('DECLINED', 'ALREADY_REVERSED', 'VOIDED', 'SETTLEMENT_PASSED', 'EXHAUSTED')", name="outcome"
    ),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended_at_some_time"),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint("settles_at > occurred_at", name="settles_after_it_occurred"),
    CheckConstraint("reference <> '' AND length(reference) <= 128", name="reference"),
)

# What was asked, what came back, what was decided. Nothing of a body but what a rule has read.
reversal_attempts: Final = Table(
    "reversal_attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reversal_id", ForeignKey("reversals.id"), nullable=False),
    moment("at", nullable=False),
    Column("asked", Text, nullable=False),
    Column("key", Text),
    Column("answer", JSONB, nullable=False),
    Column("decided", Text, nullable=False),
    moment("next_at"),
    Index("ix_reversal_attempts_reversal_id_id", "reversal_id", "id"),
    CheckConstraint("asked IN ('inquiry', 'void')", name="asked"),
    CheckConstraint("(asked = 'void') = (key IS NOT NULL)", name="void_under_a_key"),
)

# One row for one intended void, written before it is asked for. The number makes its key, and stands once.
reversal_intents: Final = Table(
    "reversal_intents",
    metadata,
    Column("reversal_id", ForeignKey("reversals.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("refused_in", Text),
    Column("asked", Boolean, nullable=False, server_default=text("false")),
    moment("created_at", nullable=False),
    moment("answered_at"),
    CheckConstraint("NOT confirmed OR refused_in IS NULL", name="one_outcome"),
)
