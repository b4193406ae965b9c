"""What a due reversal costs beside a poll: 10,000 of each, by turns in one run, one payment a call.

The reversals are declined, so that each ends at its first query; the polls learn nothing new.
"""

import statistics

from benchmarks.poll import make_due, register
from benchmarks.stage import Stage, provider, stage

ROWS = 10_000
ROUNDS = 3

_REPORT = """
WITH reported AS (
    INSERT INTO reversals (merchant, provider, reference, amount, currency, digits, response_code, occurred_at,
                           settles_at, reported_at, actor)
    SELECT 'shop', 'bench', concat('declined-', %(turn)s::int, '-', n), 12.30, 'EUR', 2, '99', now(),
           now() + interval '1 day', now(), 'merchant:bench'
    FROM generate_series(1, %(rows)s) n RETURNING id
)
INSERT INTO due_work (subject, due_at, lane, kind)
SELECT id, now() - interval '1 second', (SELECT id FROM lanes WHERE name = 'bench'), 'reverse' FROM reported
"""


def reversals() -> dict[str, dict[str, float]]:
    polled, reversed_ = [], []
    with provider(0.05) as port, stage(port=port, bulk=False, concurrency=256) as on:
        register(on, ROWS)
        make_due(on)
        on.measure("polling", ROWS)  # the first answer moves every order to PENDING
        for turn in range(ROUNDS):
            make_due(on)
            polled.append(on.measure("polling", ROWS))
            _report(on, turn)
            reversed_.append(on.measure("reversals", ROWS))
            assert on.run("SELECT count(*) FROM reversals WHERE outcome = 'DECLINED'") == [(ROWS * (turn + 1),)]
    ratio = statistics.median(r["cpu_us"] / p["cpu_us"] for p, r in zip(polled, reversed_, strict=True))
    return {
        "poll beside reversals": _median(polled),
        "reversal, declined": _median(reversed_) | {"cpu_of_a_poll": ratio},
    }


def _report(on: Stage, turn: int) -> None:
    on.run(_REPORT, turn=turn, rows=ROWS)
    on.run("ANALYZE")


def _median(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}
