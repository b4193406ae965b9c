"""Figures for those who watch: what is due and how late, what waits, and what a person must decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from adapters.persistence.columns import run

_DUE: Final = """
SELECT kind, count(*), extract(epoch FROM now() - min(due_at))::float FROM due_work WHERE due_at <= now() GROUP BY kind
"""
_CASES: Final = "SELECT kind, count(*) FROM cases WHERE closed_at IS NULL GROUP BY kind"
_HELD: Final = """
SELECT family, count(*) FROM lanes WHERE paused OR paused_until > now() OR no_effects OR shadow GROUP BY family
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM inbox WHERE state = 'waiting'), (SELECT count(*) FROM refused_messages)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`late` is how long the oldest due row of each kind has been due, in seconds."""

    due: Mapping[str, int]
    late: Mapping[str, float]
    open_cases: Mapping[str, int]
    held_lanes: Mapping[str, int]
    commands_waiting: int
    messages_refused: int


def figures(connection: Connection) -> Figures:
    due = run(connection, _DUE).fetchall()
    waiting, refused = run(connection, _COUNTS).one()
    return Figures(
        due={row[0]: row[1] for row in due},
        late={row[0]: row[2] for row in due},
        open_cases={row[0]: row[1] for row in run(connection, _CASES)},
        held_lanes={row[0]: row[1] for row in run(connection, _HELD)},
        commands_waiting=waiting,
        messages_refused=refused,
    )
