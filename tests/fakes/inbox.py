"""The inbox in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from domain.model.command import Received, RefusedMessage, differing
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Due, LaneFamily, Work
from domain.ports.persistence import Stored, WaitingCommand
from domain.rules.events import message_refused
from tests.fakes.checks import check
from tests.fakes.concluding import conclude
from tests.fakes.due_work import FakeDueWork, FakeLanes
from tests.fakes.outbox import tell
from tests.fakes.rows import InboxRow, RefusedRow, Tables


class FakeInbox:
    def __init__(
        self, tables: Tables, now: datetime, ids: "count[int]", due_work: FakeDueWork, lanes: FakeLanes
    ) -> None:
        self._tables = tables
        self._now = now
        self._ids = ids
        self._due_work = due_work
        self._lanes = lanes

    def keep(self, received: Received) -> bool:
        merchant = received.command.merchant
        of_merchant = (LaneFamily.MERCHANT, merchant)
        lane = next((lane for lane in self._tables.lanes.values() if (lane.family, lane.name) == of_merchant), None)
        named = (merchant, received.command.name, received.key)
        known = any((row.merchant, row.name, row.key) == named for row in self._tables.inbox.values())
        if lane is None or known or merchant not in self._tables.merchants:
            return False
        stored = self._put(received)
        row = self._tables.inbox[stored.id]
        self._tables.inbox[stored.id] = replace(row, state=CommandState.WAITING)
        self._due_work.plan(stored.id, lane.id, Due(work=Work.COMMAND, at=self._now))
        return True

    def put(self, received: Sequence[Received]) -> Sequence[Stored]:
        return [self._put(one) for one in received]

    def wait(self, stored: Mapping[int, Due], *, merchants: Mapping[int, str]) -> None:
        lanes = self._lanes.ensure(LaneFamily.MERCHANT, merchants.values())
        for command, due in stored.items():
            self._due_work.plan(command, lanes[merchants[command]], due)

    def wake(self, orders: Sequence[tuple[str, str]]) -> None:
        for row in self._tables.inbox.values():
            due = self._tables.due.get(row.id)
            if row.state == CommandState.WAITING and (row.merchant, row.order) in orders and due is not None:
                at = self._now if due.lease is None else due.due_at
                self._tables.due[row.id] = replace(due, generation=due.generation + 1, due_at=at)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        rows = [self._tables.inbox[key] for key in ids if key in self._tables.inbox]
        return {
            row.id: WaitingCommand(
                id=row.id,
                merchant=row.merchant,
                order=row.order,
                name=row.name,
                body=row.body,
                actor=row.actor,
                trace=row.trace,
                received_at=row.received_at,
            )
            for row in rows
            if row.state == CommandState.WAITING and row.order is not None
        }

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        return self.get_many(ids)

    def conclude(self, outcomes: Sequence[CommandOutcome]) -> None:
        conclude(self._tables, self._ids, outcomes, now=self._now)

    def forget(self, ids: Sequence[int]) -> None:
        for key in ids:
            self._tables.inbox.pop(key, None)

    def refuse(self, messages: Sequence[RefusedMessage], *, announce: bool = True) -> None:
        refused = self._tables.refused
        for digest, message in {_digest(message): message for message in messages}.items():
            if digest in refused:
                refused[digest] = replace(refused[digest], times=refused[digest].times + 1)
                continue
            errors = [{"field": error.field, "reason": error.reason} for error in message.errors]
            refused[digest] = RefusedRow(
                name=message.name,
                merchant=message.merchant,
                order=message.order,
                body=message.body,
                errors=errors,
                channel=message.channel,
                times=1,
                refused_at=self._now,
            )
            if announce and message.merchant in self._tables.merchants:
                event = message_refused(
                    message.merchant or "",
                    name=message.name,
                    order=message.order,
                    errors=errors,
                    received_at=self._now,
                )
                tell(self._tables, self._ids, f"evt_refused_{next(self._ids)}", event, now=self._now)

    def _put(self, received: Received) -> Stored:
        command = received.command
        check("fk_inbox_merchant", holds=command.merchant in self._tables.merchants)
        named = (command.merchant, command.name, received.key)
        for row in list(self._tables.inbox.values()):
            if (row.merchant, row.name, row.key) == named and row.state == CommandState.REFUSED:
                del self._tables.inbox[row.id]
            elif (row.merchant, row.name, row.key) == named:
                same = row.content == received.content
                differs = () if same else differing(row.body, received.body)
                return Stored(id=row.id, repeat=same, conflict=not same, differs=differs, state=CommandState(row.state))
        fresh = InboxRow(
            id=next(self._ids),
            merchant=command.merchant,
            name=command.name,
            key=received.key,
            content=received.content,
            body=received.body,
            order=command.order,
            state=CommandState.ACCEPTED,
            reason=None,
            actor=received.actor,
            trace=received.trace,
            received_at=self._now,
        )
        self._tables.inbox[fresh.id] = fresh
        return Stored(id=fresh.id)


def _digest(message: RefusedMessage) -> str:
    return repr((message.name, message.merchant, message.body, message.errors))
