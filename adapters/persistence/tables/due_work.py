"""Lanes, and what is due in them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.persistence.tables.base import metadata, moment

lanes: Final = Table(
    "lanes",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("family", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("tokens", Double, nullable=False, server_default=text("0")),
    moment("refilled_at"),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    moment("paused_until"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("no_effects", Boolean, nullable=False, server_default=text("false")),
    Column("shadow", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("family", "name"),
    CheckConstraint("family IN ('provider', 'endpoint', 'merchant', 'mail')", name="family"),
)

# Narrow, and only what a claim needs: everything else is the subject's own. The lease stands in `due_at`,
# so that the head of the index holds no leased rows.
due_work: Final = Table(
    "due_work",
    metadata,
    Column("subject", BigInteger, primary_key=True),
    moment("due_at", nullable=False),
    Column("lease", BigInteger),
    Column("lane", Integer, nullable=False),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("step", Integer, nullable=False, server_default=text("0")),
    Column("claims", SmallInteger, nullable=False, server_default=text("0")),
    Column("kind", Text, nullable=False),
    Column("last_error", Text),
    CheckConstraint(
        "kind IN ('void', 'cancel', 'confirm', 'reverse', 'close', 'poll', 'watch', 'deliver', 'command', 'retrigger',"
        " 'mail')",
        name="kind",
    ),
    Index("ix_due_work_healthy", "lane", "kind", "due_at", postgresql_where=text("claims < 3")),
    Index("ix_due_work_suspect", "lane", "kind", "due_at", postgresql_where=text("claims >= 3")),
)
