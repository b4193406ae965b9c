"""Mails, frozen when they are decided, with what became of sending them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.persistence.tables.base import metadata, moment, subject_id

# `event` is the name of what a mail tells of, of a case or a change of status: nobody is told the same twice.
mails: Final = Table(
    "mails",
    metadata,
    subject_id(),
    Column("event", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("merchant", ForeignKey("merchants.id")),
    Column("case_id", BigInteger),
    Column("order_id", BigInteger),
    Column("message_id", Text, nullable=False, unique=True),
    Column("recipient", Text),
    Column("sender", Text),
    Column("sender_name", Text),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("status", Integer),
    Column("error", Text),
    moment("created_at", nullable=False),
    moment("since", nullable=False),
    moment("tried_at"),
    moment("sent_at"),
    UniqueConstraint("event", "audience"),
    Index("ix_mails_merchant_id", "merchant", "id"),
    Index("ix_mails_case_id", "case_id"),
    CheckConstraint("audience IN ('merchant', 'operator')", name="audience"),
    CheckConstraint("audience = 'operator' OR recipient IS NOT NULL", name="recipient"),
    CheckConstraint("state IN ('waiting', 'sent', 'kept', 'failed')", name="state"),
    CheckConstraint("state <> 'sent' OR sent_at IS NOT NULL", name="sent_at_some_time"),
    CheckConstraint("tries >= 0", name="tries"),
    CheckConstraint("subject !~ '[\\r\\n]' AND sender_name !~ '[\\r\\n]'", name="on_one_line"),
)
