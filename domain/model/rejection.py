"""Rejected transactions, and the retriggers that try them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from domain.model.master_data import MasterKind


class RejectionStatus(StrEnum):
    PENDING = "PENDING"  # in the sanity queue: it can be mended
    PERMANENT_FAILED = "PERMANENT_FAILED"
    REPROCESSED = "REPROCESSED"  # it became an order


class RejectionType(StrEnum):
    """Whether it could be mended when it was rejected."""

    REPROCESSABLE = "reprocessable"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing of a bill that its merchant's master data does not allow.

    `mendable` if new master data could allow it. `option` is what an enum lacks; else the whole key is meant.
    """

    kind: MasterKind
    key: str
    message: str
    mendable: bool = True
    option: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A transaction that was not added. Its id is the one that its order has, if it ever becomes one."""

    id: int
    merchant: str
    order: str
    provider: str
    reference: str
    customer: str | None
    bill_number: str | None
    bill_date: str | None
    created_at: datetime | None  # as the producer said it; a reprocessed order counts from its processing time
    source: Mapping[str, Any]
    type: RejectionType
    status: RejectionStatus
    reasons: tuple[Reason, ...]
    body: Mapping[str, Any]  # the message, as it came
    rejected_at: datetime
    note: str | None = None  # of who gave it up


class RetriggerOrigin(StrEnum):
    ASKED = "asked"
    MASTER_DATA = "master_data"  # what was missing has come
    SWEEP = "sweep"


# Names of retriggers that we give ourselves begin so; a producer's never do.
OWN_NAMES: Final = "auto:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrigger:
    """Rejected transactions that are tried again under one name. `cursor` is the last that was looked at."""

    id: int
    merchant: str
    name: str
    origin: RetriggerOrigin
    dry_run: bool
    actor: str
    started_at: datetime
    cursor: int = 0
    finished_at: datetime | None = None


class Outcome(StrEnum):
    """What a retrigger found of one rejected transaction."""

    ADDED = "added"  # in a dry run: would be added
    ALREADY_ADDED = "already_added"  # another retrigger was first
    REJECTED = "rejected"  # something is still missing
    FAILED = "failed"  # it cannot be added at all; `why` says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rejected transaction as a retrigger found it."""

    rejection: int
    outcome: Outcome
    reasons: Sequence[Reason] = ()
    why: str | None = None
