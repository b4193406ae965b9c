"""The providers' file: one table for each provider, checked field by field before anything is asked of one."""

import re
import tomllib
from collections.abc import Mapping
from datetime import time
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple, TypeVar
from zoneinfo import available_timezones

import holidays
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from config.errors import Location, UnusableSettings, on_one_line, unusable
from config.urls import checked_url

# A provider that takes longer would let a task outlive RabbitMQ's patience.
_LONGEST_CALL: Final = 600
# Ten years: beyond it is a slip, and further on there is no date.
_LONGEST_WAIT: Final = 315_360_000

_T = TypeVar("_T")


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone of the IANA database")
    return name


@cache
def _calendars() -> frozenset[str]:
    return frozenset(holidays.list_supported_countries()) | frozenset(holidays.list_supported_financial())


def _calendar(name: str) -> str:
    if name not in _calendars():
        raise ValueError("is neither a country nor a market that `holidays` knows")
    return name


def _clock_time(value: object) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('should be a time of day, like "23:00"')
    return time.fromisoformat(value)


def _not_empty(items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise ValueError("should have at least 1 item")
    return items


def _http(url: str) -> str:
    return checked_url(url, ("https", "http")).rstrip("/")


# TOML has types of its own, so "60" and true are slips, not numbers.
Seconds = Annotated[float, Strict(), Field(gt=0, le=_LONGEST_WAIT, allow_inf_nan=False)]
Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,16}$")]
Digits = Annotated[int, Strict(), Field(ge=0, le=18)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class Stage(NamedTuple):
    """So many inquiries, each this long after the one before."""

    delay_seconds: Seconds
    times: Count


# Not `min_length`, which would also count the stages that were refused, and speak of them twice.
Stages = Annotated[tuple[Stage, ...], AfterValidator(_not_empty)]

_STAGES: Final = tuple(
    Stage(*stage) for stage in [(10, 3), (30, 4), (60, 5), (300, 6), (900, 8), (3600, 24), (21600, 28)]
)
_REVERSALS: Final = tuple(Stage(*stage) for stage in [(30, 2), (60, 5), (300, 10), (1800, 20), (3600, 100)])
_BITCOIN: Final = (Stage(60, 10), Stage(300, 24))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CredentialsSettings(_Table):
    """The provider's token, given or read from a file beside the providers' file."""

    token: SecretStr

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, table: object, info: ValidationInfo) -> object:
        return _with_secret(table, "token", info.context)


class PaymentWindowSettings(_Table):
    """How long a customer has to pay where no cancellation timeout is set."""

    crypto: Seconds = 3600
    fiat: Seconds = 10800


class NoRecordSettings(_Table):
    """How many answers "no record" in a row, over how long, count as nothing to cancel."""

    answers: Count = 3
    over_seconds: Annotated[float, Strict(), Field(ge=0, le=_LONGEST_WAIT, allow_inf_nan=False)] = 900


class BreakerSettings(_Table):
    """After how many failures in a row the provider is left alone, and for how long."""

    failures: Count = 5
    open_seconds: Seconds = 30


