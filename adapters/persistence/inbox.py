"""The inbox: commands kept before they are acknowledged, and input that was not accepted."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases, outbox
from adapters.persistence.columns import Columns, run, to_json
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.lanes import SqlLanes
from domain.model.case import CaseKind
from domain.model.command import Received, RefusedMessage, differing
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Due, LaneFamily
from domain.ports.persistence import Stored, WaitingCommand
from domain.rules.events import message_refused

ACTOR: Final = "system:inbox"
_ENDS: Final = frozenset({CommandState.APPLIED, CommandState.REFUSED})

_PUT: Final = Columns(
    "c",
    merchant="text",
    name="text",
    key="text",
    content="text",
    body="jsonb",
    reference="text",
    actor="text",
    trace="text",
)
# A command that was refused does not stand in the way of the next one under its key: it may be right by now.
_INSERT: Final = f"""
INSERT INTO inbox AS i (merchant, name, key, content, body, "order", state, actor, trace, received_at)
SELECT c.merchant, c.name, c.key, c.content, c.body::jsonb, c.reference, 'accepted', c.actor, c.trace, %(now)s
FROM {_PUT.table}
ON CONFLICT (merchant, name, key) DO UPDATE SET id = excluded.id, content = excluded.content, body = excluded.body,
    state = excluded.state, reason = NULL, actor = excluded.actor, trace = excluded.trace,
    received_at = excluded.received_at
    WHERE i.state = 'refused'
RETURNING i.id
"""
_KEYS: Final = Columns("c", merchant="text", name="text", key="text")
_KNOWN: Final = f"""
SELECT i.id, i.merchant, i.name, i.key, i.content, i.state FROM {_KEYS.table}
JOIN inbox i ON i.merchant = c.merchant AND i.name = c.name AND i.key = c.key
"""
_BODIES: Final = "SELECT id, body FROM inbox WHERE id = ANY(%(ids)s::bigint[])"
_OUTCOMES: Final = Columns("c", id="bigint", state="text", reason="text")
_CONCLUDE: Final = f"""
UPDATE inbox i SET state = c.state, reason = c.reason FROM {_OUTCOMES.table} WHERE i.id = c.id
RETURNING i.id, i.merchant, i.name, i."order", i.received_at
"""
# Where everything that was refused is found, whether it was kept first or not. However it came, it is from the inbox.
_REFUSALS: Final = Columns("c", id="bigint", field="text", reason="text")
_LIST_REFUSED: Final = f"""
INSERT INTO refused_messages (digest, command, name, merchant, "order", body, errors, channel, received_at, refused_at)
SELECT concat('command ', i.id), i.id, i.name, i.merchant, i."order", i.body::text,
       jsonb_build_array(jsonb_build_object('field', c.field, 'reason', c.reason)), 'inbox', i.received_at, %(now)s
FROM {_REFUSALS.table} JOIN inbox i ON i.id = c.id ORDER BY c.id
ON CONFLICT (digest) DO NOTHING
"""
_WAITING: Final = """
SELECT id, merchant, "order", name, body, actor, trace, received_at FROM inbox
WHERE id = ANY(%(ids)s::bigint[]) AND state = 'waiting'
"""
_WAKE: Final = """
UPDATE due_work d SET generation = d.generation + 1,
    due_at = CASE WHEN d.lease IS NULL THEN %(now)s ELSE d.due_at END
FROM inbox i
WHERE i.state = 'waiting' AND d.subject = i.id
  AND (i.merchant, i."order") IN (SELECT * FROM unnest(%(merchants)s::text[], %(orders)s::text[]))
