"""What HTTP answers about rejected transactions, retriggers and master data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from adapters.http.models import NextAction, Reason, RejectionId
from domain.model.master_data import FieldType, MasterKind
from domain.model.rejection import Outcome, RejectionStatus, RejectionType, RetriggerOrigin


class RejectedTransaction(BaseModel):
    rejection: RejectionId
    merchant: str
    order: str
    provider: str
    reference: str
    customer: str | None
    bill_number: str | None
    bill_date: str | None
    created_at: datetime | None = Field(description="As the producer said it; one that is added counts from then.")
    source: Mapping[str, Any]
    type: RejectionType
    status: RejectionStatus
    reasons: Sequence[Reason]
    rejected_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    retrigger: str | None = Field(description="The retrigger that added it.")


class RejectedTransactionDetail(RejectedTransaction):
    body: Mapping[str, Any] = Field(description="The order as it came.")


class MarkedFailed(BaseModel):
    """It has failed for good. `repeat` says that it had before, and that nothing happened now."""

    merchant: str
    rejection: RejectionId
    repeat: bool


class RetriggerKept(BaseModel):
    """It is kept, and goes on in the background. `repeat` says that the same was kept before."""

    merchant: str
    retrigger: str
    dry_run: bool
    repeat: bool


class NotAdded(BaseModel):
    """A transaction that the retrigger could not add: what is still missing, or why it never can be."""

    rejection: RejectionId
    order: str | None
    outcome: Outcome
    reasons: Sequence[Reason] | None
    why: str | None


class Retrigger(BaseModel):
    merchant: str
    retrigger: str
    origin: RetriggerOrigin
    dry_run: bool
    actor: str
    state: str = Field(description="`running` or `done`.")
    started_at: datetime
    finished_at: datetime | None
    total: int
    waiting: int
    added: int = Field(description="In a dry run: would be added.")
    already_added: int
    still_rejected: int
    failed: int
    next_action: NextAction | None
    items: Sequence[NotAdded] = Field(description="What was not added, so far.")
    next_cursor: str | None = Field(description="Where the next page of `items` begins; null where there is none.")


class MasterDataKept(BaseModel):
    """It is kept and holds for what comes next. `repeat` says that all of it stood before, and nothing happened."""

    merchant: str
    kind: MasterKind
    repeat: bool


class MasterEntry(BaseModel):
    key: str
    type: FieldType | None
    options: Sequence[str]
    version: int = Field(description="The version that last changed it.")
    changed_by: str
    changed_at: datetime


class MasterData(BaseModel):
    """What the merchant's bills may name. A version is one message that changed something."""

    merchant: str
    kind: MasterKind
    version: int = Field(description="The latest; 0 where nothing was ever put.")
    changed_by: str | None
    changed_at: datetime | None
    items: Sequence[MasterEntry]
    next_cursor: str | None = Field(description="Where the next page begins; null where there is none.")