class CadenceSettings(_Table):
    """When an order of the provider is polled, and watched after its end."""

    stages: Stages = _STAGES
    max_age_seconds: Seconds = 604800
    jitter: Annotated[float, Strict(), Field(ge=0, le=0.9)] = 0.2
    watch: Stages = (Stage(3600, 24), Stage(86400, 6))
    watch_crypto: Stages = (Stage(600, 144),)
    networks: Mapping[Name, Stages] = Field(default_factory=lambda: {"bitcoin": _BITCOIN})
    confirmations: Mapping[Name, Annotated[int, Strict(), Field(ge=0, le=10_000)]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _own_stages_are_meant_for_every_network(cls, table: object) -> object:
        if isinstance(table, dict) and "stages" in table and "networks" not in table:
            return {**table, "networks": {}}
        return table


class ReversalSettings(_Table):
    """When a timed-out transaction is taken up again; attempts are answered queries, the last kept for the end."""

    stages: Stages = _REVERSALS
    max_attempts: Annotated[Count, Field(ge=2)] = 200


class SettlementSettings(_Table):
    """When the provider settles: at the cut-off, `days` working days after a transaction's day."""

    time_zone: Annotated[NonEmpty, AfterValidator(_time_zone)]
    cut_off: Annotated[time, BeforeValidator(_clock_time)]
    days: Annotated[int, Strict(), Field(ge=0, le=30)] = 1
    calendar: Annotated[NonEmpty, AfterValidator(_calendar)] | None = None


class ProviderSettings(_Table):
    """One provider. `merchants` is None where all may name payments here."""

    adapter: Name = "rest"
    base_url: Annotated[str, AfterValidator(_http)]
    credentials: CredentialsSettings | None = None
    events_secret: SecretStr | None = None
    timeout_seconds: Annotated[Seconds, Field(le=_LONGEST_CALL)] = 60
    requests_per_second: Annotated[float, Strict(), Field(gt=0, le=100_000, allow_inf_nan=False)] = 50
    concurrency: Annotated[Count, Field(le=1000)] = 32
    bulk: Annotated[bool, Strict()] = True
    merchants: Annotated[tuple[NonEmpty, ...], AfterValidator(_not_empty)] | None = None
    cancellation_timeout: Seconds | None = None
    checkout_timeout: Seconds | None = None
    payment_window: PaymentWindowSettings = PaymentWindowSettings()
    no_record: NoRecordSettings = NoRecordSettings()
    currencies: Mapping[CurrencyCode, Digits] = Field(default_factory=dict)
    breaker: BreakerSettings = BreakerSettings()
    cadence: CadenceSettings = CadenceSettings()
    reversals: ReversalSettings = ReversalSettings()
    settlement: SettlementSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, table: object, info: ValidationInfo) -> object:
        return _with_secret(table, "events_secret", info.context)


class _File(_Table):
    providers: Annotated[Mapping[Name, ProviderSettings], Field(min_length=1)]


def load_providers(path: Path | None) -> Mapping[str, ProviderSettings]:
    """Return {name: provider} of the file, or nothing where no file is set.

    Raises:
        UnusableSettings: on one line, the field's place in the file and the reason.
    """
    if path is None:
        return MappingProxyType({})
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or f"is not TOML: {error}"
        raise UnusableSettings(f"TRUEUP_PROVIDERS: {on_one_line(str(path))}: {on_one_line(reason)}") from None
    if not tables.get("providers"):
        raise UnusableSettings(f"TRUEUP_PROVIDERS: {on_one_line(str(path))}: holds no [providers.NAME] table")
    try:
        file = TypeAdapter(_File).validate_python(tables, context=path.absolute().parent)
    except ValidationError as error:
        raise unusable(error, _place) from None
    return MappingProxyType(dict(file.providers))


def longest_call_seconds(providers: Mapping[str, ProviderSettings], *, notification_seconds: float) -> float:
    """Return the longest time that a single call to a provider or an endpoint may take."""
    return max([notification_seconds, *(provider.timeout_seconds for provider in providers.values())])


def _with_secret(table: object, key: str, folder: Path | None) -> object:
    """Return the table with `key` read from `key_file`, which lies beside the providers' file."""
    if not isinstance(table, dict):
        return table
    found = dict(table)
    file = found.pop(f"{key}_file", None)
    if file is not None:
        if key in found:
            raise ValueError(f".{key}: is set, and so is {key}_file: leave one out")
        found[key] = _content(f".{key}_file", (folder or Path()), file)
    text = found.get(key)
    if isinstance(text, str) and not (text and text.isascii() and text.isprintable()):
        raise ValueError(f".{key}: should be printable ASCII on one line, and not empty")
    return found


def _content(name: str, folder: Path, file: object) -> str:
    if not isinstance(file, str):
        raise ValueError(f"{name}: should be the path of a file")  # noqa: TRY004 - pydantic reports ValueError
    try:
        return (folder / file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text in UTF-8"
        raise ValueError(f"{name}: cannot be read: {reason}") from None


def _place(at: Location) -> str:
    """Return `providers.acme.cadence.stages[2]` for pydantic's path to it."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in at if part != "[key]"]
    return "".join(parts).removeprefix(".")
