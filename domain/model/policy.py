"""Policies: a provider's terms as values. Bootstrap makes them from the providers' file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from domain.model.settlement import SettlementCalendar


@dataclass(frozen=True, slots=True)
class Stage:
    delay: timedelta
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """A plan of inquiries: stages of (delay, how many times), stretched by `jitter` either way."""

    stages: Sequence[Stage]
    jitter: float = 0.0
    max_age: timedelta | None = None
    repeats: bool = False  # the last delay repeats until `max_age`


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecordPolicy:
    """How often, over how long, a provider must say "no record" at a deadline until there is nothing to cancel."""

    answers: int
    over: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPolicy:
    """Everything that the rules need to know of a provider."""

    name: str
    polling: Cadence
    networks: Mapping[str, Cadence] = field(default_factory=dict)
    watch: Cadence
    watch_crypto: Cadence
    retries: Cadence  # of an effect that was refused or is in doubt
    most_attempts: int = 200  # of a reversal: queries that were answered with a record
    last_attempt: timedelta = timedelta(minutes=5)  # so long before settlement is a reversal's last one planned
    confirmations: Mapping[str, int] = field(default_factory=dict)
    no_record: NoRecordPolicy
    unreachable_case_after: timedelta = timedelta(hours=24)
    could_not_ask: timedelta = timedelta(minutes=5)  # the longest wait after a failed call
    cancellation_timeout: timedelta | None = None
    checkout_timeout: timedelta | None = None
    window_fiat: timedelta = timedelta(hours=3)
    window_crypto: timedelta = timedelta(minutes=60)
    merchants: frozenset[str] | None = None  # None: all
    settlement: SettlementCalendar | None = None
