"""The tables. What they refuse, no code can do; the statements are in the modules beside this folder."""

from adapters.persistence.tables import (
    callers,
    cases,
    due_work,
    inbox,
    mails,
    merchants,
    orders,
    outbox,
    reversals,
    sanity,
)
from adapters.persistence.tables.base import metadata

__all__ = [
    "callers",
    "cases",
    "due_work",
    "inbox",
    "mails",
    "merchants",
    "metadata",
    "orders",
    "outbox",
    "reversals",
    "sanity",
]
