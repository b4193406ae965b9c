"""What came in: commands, and input that was not accepted."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, subject_id

inbox: Final = Table(
    "inbox",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("order", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("trace", Text),
    moment("received_at", nullable=False),
    UniqueConstraint("merchant", "name", "key"),
    Index("ix_inbox_waiting", "merchant", "order", postgresql_where=text("state = 'waiting'")),
    CheckConstraint("state IN ('waiting', 'accepted', 'applied', 'refused')", name="state"),
)

refused_messages: Final = Table(
    "refused_messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("merchant", Text),
    Column("order", Text),
    Column("body", Text, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("channel", Text, nullable=False),
    Column("times", Integer, nullable=False, server_default=text("1")),
    moment("received_at", nullable=False),
    # Of one that was kept as a command first, and refused later.
    Column("command", BigInteger),
    moment("refused_at", nullable=False, server_default=func.now()),
    Index("ix_refused_messages_merchant_id", "merchant", "id"),
    Index("ix_refused_messages_command", "command", postgresql_where=text("command IS NOT NULL")),
)
