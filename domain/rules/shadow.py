"""A lane in shadow: asked as ever, decided and logged, and nothing of it done."""

from datetime import datetime, timedelta
from typing import Final

from domain.model.decision import Decision
from domain.model.due_work import Claimed, Due

# What is decided in shadow does not move its order, so it would be decided again at once.
PAUSE: Final = timedelta(minutes=1)


def shadow_of(decision: Decision, row: Claimed, now: datetime) -> Decision:
    """Return the decision with nothing left of it but that the row is looked at again, as what it was."""
    planned = now + PAUSE if decision.due is None else max(decision.due.at, now + PAUSE)
    due = Due(work=row.work, at=planned, step=row.step)
    return Decision(before=decision.before, order=decision.before, actor=decision.actor, due=due, row=row)
