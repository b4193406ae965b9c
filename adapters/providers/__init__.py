"""Providers: one module for each, with its translation table on top, and one row here."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from adapters.providers.calls import HttpProviderCalls, Translator
from adapters.providers.rest import RestProvider
from config.errors import UnusableSettings
from config.providers import ProviderSettings, load_providers


class ProviderFactory(Protocol):
    def __call__(
        self, *, name: str, base_url: str, token: str | None, timeout_seconds: float, bulk: bool
    ) -> Translator:
        """Return what speaks to the provider of this name."""


ADAPTERS: Final[Mapping[str, ProviderFactory]] = MappingProxyType({"rest": RestProvider})


def providers_of(path: Path | None) -> Mapping[str, ProviderSettings]:
    """Return {name: provider} of the providers' file, each with an adapter that there is.

    Raises:
        UnusableSettings: on one line, the field's place in the file and the reason.
    """
    providers = load_providers(path)
    for name, provider in providers.items():
        if provider.adapter not in ADAPTERS:
            reason = f"no adapter is called {provider.adapter!r}; there are: {', '.join(sorted(ADAPTERS))}"
            raise UnusableSettings(f"providers.{name}.adapter: {reason}")
    return providers


__all__ = ["ADAPTERS", "HttpProviderCalls", "ProviderFactory", "Translator", "providers_of"]
