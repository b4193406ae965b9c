"""Reversals: undoing transactions that timed out, each known by its payment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from domain.model.case import CaseOpening
from domain.model.decision import Decision
from domain.model.due_work import Claimed, Due
from domain.model.event import Event
from domain.model.money import Currency
from domain.model.transaction import Intent, ReversalOutcome

# What producers call a call that timed out; any other code was an answer.
TIMEOUT_CODES: Final = frozenset({"99", "797", "798", "799"})


class TimeoutCause(StrEnum):
    """Why the answer was not adequate."""

    NO_RESPONSE = "no_response"
    PARTIAL_RESPONSE = "partial_response"
    UNINTELLIGIBLE_RESPONSE = "unintelligible_response"


class LastAnswer(StrEnum):
    """What the provider last said when it was asked about the original."""

    RECORD = "record"
    NO_RECORD = "no_record"
    NOT_BELIEVED = "not_believed"  # a record that does not fit what was reported
    COULD_NOT_ASK = "could_not_ask"


class Ask(StrEnum):
    """What a claimed reversal asks of the provider."""

    INQUIRY = "inquiry"
    VOID = "void"
    NOTHING = "nothing"  # it has ended meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """One transaction that timed out, and how far its undoing is.

    `attempts` counts queries that were answered with a record. `order` is what the report called it, no more.
    """

    id: int
    merchant: str
    provider: str
    reference: str
    amount: Decimal
    currency: Currency
    response_code: str
    occurred_at: datetime
    settles_at: datetime
    reported_at: datetime
    cause: TimeoutCause | None = None
    order: str | None = None
    attempts: int = 0
    on_record: bool = False  # the provider has had a record of it at some time
    last_answer: LastAnswer | None = None
    last_asked_at: datetime | None = None
    provider_status: str | None = None
    intent: Intent | None = None  # the latest
    outcome: ReversalOutcome | None = None
    ended_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalAttempt:
    """What was asked, what came back (no more of it than rules have read), and what was decided."""

    asked: Ask
    key: str | None
    answer: Mapping[str, str | None]
    decided: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalDecision:
    """What follows for one reversal; the decision of the order that its payment pays goes with it."""

    before: Reversal
    reversal: Reversal
    row: Claimed
    due: Due | None
    attempt: ReversalAttempt | None = None
    intents: tuple[Intent, ...] = ()
    openings: tuple[CaseOpening, ...] = ()
    event: Event | None = None
    order_id: int | None = None
    order: Decision | None = None
