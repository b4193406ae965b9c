"""The store's side of reversals: what is opened, read, locked, planned and saved."""

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import Claim, Claimed, Due, Work
from domain.model.money import Currency
from domain.model.reversal import Ask, LastAnswer, Reversal, ReversalAttempt, ReversalDecision, TimeoutCause
from domain.model.transaction import ReversalOutcome
from domain.ports.persistence import Conflict
from domain.rules.events import reversal_ended
from tests.builders import HOURS, MINUTES, NOON, PAYMENT, PROVIDER, a_reversal, a_void, money
from tests.fakes.bench import LEASE, Bench, only, row_of
from tests.fakes.rows import DueRow

AT_ONCE = Due(work=Work.REVERSE, at=NOON)
LATER = Due(work=Work.REVERSE, at=NOON + 5 * MINUTES, step=2)
PRECISE = money("12345678901234567890.123456789012345678")
RISK = CaseOpening(
    kind=CaseKind.SETTLED_UNREVERSED, known="it was not undone", provider_says="paid", amount_at_risk=money("100.00")
)


def opened(bench: Bench, reversal: Reversal | None = None, due: Due = AT_ONCE) -> Reversal:
    """Store a reversal under a fresh id, and return it as it is read back."""
    with bench.units() as uow:
        fresh = replace(reversal or a_reversal(), id=uow.orders.next_ids(1)[0])
        uow.reversals.open(fresh, due, actor="merchant:shop")
        uow.commit()
    return read(bench, fresh.id)


def read(bench: Bench, key: int) -> Reversal:
    with bench.units() as uow:
        return uow.reversals.get_many([key])[key]


def decided(before: Reversal, row: Claimed, **given: Any) -> ReversalDecision:
    """Return a decision; what is named of the reversal is changed."""
    reversal = replace(before, **{name: given.pop(name) for name in list(given) if hasattr(before, name)})
    plain: dict[str, Any] = {"before": before, "reversal": reversal, "row": row, "due": LATER}
    return ReversalDecision(**plain | given)


def ended(before: Reversal, row: Claimed, **given: Any) -> ReversalDecision:
    after = replace(before, outcome=ReversalOutcome.SETTLEMENT_PASSED, ended_at=NOON)
    event = reversal_ended(after, order=None)
    return decided(before, row, outcome=after.outcome, ended_at=NOON, due=None, event=event, openings=(RISK,), **given)


def apply(bench: Bench, claim: Claim, *decisions: ReversalDecision) -> list[int]:
    with bench.units() as uow:
        saved = uow.reversals.apply(decisions, claim)
        uow.commit()
    return list(saved)


class TestAReversal:
    def test_is_read_back_as_it_was_opened(self, bench: Bench) -> None:
        whole = a_reversal(
            currency=Currency("BIG", 18),
            amount=PRECISE,
            response_code="798",
            cause=TimeoutCause.PARTIAL_RESPONSE,
            order="order-ü",
        )

        stored = opened(bench, whole)

        assert stored == replace(whole, id=stored.id)

    def test_has_a_due_row_in_its_providers_lane(self, bench: Bench) -> None:
        stored = opened(bench, due=LATER)

        assert bench.due(stored.id) == DueRow(
            subject=stored.id, lane=bench.lane(), kind="reverse", due_at=LATER.at, step=2
        )

    def test_is_opened_once_for_a_payment(self, bench: Bench) -> None:
        opened(bench)

        with pytest.raises(Conflict):
            opened(bench, a_reversal(amount=money("1.00")))

    def test_is_opened_for_the_same_reference_of_another_provider(self, bench: Bench) -> None:
        bench.lane("other")
        opened(bench)

        assert opened(bench, a_reversal(provider="other")).provider == "other"

    def test_is_not_there_before_it_is_committed(self, bench: Bench) -> None:
        with bench.units() as uow:
            uow.reversals.open(replace(a_reversal(), id=uow.orders.next_ids(1)[0]), AT_ONCE, actor="merchant:shop")

        assert bench.tables().reversals == {}
        assert bench.tables().due == {}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount": money("0")},
            {"amount": money(10**20)},
            {"response_code": "00"},
            {"settles_at": NOON - 1 * MINUTES},
            {"reference": ""},
        ],
        ids=str,
    )
    def test_is_refused_by_the_tables_if_it_cannot_be(self, bench: Bench, wrong: dict[str, Any]) -> None:
        with pytest.raises(bench.violation):
            opened(bench, a_reversal(**wrong))

    def test_is_found_by_its_payment(self, bench: Bench) -> None:
        stored = opened(bench)

        with bench.units() as uow:
            found = uow.reversals.lock(PROVIDER, PAYMENT)
            nothing = (uow.reversals.lock(PROVIDER, "pay-2"), uow.reversals.lock("other", PAYMENT))

        assert found == stored
        assert nothing == (None, None)

    def test_that_is_unknown_is_left_out(self, bench: Bench) -> None:
        stored = opened(bench)

        with bench.units() as uow:
            assert uow.reversals.get_many([stored.id, stored.id + 1000]) == {stored.id: stored}


