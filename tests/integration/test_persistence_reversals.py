"""How many statements a wave of reversals takes."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claimed, Due, Work
from domain.model.reversal import Ask, Reversal, ReversalAttempt, ReversalDecision
from domain.model.transaction import ReversalOutcome
from domain.rules.events import reversal_ended
from domain.rules.reversing import hold
from tests.builders import NOON, PROVIDER, a_reversal, a_void, an_order
from tests.fakes.bench import SqlBench, row_of
from tests.integration.test_persistence import counted


@pytest.fixture
def bench(engine: Engine) -> SqlBench:
    bench = SqlBench(engine)
    bench.furnish()
    return bench


def eventful(before: Reversal, row: Claimed) -> ReversalDecision:
    """Return a decision that has every part."""
    after = replace(before, attempts=1, on_record=True, outcome=ReversalOutcome.EXHAUSTED, ended_at=NOON)
    return ReversalDecision(
        before=before,
        reversal=after,
        row=row,
        due=None,
        attempt=ReversalAttempt(asked=Ask.INQUIRY, key=None, answer={"a": "b"}, decided="stop", next_at=None),
        intents=(replace(a_void(), key=f"key-{before.id}"),),
        openings=(CaseOpening(kind=CaseKind.REVERSAL_EXHAUSTED, known="this and that"),),
        event=reversal_ended(after, order=None),
    )


class TestAWaveOfReversals:
    def statements_for(self, bench: SqlBench, count: int) -> list[str]:
        """Open so many, each the payment of an order, and return what it takes to save them."""
        names = [f"{count}-{number}" for number in range(count)]
        bench.register_many([an_order(reference=name, payment=name) for name in names])
        with bench.units() as uow:
            for key, name in zip(uow.orders.next_ids(count), names, strict=True):
                reversal = replace(a_reversal(reference=name), id=key)
                uow.reversals.open(reversal, Due(work=Work.REVERSE, at=NOON), actor="merchant:shop")
            uow.commit()
        claim = bench.claim(Work.REVERSE)
        with bench.units() as uow:
            stored = uow.reversals.get_many([row.subject for row in claim.rows])
        decisions = [eventful(reversal, row_of(claim, key)) for key, reversal in stored.items()]
        with counted(bench.engine) as sent, bench.units() as uow:
            orders = uow.orders.lock_payments([(PROVIDER, name) for name in names])
            saved = uow.reversals.apply(decisions, claim)
            uow.apply([hold(order, now=NOON) for order in orders.values()])
            uow.commit()
        assert (len(saved), len(orders)) == (count, count)
        return sent

    def test_takes_as_many_statements_for_five_hundred_as_for_one(self, bench: SqlBench) -> None:
        bench.add_endpoint()

        one = self.statements_for(bench, 1)
        many = self.statements_for(bench, 500)

        assert len(many) == len(one)
