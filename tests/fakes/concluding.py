"""What became of commands, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.case import CaseKind
from domain.model.decision import CommandOutcome, CommandState
from domain.rules.events import message_refused
from tests.fakes.outbox import close_case, tell
from tests.fakes.rows import Tables


def conclude(tables: Tables, ids: "count[int]", outcomes: Sequence[CommandOutcome], *, now: datetime) -> None:
    """Write what became of commands; one that is refused after it was accepted is announced."""
    for outcome in outcomes:
        row = tables.inbox.get(outcome.command)
        if row is None:
            continue
        tables.inbox[row.id] = replace(row, state=outcome.state, reason=outcome.reason)
        if outcome.state in {CommandState.APPLIED, CommandState.REFUSED}:
            note = f"the command is {outcome.state}"
            close_case(tables, ids, subject=row.id, kind=CaseKind.STUCK, note=note, by="system:inbox", now=now)
        if outcome.state is CommandState.REFUSED:
            event = message_refused(
                row.merchant,
                name=row.name,
                order=row.order,
                errors=[{"field": "order", "reason": outcome.reason or "refused"}],
                received_at=row.received_at,
            )
            tell(tables, ids, f"evt_command_{row.id}_refused", event, now=now)