"""
_REFUSED: Final = Columns(
    "c",
    digest="text",
    name="text",
    merchant="text",
    reference="text",
    body="text",
    errors="jsonb",
    channel="text",
    position="int",
)
_REFUSE: Final = f"""
INSERT INTO refused_messages AS r (digest, name, merchant, "order", body, errors, channel, received_at, refused_at)
SELECT c.digest, c.name, c.merchant, c.reference, c.body, c.errors::jsonb, c.channel, %(now)s, %(now)s
FROM {_REFUSED.table} ORDER BY c.position
ON CONFLICT (digest) DO UPDATE SET times = r.times + 1
RETURNING r.id, r.times, r.digest
"""


def conclude(connection: Connection, outcomes: Sequence[CommandOutcome], *, now: datetime) -> None:
    """Write what became of commands; one that is refused after it was accepted is announced, and listed as refused.

    A command that was stuck is so no more.
    """
    refused = {o.command: (o.field, o.reason or "refused") for o in outcomes if o.state is CommandState.REFUSED}
    rows = [(o.command, o.state, o.reason) for o in outcomes]
    written = run(connection, _CONCLUDE, _OUTCOMES.parameters(rows)).fetchall()
    told = [
        outbox.Named(
            f"evt_command_{command}_refused",
            message_refused(
                merchant,
                name=name,
                order=order,
                errors=[dict(zip(("field", "reason"), refused[command], strict=True))],
                received_at=received_at,
            ),
        )
        for command, merchant, name, order, received_at in written
        if command in refused
    ]
    if refused:
        listed = _REFUSALS.parameters(((command, *why) for command, why in refused.items()), now=now)
        run(connection, _LIST_REFUSED, listed)
    ended = [(o.command, CaseKind.STUCK, f"the command is {o.state}", ACTOR) for o in outcomes if o.state in _ENDS]
    outbox.store(connection, [*told, *cases.close_cases(connection, ended, now=now)], now=now)


class SqlInbox:
    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def put(self, received: Sequence[Received]) -> Sequence[Stored]:
        if not received:
            return []
        first: dict[tuple[str, str, str], Received] = {}
        for r in received:
            first.setdefault(_key(r), r)
        fresh = {
            row[0]
            for row in run(self._connection, _INSERT, _PUT.parameters((_row(r) for r in first.values()), now=self._now))
        }
        known = {(row[1], row[2], row[3]): row for row in run(self._connection, _KNOWN, _KEYS.parameters(first))}
        stored = [_stored(r, known[_key(r)], new=r is first[_key(r)] and known[_key(r)][0] in fresh) for r in received]
        return self._compared(received, stored)

    def _compared(self, received: Sequence[Received], stored: Sequence[Stored]) -> Sequence[Stored]:
        """Say of the conflicts what differs. They are rare, and a body may be large, so it is read for them alone."""
        conflicts = [one.id for one in stored if one.conflict]
        if not conflicts:
            return stored
        bodies = dict(run(self._connection, _BODIES, {"ids": conflicts}).fetchall())
        return [
            replace(one, differs=differing(bodies[one.id], r.body)) if one.conflict else one
            for r, one in zip(received, stored, strict=True)
        ]

    def wait(self, stored: Mapping[int, Due], *, merchants: Mapping[int, str]) -> None:
        lanes = SqlLanes(self._connection, self._now).ensure(LaneFamily.MERCHANT, merchants.values())
        SqlDueWork(self._connection, self._now).plan(
            (command, lanes[merchants[command]], due) for command, due in stored.items()
        )

    def wake(self, orders: Sequence[tuple[str, str]]) -> None:
        parameters = {
            "merchants": [merchant for merchant, _ in orders],
            "orders": [order for _, order in orders],
            "now": self._now,
        }
        run(self._connection, _WAKE, parameters)

    def get_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        return self._waiting(_WAITING, ids)

    def lock_many(self, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        return self._waiting(f"{_WAITING} ORDER BY id FOR UPDATE", ids)

    def _waiting(self, statement: str, ids: Sequence[int]) -> Mapping[int, WaitingCommand]:
        rows = run(self._connection, statement, {"ids": list(ids)})
        return {
            row[0]: WaitingCommand(
                id=row[0],
                merchant=row[1],
                order=row[2],
                name=row[3],
                body=row[4],
                actor=row[5],
                trace=row[6],
                received_at=row[7],
            )
            for row in rows
        }

    def conclude(self, outcomes: Sequence[CommandOutcome]) -> None:
        if outcomes:
            conclude(self._connection, outcomes, now=self._now)

    def forget(self, ids: Sequence[int]) -> None:
        if ids:
            run(self._connection, "DELETE FROM inbox WHERE id = ANY(%(ids)s::bigint[])", {"ids": list(ids)})

    def refuse(self, messages: Sequence[RefusedMessage], *, announce: bool = True) -> None:
        if not messages:
            return
        kept = {_digest(message): message for message in messages}
        rows = [
            (digest, m.name, m.merchant, m.order, m.body, to_json(_errors(m)), m.channel, position)
            for position, (digest, m) in enumerate(kept.items())
        ]
        written = run(self._connection, _REFUSE, _REFUSED.parameters(rows, now=self._now)).fetchall()
        if not announce:
            return
        known = {
            row[0]
            for row in run(
                self._connection,
                "SELECT id FROM merchants WHERE id = ANY(%(ids)s::text[])",
                {"ids": [m.merchant for m in kept.values() if m.merchant is not None]},
            )
        }
        told = [
            outbox.Named(f"evt_refused_{key}", _announcement(kept[digest], self._now))
            for key, times, digest in written
            if times == 1 and kept[digest].merchant in known
        ]
        outbox.store(self._connection, told, now=self._now)


def _key(received: Received) -> tuple[str, str, str]:
    return received.command.merchant, received.command.name, received.key


def _row(received: Received) -> tuple[Any, ...]:
    command = received.command
    return (
        command.merchant,
        command.name,
        received.key,
        received.content,
        to_json(received.body),
        command.order,
        received.actor,
        received.trace,
    )


def _stored(received: Received, row: Any, *, new: bool) -> Stored:
    if new:
        return Stored(id=row[0])
    same = row[4] == received.content
    return Stored(id=row[0], repeat=same, conflict=not same, state=CommandState(row[5]))


def _errors(message: RefusedMessage) -> list[dict[str, str]]:
    return [{"field": error.field, "reason": error.reason} for error in message.errors]


def _digest(message: RefusedMessage) -> str:
    text = to_json([message.name, message.merchant, message.body, _errors(message)])
    return hashlib.sha256(text.encode()).hexdigest()


def _announcement(message: RefusedMessage, now: datetime) -> Any:
    return message_refused(
        message.merchant or "",
        name=message.name,
        order=message.order,
        errors=_errors(message),
        received_at=now,
    )
