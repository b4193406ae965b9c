"""Keeping one command in one statement: what a message of its own costs, and nothing beside it."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from adapters.persistence.columns import run, to_json
from adapters.persistence.unit_of_work import store_errors
from domain.model.command import Received

_KEEP: Final = """
WITH lane AS (
    SELECT m.id AS merchant, l.id FROM merchants m JOIN lanes l ON l.family = 'merchant' AND l.name = m.id
    WHERE m.id = %(merchant)s
), kept AS (
    INSERT INTO inbox (merchant, name, key, content, body, "order", state, actor, trace, received_at)
    SELECT merchant, %(name)s, %(key)s, %(content)s, %(body)s::jsonb, %(order)s, 'waiting', %(actor)s, %(trace)s,
           coalesce(%(now)s::timestamptz, now())
    FROM lane ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO due_work (subject, due_at, lane, kind)
SELECT kept.id, coalesce(%(now)s::timestamptz, now()), lane.id, 'command' FROM kept, lane
RETURNING subject
"""


class SqlKeeper:
    """Keeps commands over a connection of its own, which commits with every statement and is not asked how it is.

    One that has died is noticed by the command that it loses: nothing was kept then, or the same is kept once. Tests
    that live in one process may give it their `now`; nothing else may.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def __call__(self, received: Received) -> bool:
        command = received.command
        parameters = {
            "merchant": command.merchant,
            "name": command.name,
            "key": received.key,
            "content": received.content,
            "body": to_json(received.body),
            "order": command.order,
            "actor": received.actor,
            "trace": received.trace,
            "now": None if self._clock is None else self._clock(),
        }
        with self._lock, store_errors():
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                return run(self._connection, _KEEP, parameters).first() is not None
            except BaseException:
                # A time limit may have broken it off in the middle of an answer.
                self._connection.invalidate()
                self._give_back()
                raise

    def close(self) -> None:
        with self._lock:
            self._give_back()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
