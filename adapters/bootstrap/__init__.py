"""The one place where ports meet adapters."""

from adapters.bootstrap.application import Application, Told, open_application, server_urls
from adapters.providers import providers_of
from domain.ports.persistence import Conflict, StoreUnavailable

__all__ = ["Application", "Conflict", "StoreUnavailable", "Told", "open_application", "providers_of", "server_urls"]
