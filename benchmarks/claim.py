"""The time of a claim of 500 due rows, from a small table of due work, from large ones, and from one that has churned.

python -m benchmarks claim
"""

import statistics
import time
from datetime import timedelta
from typing import Final

from benchmarks.fleet import until
from benchmarks.measure import Figures, Goal, Result
from benchmarks.stage import Stage, stage
from domain.model.due_work import LaneFamily, Work

SMALL: Final = 10_000
LARGE: Final = 1_000_000
LARGEST: Final = 10_000_000
CLAIM: Final = 500
CLAIMS: Final = 100
WARMING: Final = 3
MOVES: Final = 5


def fill(on: Stage, rows: int) -> None:
    on.run("TRUNCATE due_work")
    on.run(
        "INSERT INTO due_work (subject, due_at, lane, kind)"
        " SELECT n, now() - (random() * interval '1 day'), (SELECT id FROM lanes WHERE name = 'bench'), 'poll'"
        " FROM generate_series(1, %(rows)s) n ORDER BY random()",
        rows=rows,
    )
    on.run("ANALYZE due_work")
    _checkpoint(on)


def churn(on: Stage, rows: int) -> None:
    """Move every row to another time, in batches as large as a claim's, until each was moved five times.

    Autovacuum is on as ever. What it has not done when the last row has moved is waited for: a fleet is never done so
    fast with a million orders.
    """
    for _ in range(MOVES):
        for start in range(0, rows, 20 * CLAIM):
            on.run(
                "UPDATE due_work SET due_at = now() - random() * interval '1 day', generation = generation + 1"
                " WHERE subject > %(start)s AND subject <= %(end)s",
                start=start,
                end=start + 20 * CLAIM,
            )
    vacuumed = "SELECT n_dead_tup < 0.1 * n_live_tup FROM pg_stat_user_tables WHERE relname = 'due_work'"
    until(lambda: on.run(vacuumed) == [(True,)], seconds=300, every=1.0)
    _checkpoint(on)


def claims(on: Stage, lane: int, rows: int) -> Figures:
    """Claim several times, always 500 of the rows that are due; return the times, and the WAL of one."""
    for _ in range(WARMING):
        claim(on, lane)  # these read what the table's making left out of memory
    [(began,)] = on.run("SELECT pg_current_wal_insert_lsn()::text")
    times = [claim(on, lane) for _ in range(min(CLAIMS, rows // CLAIM - WARMING))]
    [(wal,)] = on.run("SELECT pg_current_wal_insert_lsn() - %(began)s::pg_lsn", began=began)
    ordered = sorted(times)
    return {
        "median_ms": statistics.median(ordered),
        "p95_ms": ordered[int(len(ordered) * 0.95) - 1],
        "wal_kb": float(str(wal)) / len(times) / 1000,
    }


def claim(on: Stage, lane: int) -> float:
    """Claim 500 rows as a drain does, and commit; return the milliseconds."""
    began = time.perf_counter()
    with on.application.unit_of_work() as uow:
        uow.lanes.lock_due([Work.POLL])
        rows = uow.due_work.candidates({lane: {Work.POLL: CLAIM}})[lane][Work.POLL]
        uow.due_work.lease(rows, until=uow.now + timedelta(minutes=5))
        uow.commit()
    assert len(rows) == CLAIM
    return (time.perf_counter() - began) * 1000


def _checkpoint(on: Stage) -> None:
    """Have the table's making written, so that no claim pays for it."""
    on.run("CHECKPOINT")


def claim_case(rounds: int) -> Result:
    found: dict[str, list[Figures]] = {}
    with stage() as on:
        with on.application.unit_of_work() as uow:
            lane = uow.lanes.ensure(LaneFamily.PROVIDER, ["bench"])["bench"]
            uow.commit()
        for _ in range(rounds):
            fill(on, SMALL)
            found.setdefault(f"{SMALL:,} rows", []).append(claims(on, lane, SMALL))
        for size in (LARGE, LARGEST):
            fill(on, size)
            found[f"{size:,} rows"] = [claims(on, lane, size) for _ in range(rounds)]
        fill(on, LARGE)
        churn(on, LARGE)
        found[f"{LARGE:,} rows, each moved {MOVES} times"] = [claims(on, lane, LARGE) for _ in range(rounds)]
    small, large, largest, churned = (
        {name: statistics.median(one[name] for one in turns) for name in turns[0]} for turns in found.values()
    )
    return Result(
        found,
        [
            Goal(
                "a claim from 10 million, in one from 10 thousand", largest["median_ms"] / small["median_ms"], 4, True
            ),
            Goal("p95 of a claim from 10 million, in ms", largest["p95_ms"], 30, True),
            Goal("a claim after churn, in one before", churned["median_ms"] / large["median_ms"], 2, True),
        ],
    )
