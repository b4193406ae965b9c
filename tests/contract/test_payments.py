"""Payments that both an order and a report of a timeout name: whose they are, and what they keep from each other."""

from dataclasses import replace

import pytest

from domain.model.decision import EntryKind
from domain.model.due_work import Due, Work
from domain.model.order import OrderStatus
from domain.model.reversal import Reversal, ReversalDecision
from domain.model.transaction import ReversalOutcome
from domain.ports.persistence import Named
from domain.rules.reversing import hold
from tests.builders import NOON, PAYMENT, PROVIDER, a_merchant, a_reversal, an_order
from tests.fakes.bench import Bench, row_of


def reported(bench: Bench, merchant: str = "shop") -> Reversal:
    with bench.units() as uow:
        reversal = replace(a_reversal(merchant=merchant), id=uow.orders.next_ids(1)[0])
        uow.reversals.open(reversal, Due(work=Work.REVERSE, at=NOON), actor="merchant:key")
        uow.commit()
    return reversal


def reported_and_ended(bench: Bench, outcome: ReversalOutcome, merchant: str) -> None:
    before = reported(bench, merchant)
    after = replace(before, outcome=outcome, ended_at=NOON)
    claim = bench.claim(Work.REVERSE)
    with bench.units() as uow:
        row = row_of(claim, before.id)
        uow.reversals.apply([ReversalDecision(before=before, reversal=after, row=row, due=None)], claim)
        uow.commit()


def taken(bench: Bench) -> Named | None:
    payment = (PROVIDER, PAYMENT)
    with bench.units() as uow:
        return uow.orders.taken([payment, (PROVIDER, "pay-2"), ("other", PAYMENT)]).get(payment)


class TestAPayment:
    def test_that_nobody_has_named_is_free(self, bench: Bench) -> None:
        assert taken(bench) is None

    def test_is_taken_by_its_order(self, bench: Bench) -> None:
        bench.register()

        assert taken(bench) == Named(merchant="shop", by_order=True)

    def test_is_taken_by_its_report(self, bench: Bench) -> None:
        reported(bench)

        assert taken(bench) == Named(merchant="shop", by_order=False, by_report=True)

    def test_is_taken_by_both(self, bench: Bench) -> None:
        bench.register()
        reported(bench)

        assert taken(bench) == Named(merchant="shop", by_order=True, by_report=True)

    def test_says_whose_it_is_and_how_its_reversal_ended(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="another"))
        reported_and_ended(bench, ReversalOutcome.SETTLEMENT_PASSED, "another")

        assert taken(bench) == Named(
            merchant="another", by_order=False, by_report=True, outcome=ReversalOutcome.SETTLEMENT_PASSED
        )

    def test_leads_to_the_order_that_it_pays(self, bench: Bench) -> None:
        order = bench.register()
        bench.register(an_order(reference="order-2", payment="pay-2"))

        with bench.units() as uow:
            found = uow.orders.lock_payments([(PROVIDER, PAYMENT), (PROVIDER, "pay-3"), ("other", "pay-2")])

        assert found == {(PROVIDER, PAYMENT): order}


class TestAnOrderThatIsHeld:
    def test_says_so_in_its_timeline_and_keeps_its_plan(self, bench: Bench) -> None:
        order = bench.register()
        plan = bench.due(order.id)

        with bench.units() as uow:
            uow.apply([hold(order, now=NOON)])
            uow.commit()

        after = bench.order(order.id)
        assert (after.status, after.transaction.reversing, after.version) == (OrderStatus.NEW, True, 2)
        assert [row.kind for row in bench.tables().timeline] == [EntryKind.REVERSAL_OPENED]
        assert bench.due(order.id) == plan

    @pytest.mark.parametrize("outcome", ReversalOutcome)
    def test_keeps_how_its_reversal_ended(self, bench: Bench, outcome: ReversalOutcome) -> None:
        order = bench.register(an_order(reversing=True))
        after = replace(order, transaction=replace(order.transaction, reversing=False, reversal=outcome))

        with bench.units() as uow:
            uow.apply([replace(hold(order, now=NOON), order=after)])
            uow.commit()

        transaction = bench.order(order.id).transaction
        assert (transaction.reversing, transaction.reversal) == (False, outcome)

    def test_may_be_registered_as_such(self, bench: Bench) -> None:
        held = bench.register(an_order(reversing=True))
        undone = bench.register(an_order(reference="o-2", payment="p-2", reversal=ReversalOutcome.VOIDED))

        assert held.transaction.reversing
        assert (undone.transaction.reversing, undone.transaction.reversal) == (False, ReversalOutcome.VOIDED)

    def test_does_not_lose_its_hold_to_an_answer_that_was_asked_for_before(self, bench: Bench) -> None:
        order = bench.register()
        claim = bench.claim()
        with bench.units() as uow:
            uow.apply([hold(order, now=NOON)])
            uow.commit()
        paid = replace(hold(order, now=NOON), order=order, row=row_of(claim, order.id), keep_due=False)

        with bench.units() as uow:
            saved = uow.apply([paid], claim)
            uow.commit()

        assert list(saved) == []
        assert bench.order(order.id).transaction.reversing
        assert bench.due(order.id) is not None
