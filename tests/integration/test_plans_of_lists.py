"""Lists and figures read what they show, and never a whole table of what was decided long ago."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from adapters.persistence import sanity_queue, timeouts
from adapters.persistence.figures import figures
from adapters.persistence.queries import backlog

MANY = 20_000
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
REVERSALS = f"""
INSERT INTO reversals (merchant, provider, reference, amount, currency, digits, response_code, occurred_at, settles_at,
                       reported_at, actor, outcome, ended_at)
SELECT 'm' || g % 20, 'p' || g % 3, 'r' || g, 1, 'EUR', 2, '99', now(), now() + interval '1 day', now(), 'a',
       CASE WHEN g < 50 THEN NULL WHEN g < 100 THEN 'EXHAUSTED' ELSE 'VOIDED' END,
       CASE WHEN g < 50 THEN NULL ELSE now() END
FROM generate_series(1, {MANY}) g
"""
REJECTIONS = f"""
INSERT INTO rejections (id, merchant, "order", provider, reference, customer, source, type, status, reasons, body,
                        actor, rejected_at, retrigger)
SELECT g, 'm' || g % 20, 'o' || g, 'p' || g % 3, 'r' || g, 'c-' || g % 1000, '{{}}', 'reprocessable',
       CASE WHEN g < 50 THEN 'PENDING' ELSE 'REPROCESSED' END, '[{{"kind": "stores", "key": "s", "message": "?"}}]',
       '{{}}', 'a', now(), CASE WHEN g < 50 THEN NULL ELSE 1 END
FROM generate_series(1, {MANY}) g
"""


@pytest.fixture
def full(engine: Engine) -> Engine:
    """A store with many reversals and rejections, of which few are open."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO merchants (id, name) SELECT 'm' || g, 'M' FROM generate_series(0, 19) g"))
        for statement in (REVERSALS, REJECTIONS, "ANALYZE reversals", "ANALYZE rejections"):
            connection.execute(text(statement))
    return engine


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"outcome": "EXHAUSTED"}, "ix_reversals_outcome_id"),
        ({"outcome": "EXHAUSTED", "provider": "p1"}, "ix_reversals_outcome_id"),
        ({"outcome": "EXHAUSTED", "merchant": "m3"}, "outcome_id"),
        ({"is_open": True}, "ix_reversals_outcome_id"),
        ({"is_open": True, "merchant": "m3"}, "outcome_id"),
    ],
)
def test_a_list_of_reversals_by_a_rare_outcome_reads_no_others(full: Engine, asked: dict[str, Any], index: str) -> None:
    (plan,) = plans_of(full, lambda connection: timeouts.page(connection, limit=51, **asked))

    assert index in plan


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"until": LONG_AGO}, "ix_rejections_merchant_rejected_at"),
        ({"since": LONG_AGO - timedelta(days=1), "until": LONG_AGO}, "ix_rejections_merchant_rejected_at"),
        ({"type": "permanent"}, "ix_rejections_permanent"),
        ({"status": "PENDING"}, "ix_rejections_"),
        ({"customer": "c-7"}, "ix_rejections_merchant_customer_id"),
    ],
)
def test_a_list_of_rejections_reads_what_it_shows(full: Engine, asked: dict[str, Any], index: str) -> None:
    (plan,) = plans_of(full, lambda connection: sanity_queue.page(connection, merchant="m3", limit=51, **asked))

    assert index in plan
    assert "Seq Scan on rejections" not in plan


@pytest.mark.parametrize("looked_at", [figures, backlog])
def test_figures_of_sanity_queues_read_only_what_waits(full: Engine, looked_at: Callable[[Connection], object]) -> None:
    (plan,) = (plan for plan in plans_of(full, looked_at) if "rejections" in plan)

    assert "ix_rejections_pending" in plan
    assert "Seq Scan on rejections" not in plan


def plans_of(engine: Engine, looked_at: Callable[[Connection], object]) -> list[str]:
    """Return the plan of each statement that this reads with."""
    with engine.connect() as connection, _explaining(connection) as plans:
        looked_at(connection)
    return plans


@contextmanager
def _explaining(connection: Connection) -> Iterator[list[str]]:
    plans: list[str] = []

    def explain(_on: Connection, cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        cursor.execute(f"EXPLAIN {statement}", parameters)
        plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)
