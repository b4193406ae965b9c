"""What we need of the broker: to say that something is due. Losing it costs a little time and nothing else."""

from typing import Protocol

from domain.model.due_work import Work


class Hints(Protocol):
    def hint(self, work: Work) -> None:
        """Say that work of this kind is due now. It never raises, and few are ever outstanding."""
