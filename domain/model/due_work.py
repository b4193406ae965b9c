"""Due work: what is to be done, when, and in which lane."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Work(StrEnum):
    """The next step of a subject. One subject has one row, so these exclude one another."""

    VOID = "void"  # undo an approved payment, under the recorded key
    CANCEL = "cancel"  # close an open payment, under the recorded key
    CONFIRM = "confirm"  # ask what came of an effect that was sent, or may have been
    REVERSE = "reverse"  # ask about a transaction that timed out
    CLOSE = "close"  # ask, because a deadline has passed or a cancel was asked for
    POLL = "poll"  # ask how the payment is doing
    WATCH = "watch"  # ask for late money, after the end
    DELIVER = "deliver"  # the head of a callback stream
    COMMAND = "command"  # a command that waits for its order
    RETRIGGER = "retrigger"  # the next rejected transactions that are to be tried again
    MAIL = "mail"  # a mail that is to be sent


class LaneFamily(StrEnum):
    PROVIDER = "provider"
    ENDPOINT = "endpoint"
    MERCHANT = "merchant"
    MAIL = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What may be ill by itself. Tokens are calls; the row is shared by all workers."""

    id: int
    family: LaneFamily
    name: str  # the provider's name, the endpoint's or the merchant's id, `smtp` of mails
    tokens: float = 0.0
    refilled_at: datetime | None = None
    failures: int = 0  # in a row, over all workers
    paused_until: datetime | None = None
    paused: bool = False  # the operator's switch: nothing is asked
    no_effects: bool = False  # the operator's switch: no cancel, no void
    shadow: bool = False  # the operator's switch: decide and log, save nothing but the due time


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """What one lane may carry. A call may ask about up to `bulk` payments."""

    requests_per_second: float
    concurrency: int
    call_timeout: timedelta
    bulk: int = 1
    breaker_failures: int = 5
    breaker_open: timedelta = timedelta(seconds=30)
    longest_pause: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One due row that this drain may work on until its lease ends."""

    subject: int
    work: Work
    lane: int
    due_at: datetime
    step: int
    generation: int
    claims: int  # this one included


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Rows that were claimed together, under one lease token."""

    token: int
    leased_until: datetime
    rows: Sequence[Claimed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a subject's next step is due. `step` counts what was done in this phase of the work."""

    work: Work
    at: datetime
    step: int = 0
