"""What a person's action becomes: a command of the inbox, as everybody else's."""

import getpass
import secrets
from collections.abc import Mapping, Sequence

from adapters.cli.servers import reach
from config.settings import load
from domain.model.command import FieldError


def actor() -> str:
    """Name who is at the command line; it stands in the history."""
    return f"operator:{getpass.getuser()}"


def trace() -> str:
    """Name what is done by one command."""
    return secrets.token_hex(8)


def tell(name: str, fields: Mapping[str, object]) -> Sequence[FieldError]:
    """Give a command to the inbox; return what is wrong with it, and nothing if it was carried out."""
    # Opened late: no other command here needs the providers and their transport.
    from adapters.bootstrap import open_application  # noqa: PLC0415

    with reach(load()) as reached:
        application = open_application(reached.settings, role="trueup-cli")
        try:
            # A key of its own: asking for the same a second time is no repeat.
            own = trace()
            [told] = application.tell(name, [fields], trace=own, channel="cli", actor=actor(), key=f"cli:{own}")
            return told.errors
        finally:
            application.close()
