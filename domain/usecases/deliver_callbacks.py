"""Callbacks: each stream delivers its head, and only a delivered event lets the next go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.model.delivery import Delivery, Head
from domain.model.due_work import Claim, Claimed, Lane, LaneLimits, Work
from domain.model.policy import Cadence
from domain.ports.notifier import DeliveryCalls
from domain.ports.persistence import UnitOfWork
from domain.rules.callbacks import after_try, in_a_wave, is_well
from domain.usecases.drain import Answered

WORKS: Final = (Work.DELIVER,)


@dataclass(slots=True, kw_only=True)
class DeliverCallbacks:
    """Tell merchants' endpoints what happened; `drain` owns the loop."""

    calls: DeliveryCalls
    schedule: Cadence
    lane_limits: LaneLimits
    works: Sequence[Work] = WORKS
    beside: Sequence[Work] = ()
    _claimed: dict[int, tuple[Claimed, Head]] = field(default_factory=dict)

    def limits(self, lane: Lane) -> LaneLimits:  # noqa: ARG002 - every endpoint has the same
        return self.lane_limits

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, tuple[Head, Delivery]]:
        heads = uow.streams.heads([row.subject for row in claim.rows])
        empty = [row for row in claim.rows if row.subject not in heads]
        if empty:
            uow.streams.end(claim, empty)
        return {
            row.subject: (heads[row.subject], _delivery(row, heads[row.subject], uow))
            for row in claim.rows
            if row.subject in heads
        }

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, tuple[Head, Delivery]]]) -> None:  # noqa: ARG002
        for row, (head, delivery) in rows:
            self._claimed[row.subject] = (row, head)
            self.calls.deliver(delivery)

    def under_way(self, lane: Lane) -> int:
        return self.calls.under_way(lane.id)

    def collect(self, timeout: float) -> Sequence[Answered]:
        answered = []
        for delivery, answer in self.calls.collect(timeout):
            known = self._claimed.pop(delivery.stream, None)
            if known is None:
                continue  # begun by a drain that the store let down; its lease runs out by itself
            row, head = known
            good = is_well(answer)
            answered.append(Answered(row=row, subject=head, answer=answer, good=good, retry_after=answer.retry_after))
        return answered

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        heads = in_a_wave((answered.subject, answered.answer) for answered in wave)
        decisions = [
            after_try(answered.row, head, answered.answer, now=uow.now, schedule=self.schedule)
            for answered, head in zip(wave, heads, strict=True)
        ]
        uow.streams.apply(decisions, claim)
        return {}

    def committed(self) -> None:
        """Nobody waits to hear of a delivery."""


def _delivery(row: Claimed, head: Head, uow: UnitOfWork) -> Delivery:
    return Delivery(
        stream=row.subject,
        lane=row.lane,
        event=head.event,
        url=head.url,
        secrets=head.secrets,
        body=head.body,
        at=uow.now,
    )
