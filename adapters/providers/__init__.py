"""Providers: one module for each, with its translation table on top, and one row here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from adapters.providers.calls import HttpProviderCalls, Translator
from adapters.providers.rest import RestProvider


class ProviderFactory(Protocol):
    def __call__(
        self, *, name: str, base_url: str, token: str | None, timeout_seconds: float, bulk: bool
    ) -> Translator:
        """Return what speaks to the provider of this name."""


ADAPTERS: Final[Mapping[str, ProviderFactory]] = MappingProxyType({"rest": RestProvider})

__all__ = ["ADAPTERS", "HttpProviderCalls", "ProviderFactory", "Translator"]
