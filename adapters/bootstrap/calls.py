"""Whom this process calls: providers, merchants' endpoints, the mail server. And how much of it at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from adapters.notifications.callback import CallbackCalls
from adapters.notifications.email import KeptCalls, SmtpCalls
from adapters.providers import ADAPTERS, HttpProviderCalls
from config.mail import MailServer
from config.providers import ProviderSettings
from config.settings import Settings
from domain.model.due_work import LaneLimits

# One endpoint gets this much of a worker at once, so that a slow one never has it all.
_ENDPOINT_CONCURRENCY: Final = 32
_ENDPOINT_RATE: Final = 500.0

# Mails are few, and servers count them: a few connections in each worker, and so many over all of them.
_MAIL_CONNECTIONS: Final = 4
_MAIL_RATE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Calls:
    """Clients of the outside world. None connects before its first call."""

    providers: HttpProviderCalls
    callbacks: CallbackCalls
    mails: SmtpCalls | KeptCalls

    def close(self) -> None:
        self.providers.close()
        self.callbacks.close()
        self.mails.close()


def calls_of(settings: Settings, providers: Mapping[str, ProviderSettings]) -> Calls:
    return Calls(
        HttpProviderCalls({name: _translator(name, provider) for name, provider in providers.items()}),
        CallbackCalls(allow_hosts=frozenset(settings.callback_allow_hosts), timeout_seconds=settings.callback_seconds),
        _mail_calls(settings),
    )


def endpoint_limits(settings: Settings) -> LaneLimits:
    return LaneLimits(
        requests_per_second=_ENDPOINT_RATE,
        concurrency=_ENDPOINT_CONCURRENCY,
        call_timeout=timedelta(seconds=settings.callback_seconds),
    )


def mail_limits(settings: Settings) -> LaneLimits:
    return LaneLimits(
        requests_per_second=_MAIL_RATE,
        concurrency=_MAIL_CONNECTIONS,
        call_timeout=timedelta(seconds=settings.mail_seconds),
    )


def _translator(name: str, settings: ProviderSettings) -> Any:
    credentials = settings.credentials
    return ADAPTERS[settings.adapter](
        name=name,
        base_url=settings.base_url,
        token=None if credentials is None else credentials.token.get_secret_value(),
        timeout_seconds=settings.timeout_seconds,
        bulk=settings.bulk,
    )


def _mail_calls(settings: Settings) -> SmtpCalls | KeptCalls:
    if settings.smtp_url is None:
        return KeptCalls()
    return SmtpCalls(
        MailServer.parse(settings.smtp_url.get_secret_value()),
        sender=settings.mail_from,
        operator=settings.operator_email,
        timeout_seconds=settings.mail_seconds,
        connections=_MAIL_CONNECTIONS,
    )
