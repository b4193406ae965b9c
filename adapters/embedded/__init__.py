"""A real PostgreSQL and a real Valkey for the first look, all of it inside one home directory."""

from adapters.embedded.launching import EmbeddedServersUnavailable
from adapters.embedded.servers import Servers, ensure, status, stop

__all__ = ["EmbeddedServersUnavailable", "Servers", "ensure", "status", "stop"]
