"""The settings, from the environment alone: read once at start, and refused by name where they cannot be used."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from config.cron import NEVER, Cron
from config.errors import Location, UnusableSettings, on_one_line, unusable
from config.mail import MailServer, checked_address
from config.urls import HIDDEN, Address, checked_url, is_host, without_secrets

__all__ = ["Address", "Settings", "UnusableSettings", "describe", "load"]

PREFIX: Final = "TRUEUP_"
_FILE: Final = "_FILE"

BROKER_SCHEMES: Final = ("redis", "rediss", "amqp", "amqps", "redis+socket")
_LONGEST_DRAIN: Final = 15.0


def _database(url: str) -> str:
    spelled_out = f"postgresql{url.removeprefix('postgres')}" if url.startswith("postgres:") else url
    return checked_url(spelled_out, ("postgresql",), without_host=("postgresql",))


def _broker(url: str) -> str:
    return checked_url(url, BROKER_SCHEMES, without_host=("redis+socket",))


def _smtp(url: str) -> str:
    MailServer.parse(url)
    return url


def _key(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("should be printable ASCII without blanks, for it travels in a header")
    return text


def _folder(path: Path) -> Path:
    absolute = path.expanduser().absolute()
    if absolute.exists() and not absolute.is_dir():
        raise ValueError("is there already, and is not a folder")
    return absolute


def _file(path: Path) -> Path:
    absolute = path.expanduser().absolute()
    if not absolute.is_file():
        raise ValueError("no such file")
    return absolute


def _cron(text: str) -> str:
    return text if text == NEVER else Cron.parse(text).text


def _address(value: object) -> Address:
    return value if isinstance(value, Address) else Address.parse(str(value))


def _secret(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda secret: SecretStr(check(secret.get_secret_value())))


def _drain_within(settings: dict[str, float]) -> float:
    return min(_LONGEST_DRAIN, settings["lease_seconds"] / 2)


Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
MailAddress = Annotated[str, AfterValidator(checked_address)]
ListenAddress = Annotated[Address, NoDecode, BeforeValidator(_address)]


class Settings(BaseSettings):
    """What is in force. `operator.md` says what each means; those below the line there are ours."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    database_url: Annotated[SecretStr, _secret(_database)] | None = None
    broker_url: Annotated[SecretStr, _secret(_broker)] | None = None
    home: Annotated[Path, AfterValidator(_folder)] = Path(".trueup")
    providers: Annotated[Path, AfterValidator(_file)] | None = None
    smtp_url: Annotated[SecretStr, _secret(_smtp)] | None = None
    mail_from: MailAddress | None = None
    operator_email: MailAddress | None = None
    admin_key: Annotated[SecretStr, _secret(_key)] | None = None
    http_address: ListenAddress = Address("127.0.0.1", 8080)
    http_requests_per_second: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 500.0
    flower_address: ListenAddress = Address("127.0.0.1", 5555)
    sweep_seconds: Seconds = 1.0
    lease_seconds: Annotated[Seconds, Field(le=600)] = 30.0
    sanity_sweep: Annotated[str, AfterValidator(_cron)] = "17 3 * * *"
    callback_allow_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    retention_days: Annotated[int, Field(ge=30, le=36_500)] | None = None

    # How long one drain claims and asks. Left out, it follows the lease: who shortens that needs no second setting.
    drain_seconds: Seconds = Field(default_factory=_drain_within)
    wave_seconds: Seconds = 0.25
    wave_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    callback_seconds: Annotated[Seconds, Field(le=120)] = 15.0
    mail_seconds: Annotated[Seconds, Field(le=120)] = 30.0
    intake_queue_type: Literal["default", "quorum"] = "default"
    worker_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "console"] = "console"

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all five by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what `load` hands over and nothing else: no `.env` file, no second look at the environment."""
        return (init_settings,)

    @field_validator("callback_allow_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        listed = _json_list(value) if value.lstrip().startswith("[") else value.split(",")
        hosts = tuple(host.strip() for host in listed)
        if not all(is_host(host) for host in hosts):
            raise ValueError("should be names or addresses of hosts, without scheme or port, separated by commas")
        return hosts

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def notification_seconds(self) -> float:
        """How long one try to tell somebody something may take, by callback or by mail."""
        return max(self.callback_seconds, self.mail_seconds)

    @model_validator(mode="after")
    def _drain_ends_before_its_lease(self) -> Self:
        # What was asked last is saved one wave later; a second wave is the margin.
        needed = self.drain_seconds + 2 * self.wave_seconds
        if needed > self.lease_seconds:
            raise ValueError(
                f"{PREFIX}LEASE_SECONDS: {self.lease_seconds:g} is too short: a drain asks for "
                f"{PREFIX}DRAIN_SECONDS={self.drain_seconds:g} and saves within two waves of "
                f"{PREFIX}WAVE_SECONDS={self.wave_seconds:g}, which needs {needed:g}"
            )
        return self


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that the environment asks for.

    Raises:
        UnusableSettings: on one line, the variable and the reason.
    """
    ours = {name: text for name, text in (os.environ if environ is None else environ).items() if _is_ours(name)}
    known = {f"{PREFIX}{field}".upper() for field in Settings.model_fields}
    values, origins = _read(ours, known)
    try:
        settings = Settings(**_Environment(values)())
    except ValidationError as error:
        raise unusable(error, lambda at: _variable(at, origins)) from None
    settings._origins = origins  # noqa: SLF001 - its own module
    return settings


def describe(settings: Settings, *, secrets: bool = False) -> list[tuple[str, str, str]]:
    """Return (variable, value, where it came from) for each setting, with secrets hidden unless they are asked for."""
    return [
        (name, _shown(getattr(settings, field), secrets=secrets), settings._origins.get(name, "default"))  # noqa: SLF001 - its own module
        for field in Settings.model_fields
        for name in [f"{PREFIX}{field}".upper()]
    ]


class _Environment(EnvSettingsSource):
    """pydantic-settings' own reading of variables, of a given mapping."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): text for name, text in self._values.items()}


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _read(ours: Mapping[str, str], known: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return {variable: text} with files read, and {variable: origin}."""
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name in sorted(ours):
        setting = name.removesuffix(_FILE)
        if setting not in known:
            raise UnusableSettings(f"{on_one_line(name)}: is not a known setting")
        if setting in values:
            raise UnusableSettings(f"{setting}: is set, and so is {name}: leave one out")
        values[setting] = ours[name] if setting == name else _content(name, Path(ours[name]))
        origins[setting] = "environment" if setting == name else f"file {on_one_line(ours[name])}"
        if not values[setting].strip():
            raise UnusableSettings(f"{name}: is empty: leave it out where the default is meant")
    return values, origins


def _content(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text in UTF-8"
        raise UnusableSettings(f"{name}: cannot be read: {on_one_line(reason or str(error))}") from None


def _variable(at: Location, origins: Mapping[str, str]) -> str:
    if not at:
        return ""
    name = f"{PREFIX}{at[0]}".upper()
    return f"{name}{_FILE}" if origins.get(name, "").startswith("file ") else name


def _json_list(text: str) -> list[str]:
    try:
        listed = json.loads(text)
    except ValueError:
        raise ValueError("is not a JSON list") from None
    if not all(isinstance(one, str) for one in listed):
        raise ValueError("should be a JSON list of strings")
    return list(listed)


def _shown(value: object, *, secrets: bool) -> str:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        if secrets:
            return text
        return without_secrets(text) if "://" in text else HIDDEN
    if isinstance(value, tuple) and not isinstance(value, Address):
        return ",".join(value)
    return "" if value is None else str(value)
