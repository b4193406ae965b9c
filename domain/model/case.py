"""Cases: what no rule can decide becomes a person's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class CaseKind(StrEnum):
    LATE_PAYMENT = "LATE_PAYMENT"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    CANCEL_IN_DOUBT = "CANCEL_IN_DOUBT"
    REVERSAL_EXHAUSTED = "REVERSAL_EXHAUSTED"
    SETTLED_UNREVERSED = "SETTLED_UNREVERSED"
    CONTRADICTION = "CONTRADICTION"
    POLLING_EXHAUSTED = "POLLING_EXHAUSTED"
    UNDELIVERABLE = "UNDELIVERABLE"
    STUCK = "STUCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpening:
    """A finding for a person. One open case of a kind for a subject: a second finding joins the first.

    `deadline` is until when something can still be done, where there is such a time.
    """

    kind: CaseKind
    known: str
    provider_says: str | None = None
    amount_at_risk: Decimal | None = None
    deadline: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)
