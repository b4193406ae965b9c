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
SELECT (SELECT count(*) FROM inbox WHERE state = 'waiting'), (SELECT count(*) FROM refused_messages),
       (SELECT count(*) FROM refused_messages WHERE command IS NOT NULL)
"""
# Each has a partial index that holds nothing else, so what was decided long ago costs nothing.
_SANITY: Final = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(rejected_at)), 0)::float,
       (SELECT count(*) FROM retriggers WHERE finished_at IS NULL)
FROM rejections WHERE status = 'PENDING'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`late` is how long the oldest due row of each kind has been due, in seconds.

    `rejected_seconds` is how long the oldest transaction of all sanity queues has been there.
    """

    due: Mapping[str, int]
    late: Mapping[str, float]
    open_cases: Mapping[str, int]
    held_lanes: Mapping[str, int]
    commands_waiting: int
    messages_refused: int
    commands_refused: int  # those of them that were kept first
    rejected_pending: int
    rejected_seconds: float
    retriggers_open: int


def figures(connection: Connection) -> Figures:
    due = run(connection, _DUE).fetchall()
    waiting, refused, commands = run(connection, _COUNTS).one()
    pending, oldest, retriggers = run(connection, _SANITY).one()
    return Figures(
        due={row[0]: row[1] for row in due},
        late={row[0]: row[2] for row in due},
        open_cases={row[0]: row[1] for row in run(connection, _CASES)},
        held_lanes={row[0]: row[1] for row in run(connection, _HELD)},
        commands_waiting=waiting,
        messages_refused=refused,
        commands_refused=commands,
        rejected_pending=pending,
        rejected_seconds=oldest,
        retriggers_open=retriggers,
    )
