"""The application of this process: opened after the fork, closed before the end, and reached by every task."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from config.settings import Settings, load
from domain.ports.persistence import StoreUnavailable

__all__ = ["Application", "Process", "StoreUnavailable", "application"]


class Application(Protocol):
    """What the tasks call; `adapters.bootstrap` makes it."""

    def drain(self, queue: str, *, budget: float | None = None) -> int:
        """Do what is due of this queue's kinds of work; return how many rows were claimed."""

    def intake(self, name: str, args: Sequence[object], kwargs: Mapping[str, Any], *, trace: str) -> None:
        """Keep what a message says: applied, waiting, or refused with every reason.

        Raises:
            StoreUnavailable: nothing was kept, and the same call may be made again.
        """

    def refuse_raw(self, name: str, body: bytes, why: str) -> None:
        """Keep a message that could not be read.

        Raises:
            StoreUnavailable: nothing was kept, and the same call may be made again.
        """

    def close(self) -> None: ...


def _open(settings: Settings) -> Application:
    # Here and not above: beat and whoever only sends never need the application.
    from adapters.bootstrap import open_application  # noqa: PLC0415

    opened: Application = open_application(settings)
    return opened


class Process:
    """The one application of a process. Nothing is open before the fork, so no socket is ever shared."""

    def __init__(self, opener: Callable[[Settings], Application]) -> None:
        self.opener = opener
        self._application: Application | None = None

    def open(self) -> Application:
        """Return the application; where opening it failed when the process began, try again."""
        if self._application is None:
            self._application = self.opener(load())
        return self._application

    def close(self) -> None:
        application, self._application = self._application, None
        if application is not None:
            application.close()


PROCESS: Final = Process(_open)


def application() -> Application:
    return PROCESS.open()
