import json
from dataclasses import replace
from typing import Any

import pytest

from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import Decision, Entry, EntryKind, Move
from domain.model.due_work import Claim, Due, Work
from domain.model.money import Currency
from domain.model.order import CanceledBy, Order, OrderStatus, Resolution
from domain.model.transaction import AttemptState, Effect, OperationKind, OperationState, ParentState
from domain.ports.persistence import Conflict
from domain.rules.events import status_changed
from tests.builders import (
    MINUTES,
    NOON,
    a_cancel_request,
    an_attempt,
    an_intent,
    an_operation,
    an_order,
    money,
)
from tests.fakes.bench import LEASE, Bench, row_of

LATER = Due(work=Work.POLL, at=NOON + 5 * MINUTES, step=2)
PRECISE = money("12345678901234567890.123456789012345678")


def a_decision(before: Order, **given: Any) -> Decision:
    """Return a decision of a command; what is named is changed, what is not stays as it was."""
    order = replace(before, **{name: given.pop(name) for name in list(given) if hasattr(before, name)})
    plain: dict[str, Any] = {"before": before, "order": order, "actor": "system:test", "due": LATER}
    return Decision(**plain | given)


def moved(before: Order, *statuses: OrderStatus, **given: Any) -> Decision:
    """Return a decision that moves the order, with the history and events that belong to it."""
    order, moves, events = before, [], []
    for status in statuses:
        canceled_by = CanceledBy.SYSTEM if status is OrderStatus.CANCELED else None
        reason = "late" if status is OrderStatus.UNRESOLVED else None
        sequence = order.sequence + 1
        move = Move(sequence=sequence, previous=order.status, status=status, reason=reason, canceled_by=canceled_by)
        order = replace(order, status=status, sequence=sequence, canceled_by=canceled_by, reason=reason)
        moves.append(move)
        events.append(status_changed(order, move))
    return a_decision(before, **given | {"moves": tuple(moves), "events": tuple(events)}, **_changes(order))


def _changes(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in ("status", "sequence", "canceled_by", "reason")}


def learnt(before: Order, **changes: Any) -> dict[str, Any]:
    return {"transaction": replace(before.transaction, **changes)}


def apply(bench: Bench, *decisions: Decision, claim: Claim | None = None) -> list[int]:
    with bench.units() as uow:
        saved = uow.apply(decisions, claim)
        uow.commit()
    return list(saved)


