"""What became of commands, in memory."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.case import CaseKind
from domain.model.decision import CommandOutcome, CommandState
from domain.rules.events import message_refused
from tests.fakes.outbox import close_case, tell
from tests.fakes.rows import RefusedRow, Tables


def conclude(tables: Tables, ids: "count[int]", outcomes: Sequence[CommandOutcome], *, now: datetime) -> None:
    """Write what became of commands; one that is refused after it was accepted is announced, and listed as refused."""
    for outcome in outcomes:
        row = tables.inbox.get(outcome.command)
        if row is None:
            continue
        tables.inbox[row.id] = replace(row, state=outcome.state, reason=outcome.reason)
        if outcome.state in {CommandState.APPLIED, CommandState.REFUSED}:
            note = f"the command is {outcome.state}"
            close_case(tables, ids, subject=row.id, kind=CaseKind.STUCK, note=note, by="system:inbox", now=now)
        if outcome.state is CommandState.REFUSED:
            errors = [{"field": outcome.field, "reason": outcome.reason or "refused"}]
            event = message_refused(
                row.merchant, name=row.name, order=row.order, errors=errors, received_at=row.received_at
            )
            tell(tables, ids, f"evt_command_{row.id}_refused", event, now=now)
            tables.refused[f"command {row.id}"] = RefusedRow(
                name=row.name,
                merchant=row.merchant,
                order=row.order,
                body=json.dumps(row.body, ensure_ascii=False),
                errors=errors,
                channel="inbox",
                times=1,
                command=row.id,
                refused_at=now,
            )
