"""A lane in shadow: asked as ever, decided and logged, and nothing of it done."""

from datetime import datetime, timedelta
from typing import Final

from domain.model.decision import Decision
from domain.model.due_work import Claimed, Due
from domain.model.reversal import ReversalDecision

# What is decided in shadow does not move its order, so it would be decided again at once.
PAUSE: Final = timedelta(minutes=1)


def shadow_of(decision: Decision, row: Claimed, now: datetime) -> Decision:
    """Return the decision with nothing left of it but that the row is looked at again, as what it was."""
    due = _again(decision.due, row, now)
    return Decision(before=decision.before, order=decision.before, actor=decision.actor, due=due, row=row)


def shadow_of_reversal(decision: ReversalDecision, now: datetime) -> ReversalDecision:
    """Return a reversal's decision with nothing left of it but that it is looked at again."""
    before, row = decision.before, decision.row
    return ReversalDecision(before=before, reversal=before, row=row, due=_again(decision.due, row, now))


def _again(due: Due | None, row: Claimed, now: datetime) -> Due:
    planned = now + PAUSE if due is None else max(due.at, now + PAUSE)
    return Due(work=row.work, at=planned, step=row.step)
