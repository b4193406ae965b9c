"""Mails: each is tried until its server takes it, or until it is given up with a case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from domain.model.due_work import Claim, Claimed, Lane, LaneLimits, Work
from domain.model.mail import Mail, MailEnd
from domain.model.policy import Cadence
from domain.ports.notifier import MailCalls
from domain.ports.persistence import UnitOfWork
from domain.rules.mails import SCHEDULE, after_try
from domain.usecases.drain import Answered

WORKS: Final = (Work.MAIL,)

# What a try says of the mail server: one that refuses a mail is well, and one that was not asked says nothing.
_GOOD: Final[Mapping[MailEnd, bool]] = MappingProxyType(
    {MailEnd.ACCEPTED: True, MailEnd.LATER: True, MailEnd.REFUSED: True, MailEnd.UNREACHED: False}
)


@dataclass(slots=True, kw_only=True)
class SendMails:
    """Tell people what happened; `drain` owns the loop."""

    calls: MailCalls
    lane_limits: LaneLimits
    schedule: Cadence = SCHEDULE
    works: Sequence[Work] = WORKS
    beside: Sequence[Work] = ()
    _claimed: dict[int, Claimed] = field(default_factory=dict)

    def limits(self, lane: Lane) -> LaneLimits:  # noqa: ARG002 - there is one mail server
        return self.lane_limits

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, Mail]:
        mails = uow.mails.get_many([row.subject for row in claim.rows])
        done = [row for row in claim.rows if row.subject not in mails]
        if done:
            uow.mails.end(claim, done)
        return mails

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, Mail]]) -> None:  # noqa: ARG002
        for row, mail in rows:
            self._claimed[row.subject] = row
            self.calls.send(mail)

    def under_way(self, lane: Lane) -> int:  # noqa: ARG002
        return self.calls.under_way()

    def collect(self, timeout: float) -> Sequence[Answered]:
        # What has no row was begun by a drain that the store let down; its lease runs out by itself.
        return [
            Answered(row=row, subject=mail, answer=answer, good=_GOOD.get(answer.end))
            for mail, answer in self.calls.collect(timeout)
            if (row := self._claimed.pop(mail.id, None)) is not None
        ]

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        decisions = [
            after_try(answered.row, answered.subject, answered.answer, now=uow.now, schedule=self.schedule)
            for answered in wave
        ]
        uow.mails.apply(decisions, claim)
        return {}

    def committed(self) -> None:
        """Nobody waits to hear of a mail."""
