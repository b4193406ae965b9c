"""Steps that ask nobody: what is begun is ready, and the drain only decides and saves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.model.due_work import Claimed, Lane, Work
from domain.usecases.drain import Answered


@dataclass(slots=True, kw_only=True)
class AskingNobody:
    """The part of a `Step` in which others wait for an answer from outside."""

    beside: Sequence[Work] = ()
    _ready: list[Answered] = field(default_factory=list)

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, Any]]) -> None:  # noqa: ARG002
        self._ready += [Answered(row=row, subject=subject, answer=None, good=None) for row, subject in rows]

    def under_way(self, lane: Lane) -> int:  # noqa: ARG002
        return 0

    def collect(self, timeout: float) -> Sequence[Answered]:  # noqa: ARG002 - nothing is waited for
        ready, self._ready = self._ready, []
        return ready
