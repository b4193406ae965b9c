"""What a due reversal costs beside a poll: 10,000 of each, by turns in one run, one payment a call.

The reversals are declined, so that each ends at its first query; the polls learn nothing new.
"""

from benchmarks.measure import Figures, Goal, Result, median
from benchmarks.orders import make_due, register
from benchmarks.stage import Stage, provider, stage

ROWS = 10_000

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


def reversals(rounds: int) -> Result:
    turns: dict[str, list[Figures]] = {"poll": [], "reversal, declined": []}
    with provider(0.05) as asked, stage(port=asked.port, concurrency=256) as on:
        register(on, ROWS)
        make_due(on)
        on.measure("polling", ROWS)  # the first answer moves every order to PENDING
        for turn in range(rounds):
            make_due(on)
            turns["poll"].append(on.measure("polling", ROWS))
            _report(on, turn)
            turns["reversal, declined"].append(on.measure("reversals", ROWS))
            assert on.run("SELECT count(*) FROM reversals WHERE outcome = 'DECLINED'") == [(ROWS * (turn + 1),)]
    poll, reversal = (median(some)["cpu_us"] for some in turns.values())
    return Result(turns, [Goal("a poll's CPU in a reversal's", reversal / poll, 1.5, at_most=True)])


def _report(on: Stage, turn: int) -> None:
    on.run(_REPORT, turn=turn, rows=ROWS)
    on.run("ANALYZE")