class TestADecision:
    def test_is_written_with_every_field_of_its_order(self, bench: Bench) -> None:
        before = bench.register(an_order(currency=Currency("BIG", 18), amount=PRECISE, attempts_allowed=3))
        transaction = replace(
            before.transaction,
            state=ParentState.ATTEMPTED,
            provider_status="attempted",
            amount_received=PRECISE,
            amount_refunded=money("0.000000000000000001"),
            secured_at=NOON + 1 * MINUTES,
            confirmations=3,
            settled=True,
            no_records=2,
            no_record_since=NOON,
            attempts=(an_attempt("a-1", AttemptState.FAILED, 1), an_attempt("a-2", AttemptState.PENDING, 2)),
            operations=(an_operation("r-1", OperationKind.REFUND, OperationState.QUEUED, str(PRECISE)),),
            intent=an_intent(asked=True),
        )
        decision = moved(
            before,
            OrderStatus.PENDING,
            transaction=transaction,
            attempts=transaction.attempts,
            operations=transaction.operations,
            intents=(an_intent(asked=True),),
            cancel_request=a_cancel_request(),
            checkout_completed_at=NOON,
            changed_at=NOON + 2 * MINUTES,
        )

        saved = apply(bench, decision)

        assert saved == [before.id]
        assert bench.order(before.id) == replace(decision.order, version=2)

    def test_clears_what_is_no_more(self, bench: Bench) -> None:
        before = bench.register()
        apply(bench, a_decision(before, cancel_request=a_cancel_request(), **learnt(before, no_record_since=NOON)))
        between = bench.order(before.id)

        apply(bench, a_decision(between, cancel_request=None, **learnt(between, no_record_since=None)))

        after = bench.order(before.id)
        assert (after.cancel_request, after.transaction.no_record_since) == (None, None)

    def test_leaves_history_timeline_and_one_event_for_each_change(self, bench: Bench) -> None:
        before = bench.register()
        entries = (
            Entry(kind=EntryKind.TRANSACTION, detail={"before": "CREATED", "after": None}),
            Entry(kind=EntryKind.NOTE, detail={"note": "ü"}),
        )

        apply(bench, moved(before, OrderStatus.PENDING, OrderStatus.PAID, entries=entries))

        changes = [(row.sequence, row.previous, row.status) for row in bench.history(before.id)]
        assert changes == [(1, None, "NEW"), (2, "NEW", "PENDING"), (3, "PENDING", "PAID")]
        assert bench.history(before.id)[2].actor == "system:test"
        assert [(row.kind, row.detail) for row in bench.tables().timeline] == [
            ("transaction", {"before": "CREATED", "after": None}),
            ("note", {"note": "ü"}),
        ]
        assert [event.event for event in bench.events()] == [f"evt_{before.id}_{n}" for n in (1, 2, 3)]
        assert json.loads(bench.events()[2].body)["data"]["status"] == "PAID"

    def test_counts_a_version_only_where_the_order_changed(self, bench: Bench) -> None:
        first, second = bench.register_many([an_order(), an_order(reference="o-2", payment="p-2")])

        apply(bench, a_decision(first), a_decision(second, checkout_completed_at=NOON))

        assert (bench.order(first.id).version, bench.order(second.id).version) == (1, 2)

    def test_updates_attempts_operations_and_intents_in_place(self, bench: Bench) -> None:
        before = bench.register()
        queued = an_operation("r-1", OperationKind.REFUND, OperationState.QUEUED)
        one = a_decision(
            before, attempts=(an_attempt(),), operations=(queued,), intents=(an_intent(),), checkout_completed_at=NOON
        )
        apply(bench, one)
        between = bench.order(before.id)
        done = replace(queued, state=OperationState.DONE)
        refused = an_intent(refused_in="paid")

        ended = an_attempt(state=AttemptState.FAILED)
        apply(
            bench,
            a_decision(
                between,
                attempts=(ended,),
                operations=(done,),
                intents=(refused, an_intent(Effect.VOID, 2)),
                checkout_completed_at=None,
            ),
        )

        transaction = bench.order(before.id).transaction
        assert (transaction.attempts, transaction.operations) == ((ended,), (done,))
        assert transaction.intent == an_intent(Effect.VOID, 2)
        assert set(bench.tables().intents.values()) == {refused, an_intent(Effect.VOID, 2)}

    def test_of_an_order_that_was_changed_by_another_is_a_conflict(self, bench: Bench) -> None:
        stale = bench.register()
        apply(bench, a_decision(stale, checkout_completed_at=NOON))

        with pytest.raises(Conflict):
            apply(bench, moved(stale, OrderStatus.PAID))

        assert bench.order(stale.id).status is OrderStatus.NEW
        assert len(bench.history(stale.id)) == 1

    def test_is_undone_with_its_unit_of_work(self, bench: Bench) -> None:
        before = bench.register()

        with bench.units() as uow:
            uow.apply([moved(before, OrderStatus.PAID)])

        assert bench.order(before.id) == before
        assert len(bench.events()) == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            {"canceled_by": CanceledBy.USER},
            {"watching": True},
            {"status": OrderStatus.UNRESOLVED, "reason": None},
            {"status": OrderStatus.CANCELED},
            {"status": OrderStatus.PAID, "cancel_request": a_cancel_request()},
            {"operations": (an_operation("c-1", OperationKind.CAPTURE, amount="0"),)},
            {"intents": (an_intent(confirmed=True, refused_in="paid"),)},
            {"moves": (Move(sequence=2, previous=None, status=OrderStatus.PAID),)},
            {"moves": (Move(sequence=2, previous=OrderStatus.NEW, status=OrderStatus.REFUNDED),)},
            {"moves": (Move(sequence=2, previous=OrderStatus.PAID, status=OrderStatus.PENDING),)},
        ],
        ids=str,
    )
    def test_is_refused_by_the_tables_if_it_cannot_be(self, bench: Bench, wrong: dict[str, Any]) -> None:
        before = bench.register()
        events = tuple(status_changed(before, move) for move in wrong.get("moves", ()))

        with pytest.raises(bench.violation):
            apply(bench, a_decision(before, **{"checkout_completed_at": NOON, "events": events} | wrong))

        assert bench.order(before.id) == before

    @pytest.mark.parametrize("amount", [money(-1), money(10**20)], ids=str)
    @pytest.mark.parametrize("name", ["amount_received", "amount_refunded"])
    def test_is_refused_by_the_tables_with_an_amount_that_cannot_be(
        self, bench: Bench, name: str, amount: object
    ) -> None:
        before = bench.register()

        with pytest.raises(bench.violation):
            apply(bench, a_decision(before, **learnt(before, **{name: amount})))

    def test_conflicts_if_its_change_or_key_is_taken(self, bench: Bench) -> None:
        first, second = bench.register_many([an_order(), an_order(reference="o-2", payment="p-2")])
        apply(bench, a_decision(first, intents=(an_intent(),)))
        repeated = Move(sequence=1, previous=None, status=OrderStatus.NEW)

        with pytest.raises(Conflict):
            apply(bench, a_decision(second, intents=(an_intent(),)))
        with pytest.raises(Conflict):
            apply(bench, a_decision(first, moves=(repeated,), events=(status_changed(first, repeated),)))


