"""Merchants, their keys and their endpoints."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from adapters.persistence.tables.base import metadata, moment, money, subject_id
from adapters.persistence.traces import OF_TRANSACTION

merchants: Final = Table(
    "merchants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("cancellation_timeout", Integer),
    Column("checkout_timeout", Integer),
    money("tolerance", nullable=False, server_default=text("0")),
    Column("checks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("sanity_queue", Boolean, nullable=False, server_default=text("false")),
    Column("auto_retrigger", Boolean, nullable=False, server_default=text("false")),
    Column("mail_name", Text),
    Column("mail_sender", Text),
    Column("mail_link", Text),
    Column("mail_statuses", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    moment("created_at", nullable=False, server_default=text("now()")),
    CheckConstraint("cancellation_timeout > 0 AND checkout_timeout > 0", name="timeouts"),
    CheckConstraint("tolerance >= 0", name="tolerance"),
    CheckConstraint(
        "mail_statuses <@ ARRAY['NEW', 'PENDING', 'PAID', 'UNRESOLVED', 'RESOLVED', 'EXPIRED', 'CANCELED', 'FAILED',"
        " 'REFUND_PENDING', 'REFUNDED']",
        name="mail_statuses",
    ),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("merchant", ForeignKey("merchants.id"), index=True),
    Column("operator", Text),
    Column("hash", Text, nullable=False, unique=True),
    moment("created_at", nullable=False, server_default=text("now()")),
    moment("revoked_at"),
    CheckConstraint("(merchant IS NULL) <> (operator IS NULL)", name="one_owner"),
)

# `waits` are the seconds between tries, where they are not the usual ones; `types_since` is when `types` was last
# changed, `failing_since` the first failure since anything was delivered. What was removed wants no type, and stays for
# what was tried there.
endpoints: Final = Table(
    "endpoints",
    metadata,
    subject_id(),
    Column("merchant", ForeignKey("merchants.id"), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("secrets", ARRAY(Text), nullable=False),
    Column("types", ARRAY(Text)),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("lane", ForeignKey("lanes.id"), nullable=False, unique=True),
    Column("waits", ARRAY(Integer)),
    moment("types_since"),
    moment("failing_since"),
    moment("removed_at"),
    moment("created_at", nullable=False, server_default=text("now()")),
    CheckConstraint("cardinality(secrets) BETWEEN 1 AND 2", name="secrets"),
    CheckConstraint("cardinality(waits) BETWEEN 1 AND 50 AND 0 < ALL (waits)", name="waits"),
)

# Every step of an endpoint: who, when, and what was before and after it; secrets never.
endpoint_entries: Final = Table(
    "endpoint_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint", ForeignKey("endpoints.id"), nullable=False),
    moment("at", nullable=False, server_default=text("now()")),
    Column("actor", Text, nullable=False),
    Column("trace", Text, server_default=text(OF_TRANSACTION)),
    Column("step", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_endpoint_entries_endpoint_id", "endpoint", "id"),
    CheckConstraint(
        "step IN ('added', 'changed', 'enabled', 'disabled', 'rotated', 'finished', 'tested', 'redelivered',"
        " 'removed')",
        name="step",
    ),
)
