"""The time of a claim of 500 due rows, from a small table of due work and from a large one."""

import statistics
import time
from datetime import timedelta

from benchmarks.stage import Stage, stage
from domain.model.due_work import LaneFamily, Work

SIZES = (10_000, 1_000_000)
CLAIMS = 40


def fill(on: Stage, rows: int) -> None:
    on.run("TRUNCATE due_work")
    on.run(
        "INSERT INTO due_work (subject, due_at, lane, kind)"
        " SELECT n, now() - (random() * interval '1 day'), (SELECT id FROM lanes WHERE name = 'bench'), 'poll'"
        " FROM generate_series(1, %(rows)s) n ORDER BY random()",
        rows=rows,
    )
    on.run("ANALYZE due_work")


def claim(on: Stage, lane: int) -> float:
    """Claim 500 rows as a drain does, and commit; return the milliseconds."""
    began = time.perf_counter()
    with on.application.unit_of_work() as uow:
        uow.lanes.lock_due([Work.POLL])
        rows = uow.due_work.candidates({lane: {Work.POLL: 500}})[lane][Work.POLL]
        uow.due_work.lease(rows, until=uow.now + timedelta(minutes=5))
        uow.commit()
    assert len(rows) == 500
    return (time.perf_counter() - began) * 1000


def claims() -> dict[str, dict[str, float]]:
    found = {}
    with stage() as on:
        with on.application.unit_of_work() as uow:
            lane = uow.lanes.ensure(LaneFamily.PROVIDER, ["bench"])["bench"]
            uow.commit()
        for size in SIZES:
            fill(on, size)
            times = sorted(claim(on, lane) for _ in range(min(CLAIMS, size // 500)))
            found[f"{size:,} rows"] = {
                "median_ms": statistics.median(times),
                "p95_ms": times[int(len(times) * 0.95) - 1],
            }
    return found