class TestANoteOfADecision:
    def test_says_how_an_order_was_settled_and_the_last_one_counts(self, bench: Bench) -> None:
        order = bench.register()
        for detail in ({"note": "first", "by": "ann"}, {"note": "last", "by": None}):
            apply(bench, a_decision(order, entries=(Entry(kind=EntryKind.NOTE, detail=detail),)))

        with bench.units() as uow:
            found = [uow.orders.resolution_of(order.id), uow.orders.resolution_of(order.id + 1)]

        assert found == [Resolution(note="last", by=None), None]


class TestTheCasesOfADecision:
    def test_open_once_for_a_kind_and_tell_of_it(self, bench: Bench) -> None:
        order = bench.register()
        opening = CaseOpening(
            kind=CaseKind.CONTRADICTION, known="it is PAID", provider_says="declined", amount_at_risk=money("12.30")
        )

        apply(bench, a_decision(order, openings=(opening, opening)))
        apply(bench, a_decision(order, openings=(opening, replace(opening, kind=CaseKind.POLLING_EXHAUSTED))))

        kinds = [case.kind for case in bench.cases()]
        case = bench.cases()[0]
        assert kinds == [CaseKind.CONTRADICTION, CaseKind.POLLING_EXHAUSTED]
        assert (case.known, case.provider_says, case.amount_at_risk) == ("it is PAID", "declined", money("12.30"))
        assert (case.subject, case.order_id, case.merchant, case.currency) == (order.id, order.id, "shop", "EUR")
        assert len(bench.events("case.opened")) == 2

    def test_are_closed_with_a_note_and_tell_of_it(self, bench: Bench) -> None:
        order = bench.register()
        stuck = CaseOpening(kind=CaseKind.CANCEL_IN_DOUBT, known="no answer")
        apply(bench, a_decision(order, openings=(stuck,)))

        bench.clock.wait(1 * MINUTES)
        closures = frozenset({CaseKind.CANCEL_IN_DOUBT, CaseKind.POLLING_EXHAUSTED})
        apply(bench, a_decision(order, closures=closures, closure_note="the order is PAID"))

        (case,) = bench.cases()
        assert (case.closed_at, case.closed_by, case.note) == (NOON + 1 * MINUTES, "system:test", "the order is PAID")
        assert [event.event for event in bench.events("case.closed")] == [f"evt_case_{case.id}_closed"]

    def test_may_open_again_after_they_were_closed(self, bench: Bench) -> None:
        order = bench.register()
        stuck = CaseOpening(kind=CaseKind.CANCEL_IN_DOUBT, known="no answer")
        apply(bench, a_decision(order, openings=(stuck,)))
        apply(bench, a_decision(order, closures=frozenset({stuck.kind})))

        apply(bench, a_decision(order, openings=(stuck,)))

        assert [case.closed_at is None for case in bench.cases()] == [False, True]

    def test_that_it_opens_are_not_closed_by_its_own_closures(self, bench: Bench) -> None:
        order = bench.register()
        stuck = CaseOpening(kind=CaseKind.POLLING_EXHAUSTED, known="no answer")

        apply(bench, a_decision(order, openings=(stuck,), closures=frozenset({stuck.kind}), due=None))

        assert [case.closed_at for case in bench.cases()] == [None]


def answered(order: Order, claim: Claim) -> Decision:
    return moved(order, OrderStatus.PAID, row=row_of(claim, order.id), due=None)


