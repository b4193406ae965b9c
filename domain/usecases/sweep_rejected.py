"""The scheduled sweep: all that is pending is tried again, whatever it waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.model.rejection import RetriggerOrigin
from domain.ports.persistence import UnitOfWork, UnitOfWorkFactory
from domain.usecases.mend_rejected import open_retrigger
from domain.usecases.receive_commands import again

_ACTOR: Final = "system:sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRejected:
    """Open a retrigger for each merchant where the last planned time has passed; asking more often changes nothing."""

    unit_of_work: UnitOfWorkFactory
    latest: Callable[[datetime], datetime]  # now -> when it was planned last

    def __call__(self) -> int:
        """Return how many retriggers were opened."""
        return again(self.unit_of_work, self._sweep)

    def _sweep(self, uow: UnitOfWork) -> int:
        merchants = uow.retriggers.begin_sweep(self.latest(uow.now))
        for merchant in merchants:
            open_retrigger(uow, merchant, None, origin=RetriggerOrigin.SWEEP, actor=_ACTOR)
        return len(merchants)