class TestADecisionOfAReversal:
    def test_is_written_with_every_field(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)
        changes: dict[str, Any] = {
            "attempts": 3,
            "on_record": True,
            "last_answer": LastAnswer.RECORD,
            "last_asked_at": NOON + 1 * MINUTES,
            "provider_status": "authorized",
            "intent": a_void(asked=True),
        }

        saved = apply(bench, claim, decided(before, row_of(claim, before.id), intents=(a_void(asked=True),), **changes))

        assert saved == [before.id]
        assert read(bench, before.id) == replace(before, **changes, version=2)

    def test_plans_what_is_next(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)

        apply(bench, claim, decided(before, row_of(claim, before.id), due=Due(work=Work.VOID, at=NOON, step=1)))

        row = bench.due(before.id)
        assert row is not None
        assert (row.kind, row.due_at, row.step, row.claims, row.lease) == ("void", NOON, 1, 0, None)

    def test_keeps_every_attempt_in_its_order(self, bench: Bench) -> None:
        before = opened(bench)
        first = ReversalAttempt(
            asked=Ask.INQUIRY,
            key=None,
            answer={"answer": "record", "status": "authorized"},
            decided="void",
            next_at=NOON,
        )
        second = ReversalAttempt(asked=Ask.VOID, key="key-1", answer={}, decided="stop: VOIDED", next_at=None)

        for attempt in (first, second):
            claim = bench.claim(Work.REVERSE)
            apply(bench, claim, decided(before, row_of(claim, before.id), attempt=attempt, due=AT_ONCE))

        assert [
            (row.reversal_id, row.at, row.asked, row.key, row.answer, row.decided, row.next_at)
            for row in bench.tables().reversal_attempts
        ] == [
            (before.id, NOON, "inquiry", None, {"answer": "record", "status": "authorized"}, "void", NOON),
            (before.id, NOON, "void", "key-1", {}, "stop: VOIDED", None),
        ]

    def test_updates_intents_in_place_and_shows_the_latest(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)
        apply(bench, claim, decided(before, row_of(claim, before.id), intents=(a_void(),), due=AT_ONCE))
        claim = bench.claim(Work.REVERSE)
        both = (a_void(refused_in="pending"), a_void(2))

        apply(bench, claim, decided(before, row_of(claim, before.id), intents=both, intent=a_void(2)))

        assert set(bench.tables().reversal_intents.values()) == set(both)
        assert read(bench, before.id).intent == a_void(2)

    def test_that_ends_it_takes_the_due_row_away_and_tells_of_it_with_its_case(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)

        apply(bench, claim, ended(before, row_of(claim, before.id)))

        after, (case,) = read(bench, before.id), bench.cases()
        assert (after.outcome, after.ended_at) == (ReversalOutcome.SETTLEMENT_PASSED, NOON)
        assert bench.due(before.id) is None
        assert [event.event for event in bench.events("reversal.ended")] == [f"evt_reversal_{before.id}_ended"]
        assert json.loads(bench.events("reversal.ended")[0].body)["data"]["outcome"] == "SETTLEMENT_PASSED"
        assert (case.kind, case.subject, case.order_id, case.merchant) == (RISK.kind, before.id, None, "shop")
        assert (case.known, case.provider_says, case.amount_at_risk) == (RISK.known, "paid", money("100.00"))
        assert len(bench.events("case.opened")) == 1

    def test_opens_a_case_of_a_kind_once(self, bench: Bench) -> None:
        before = opened(bench)

        for _ in range(2):
            claim = bench.claim(Work.REVERSE)
            apply(bench, claim, decided(before, row_of(claim, before.id), openings=(RISK,), due=AT_ONCE))

        assert [case.kind for case in bench.cases()] == [RISK.kind]

    def test_names_the_order_that_the_case_is_about(self, bench: Bench) -> None:
        order, before = bench.register(), opened(bench)
        claim = bench.claim(Work.REVERSE)

        apply(bench, claim, ended(before, row_of(claim, before.id), order_id=order.id))

        assert [case.order_id for case in bench.cases()] == [order.id]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"outcome": ReversalOutcome.VOIDED},
            {"ended_at": NOON},
            {"intents": (a_void(confirmed=True, refused_in="paid"),)},
            {"attempt": ReversalAttempt(asked=Ask.VOID, key=None, answer={}, decided="void", next_at=None)},
            {"attempt": ReversalAttempt(asked=Ask.INQUIRY, key="k", answer={}, decided="void", next_at=None)},
        ],
        ids=str,
    )
    def test_is_refused_by_the_tables_if_it_cannot_be(self, bench: Bench, wrong: dict[str, Any]) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)

        with pytest.raises(bench.violation):
            apply(bench, claim, decided(before, row_of(claim, before.id), **wrong))

        assert read(bench, before.id) == before