class TestADecisionUnderAClaim:
    def test_is_saved_with_its_plan(self, bench: Bench) -> None:
        order = bench.register()
        claim = bench.claim()

        saved = apply(bench, answered(order, claim), claim=claim)

        assert saved == [order.id]
        assert bench.order(order.id).status is OrderStatus.PAID
        assert bench.due(order.id) is None

    def test_keeps_a_plan_that_was_made_meanwhile(self, bench: Bench) -> None:
        order = bench.register()
        claim = bench.claim()
        with bench.units() as uow:
            uow.due_work.bump([order.id])
            uow.commit()

        saved = apply(bench, answered(order, claim), claim=claim)

        row = bench.due(order.id)
        assert saved == [order.id]
        assert bench.order(order.id).status is OrderStatus.PAID
        assert row is not None
        assert (row.due_at, row.lease) == (NOON, None)

    def test_is_dropped_if_a_command_changed_the_order_meanwhile(self, bench: Bench) -> None:
        order = bench.register()
        claim = bench.claim()
        command = a_decision(order, cancel_request=a_cancel_request(), due=Due(work=Work.CLOSE, at=NOON))
        apply(bench, command)

        saved = apply(bench, answered(order, claim), claim=claim)

        row = bench.due(order.id)
        assert saved == []
        assert bench.order(order.id).status is OrderStatus.NEW
        assert row is not None
        assert (row.kind, row.due_at, row.lease, row.claims) == ("close", NOON, None, 0)

    def test_is_dropped_if_the_lease_is_anothers(self, bench: Bench) -> None:
        order = bench.register()
        late = bench.claim()
        bench.clock.wait(LEASE)
        bench.claim()

        assert apply(bench, answered(order, late), claim=late) == []
        assert bench.order(order.id).status is OrderStatus.NEW

    def test_is_dropped_alone(self, bench: Bench) -> None:
        orders = bench.register_many([an_order(reference=f"o-{n}", payment=f"p-{n}") for n in range(3)])
        claim = bench.claim()
        apply(bench, a_decision(orders[1], checkout_completed_at=NOON))

        saved = apply(bench, *(answered(order, claim) for order in orders), claim=claim)

        assert sorted(saved) == [orders[0].id, orders[2].id]


class TestAPlanFromOutside:
    def test_leaves_the_lease_to_its_holder_and_is_followed_after_it(self, bench: Bench) -> None:
        order = bench.register()
        claim = bench.claim()

        apply(bench, a_decision(order, due=Due(work=Work.CLOSE, at=NOON)))

        row = bench.due(order.id)
        assert row is not None
        assert (row.kind, row.lease, row.due_at, row.generation) == ("close", claim.token, NOON + LEASE, 1)

    def test_forgives_the_claims_of_the_past(self, bench: Bench) -> None:
        order = bench.register()
        for _ in range(3):
            claim = bench.claim()
            with bench.units() as uow:
                uow.due_work.release(claim, {order.id: "ValueError"}, until=NOON)
                uow.commit()

        apply(bench, a_decision(order, due=Due(work=Work.CLOSE, at=NOON)))

        assert [row.claims for row in bench.claim(Work.CLOSE).rows] == [1]

    def test_makes_the_row_that_was_not_there(self, bench: Bench) -> None:
        order = bench.register()
        apply(bench, a_decision(order, due=None))
        gone = bench.due(order.id)

        apply(bench, a_decision(order, due=LATER))

        row = bench.due(order.id)
        assert gone is None
        assert row is not None
        assert (row.kind, row.due_at, row.step, row.lane) == ("poll", LATER.at, 2, bench.lane())

    def test_is_not_made_by_a_command_that_keeps_the_plan(self, bench: Bench) -> None:
        order = bench.register()
        before = bench.due(order.id)

        apply(bench, a_decision(order, due=None, keep_due=True, checkout_completed_at=NOON))

        assert bench.due(order.id) == before


class TestASecondFinding:
    def test_joins_the_open_case_once(self, bench: Bench) -> None:
        order = bench.register()
        first = CaseOpening(kind=CaseKind.CONTRADICTION, known="the order is PAID", provider_says="declined")
        second = CaseOpening(kind=CaseKind.CONTRADICTION, known="the order is PAID still", provider_says="expired")

        for opening in (first, second, second, first):
            apply(bench, a_decision(bench.order(order.id), openings=(opening,)))

        (case,) = bench.cases()
        assert (case.known, case.provider_says, case.opened_by) == ("the order is PAID", "expired", "system:test")
        assert [(entry.kind, entry.note) for entry in bench.tables().case_entries] == [
            ("opened", first.known),
            ("finding", second.known),
        ]
        assert len(bench.events("case.opened")) == 1
