"""Who calls over HTTP: how much of its budget a key has left, and answers that are given again."""

from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment

# One row for each key, by its hash. Unlogged, for every request writes it: after a crash all begin with full budgets.
key_budgets: Final = Table(
    "key_budgets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("granted", Boolean, nullable=False),
    moment("refilled_at", nullable=False),
    CheckConstraint("tokens >= 0", name="tokens"),
    prefixes=["UNLOGGED"],
)

# What was answered under an `Idempotency-Key`. Without a status the request is still under way.
kept_answers: Final = Table(
    "kept_answers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    moment("started_at", nullable=False),
    moment("expires_at", nullable=False),
    Index("ix_kept_answers_expires_at", "expires_at"),
    CheckConstraint(
        "(status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL)", name="answered_whole"
    ),
)