class TestADecisionUnderAClaim:
    def test_is_dropped_if_the_lease_is_anothers(self, bench: Bench) -> None:
        before = opened(bench)
        late = bench.claim(Work.REVERSE)
        bench.clock.wait(LEASE)
        bench.claim(Work.REVERSE)

        saved = apply(bench, late, ended(before, row_of(late, before.id), intents=(a_void(),)))

        assert saved == []
        assert read(bench, before.id) == before
        assert (bench.cases(), bench.events("reversal.ended")) == ([], [])
        assert bench.tables().reversal_intents == {}

    def test_keeps_a_plan_that_was_made_meanwhile(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)
        with bench.units() as uow:
            uow.reversals.plan(before, Due(work=Work.REVERSE, at=NOON))
            uow.commit()

        saved = apply(bench, claim, decided(before, row_of(claim, before.id), attempts=1, due=LATER))

        row = bench.due(before.id)
        assert saved == [before.id]
        assert read(bench, before.id).attempts == 1
        assert row is not None
        assert (row.kind, row.due_at, row.lease) == ("reverse", NOON, None)

    def test_is_dropped_alone(self, bench: Bench) -> None:
        many = [opened(bench, a_reversal(reference=f"pay-{n}")) for n in range(3)]
        claim = bench.claim(Work.REVERSE)
        bench.clock.wait(LEASE)
        another = bench.claim(Work.REVERSE, most=1)
        lost = another.rows[0].subject

        saved = apply(bench, claim, *(ended(each, row_of(claim, each.id)) for each in many))

        assert sorted(saved) == [each.id for each in many if each.id != lost]
        assert read(bench, lost).outcome is None

    def test_of_nothing_writes_nothing(self, bench: Bench) -> None:
        before = opened(bench)
        claim = bench.claim(Work.REVERSE)

        assert apply(bench, only(claim)) == []
        assert read(bench, before.id) == before


class TestAPlanFromOutside:
    def test_makes_it_due_as_it_says_and_forgives_the_claims_of_the_past(self, bench: Bench) -> None:
        stored = opened(bench, due=Due(work=Work.VOID, at=NOON))
        claim = bench.claim(Work.VOID)
        with bench.units() as uow:
            uow.due_work.release(claim, {stored.id: "ValueError"}, until=NOON + 1 * HOURS)
            uow.commit()

        with bench.units() as uow:
            uow.reversals.plan(stored, AT_ONCE)
            uow.commit()

        assert [(row.work, row.claims) for row in bench.claim(Work.REVERSE).rows] == [(Work.REVERSE, 1)]


class TestAClaimInVain:
    def test_too_often_becomes_a_stuck_case_of_the_reversal(self, bench: Bench) -> None:
        stored = opened(bench)
        claim = bench.claim(Work.REVERSE)

        with bench.units() as uow:
            uow.due_work.park(claim, [stored.id])
            uow.commit()

        (case,) = bench.cases()
        assert (case.kind, case.subject, case.merchant) == (CaseKind.STUCK, stored.id, "shop")
        assert (case.amount_at_risk, case.currency) == (money("100.00"), "EUR")
        assert bench.due(stored.id) is None
        assert stored.settles_at == NOON + 6 * HOURS
