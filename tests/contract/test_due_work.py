import pytest

from domain.model.case import CaseKind
from domain.model.due_work import Claimed, Due, Work
from tests.builders import HOURS, MINUTES, NOON, SECONDS, an_order
from tests.fakes.bench import LEASE, Bench, only

LATER = Due(work=Work.WATCH, at=NOON + 1 * HOURS, step=3)


def some_orders(bench: Bench, count: int, due: Due = Due(work=Work.POLL, at=NOON)) -> list[int]:  # noqa: B008
    named = [an_order(reference=f"{due.work}-{due.at}-{n}", payment=f"{due.work}-{due.at}-{n}") for n in range(count)]
    return [order.id for order in bench.register_many(named, due)]


def claim_in_vain(bench: Bench, times: int) -> None:
    for _ in range(times):
        bench.claim()
        bench.clock.wait(LEASE)


def suspects(bench: Bench) -> list[Claimed]:
    lane = bench.lane()
    with bench.units() as uow:
        return list(uow.due_work.suspects([lane], [Work.POLL, Work.CLOSE]))


class TestAClaim:
    def test_takes_what_is_due_and_nothing_else(self, bench: Bench) -> None:
        due = some_orders(bench, 1)
        some_orders(bench, 1, Due(work=Work.POLL, at=NOON + 1 * SECONDS))

        claim = bench.claim()

        assert [row.subject for row in claim.rows] == due

    def test_takes_first_what_was_due_first(self, bench: Bench) -> None:
        second = some_orders(bench, 1, Due(work=Work.POLL, at=NOON - 1 * MINUTES))
        first = some_orders(bench, 1, Due(work=Work.POLL, at=NOON - 2 * MINUTES))
        some_orders(bench, 1)

        assert [row.subject for row in bench.claim(most=2).rows] == first + second

    def test_says_what_the_row_holds_and_counts_itself(self, bench: Bench) -> None:
        subject = some_orders(bench, 1, Due(work=Work.CLOSE, at=NOON, step=4))[0]

        claim = bench.claim(Work.CLOSE)

        assert claim.rows == [
            Claimed(subject=subject, work=Work.CLOSE, lane=bench.lane(), due_at=NOON, step=4, generation=0, claims=1)
        ]
        assert claim.leased_until == NOON + LEASE

    def test_takes_of_each_lane_and_work_no_more_than_was_wanted(self, bench: Bench) -> None:
        other = bench.lane("other")
        bench.register_many([an_order(reference=f"o{n}", payment=f"p{n}", provider="other") for n in range(3)])
        some_orders(bench, 3)
        some_orders(bench, 3, Due(work=Work.WATCH, at=NOON))

        lane = bench.lane()
        with bench.units() as uow:
            found = uow.due_work.candidates({lane: {Work.POLL: 2, Work.WATCH: 1}, other: {Work.POLL: 0}})

        counts = {lane: {work: len(rows) for work, rows in works.items()} for lane, works in found.items()}
        assert counts == {lane: {Work.POLL: 2, Work.WATCH: 1}}

    def test_finds_nothing_where_nothing_is_wanted(self, bench: Bench) -> None:
        some_orders(bench, 1)

        with bench.units() as uow:
            assert not uow.due_work.candidates({})

    def test_hides_its_rows_until_the_lease_ends(self, bench: Bench) -> None:
        some_orders(bench, 1)
        bench.claim()

        bench.clock.wait(LEASE - 1 * SECONDS)
        before = bench.claim()
        bench.clock.wait(1 * SECONDS)
        after = bench.claim()

        assert before.rows == []
        assert [row.claims for row in after.rows] == [2]

    def test_is_undone_with_its_unit_of_work(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        before = bench.due(subject)

        lane = bench.lane()
        with bench.units() as uow:
            rows = uow.due_work.candidates({lane: {Work.POLL: 1}})[lane][Work.POLL]
            uow.due_work.lease(rows, until=NOON + LEASE)

        assert bench.due(subject) == before

    def test_goes_on_under_the_token_that_it_is_given(self, bench: Bench) -> None:
        some_orders(bench, 2)
        first = bench.claim(most=1)

        lane = bench.lane()
        with bench.units() as uow:
            rows = uow.due_work.candidates({lane: {Work.POLL: 9}})[lane][Work.POLL]
            second = uow.due_work.lease(rows, until=NOON + LEASE, token=first.token)
            uow.commit()

        assert second.token == first.token
        assert bench.plan(first, LATER) == {first.rows[0].subject}
        assert bench.plan(second, LATER) == {second.rows[0].subject}


class TestARowThatWasClaimedInVain:
    def test_is_healthy_until_the_third_time(self, bench: Bench) -> None:
        subjects = some_orders(bench, 1)

        claim_in_vain(bench, 2)

        assert suspects(bench) == []
        assert [row.subject for row in bench.claim().rows] == subjects

    def test_is_a_suspect_then_and_claimed_alone(self, bench: Bench) -> None:
        some_orders(bench, 2)

        claim_in_vain(bench, 3)

        assert bench.claim().rows == []
        assert [row.claims for row in suspects(bench)] == [3]

    def test_is_no_suspect_of_another_lane_or_work(self, bench: Bench) -> None:
        some_orders(bench, 1)
        claim_in_vain(bench, 3)

        lane = bench.lane()
        with bench.units() as uow:
            assert uow.due_work.suspects([lane], [Work.WATCH]) == []
            assert uow.due_work.suspects([lane + 1], [Work.POLL]) == []

    def test_is_healthy_again_after_its_outcome_is_saved(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        bench.claim()
        bench.clock.wait(LEASE)

        bench.plan(bench.claim(), LATER)

        row = bench.due(subject)
        assert row is not None
        assert (row.claims, row.lease, row.last_error) == (0, None, None)


class TestSettling:
    def test_writes_the_next_plan(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]

        held = bench.plan(bench.claim(), LATER)

        row = bench.due(subject)
        assert held == {subject}
        assert row is not None
        assert (row.kind, row.due_at, row.step, row.generation) == ("watch", LATER.at, 3, 0)

    def test_ends_the_row_that_has_no_next_plan(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]

        bench.plan(bench.claim(), None)

        assert bench.due(subject) is None

    @pytest.mark.parametrize("plan", [LATER, None])
    def test_overwrites_no_plan_that_was_made_meanwhile(self, bench: Bench, plan: Due | None) -> None:
        subject = some_orders(bench, 1)[0]
        claim = bench.claim()
        bump(bench, subject)
        leased = bench.due(subject)

        held = bench.plan(claim, plan)

        row = bench.due(subject)
        assert leased is not None
        assert leased.due_at == NOON + LEASE
        assert held == {subject}
        assert row is not None
        assert (row.kind, row.due_at, row.generation, row.lease) == ("poll", NOON, 1, None)

    def test_saves_nothing_of_an_order_that_changed_since_it_was_read(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        claim = bench.claim()

        held = bench.plan(claim, LATER, versions={subject: 99})

        row = bench.due(subject)
        assert held == frozenset()
        assert row is not None
        assert (row.kind, row.due_at, row.lease, row.claims) == ("poll", NOON, None, 0)

    def test_refuses_a_lease_that_another_holds_now(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        late = bench.claim()
        bench.clock.wait(LEASE)
        bench.claim()
        before = bench.due(subject)

        held = bench.plan(late, LATER)

        assert held == frozenset()
        assert bench.due(subject) == before

    def test_is_still_allowed_after_the_lease_if_nobody_else_came(self, bench: Bench) -> None:
        subjects = some_orders(bench, 1)
        claim = bench.claim()
        bench.clock.wait(LEASE)

        assert bench.plan(claim, LATER) == set(subjects)

    def test_leaves_the_rest_of_the_claim_alone(self, bench: Bench) -> None:
        first, second = some_orders(bench, 2)
        claim = bench.claim()

        bench.plan(only(claim, first), LATER)

        row = bench.due(second)
        assert row is not None
        assert row.lease == claim.token


def bump(bench: Bench, subject: int) -> None:
    with bench.units() as uow:
        uow.due_work.bump([subject])
        uow.commit()


class TestABump:
    def test_makes_due_now_what_was_planned_for_later(self, bench: Bench) -> None:
        subject = some_orders(bench, 1, Due(work=Work.POLL, at=NOON + 1 * HOURS))[0]

        bump(bench, subject)

        row = bench.due(subject)
        assert row is not None
        assert (row.due_at, row.generation) == (NOON, 1)

    def test_delays_nothing_that_is_overdue(self, bench: Bench) -> None:
        subject = some_orders(bench, 1, Due(work=Work.POLL, at=NOON - 1 * HOURS))[0]

        bump(bench, subject)

        row = bench.due(subject)
        assert row is not None
        assert row.due_at == NOON - 1 * HOURS

    def test_makes_no_row_where_nothing_is_owed(self, bench: Bench) -> None:
        bump(bench, 12345)

        assert bench.due(12345) is None


class TestARowThatIsGivenUp:
    def test_is_due_again_with_its_error_and_its_count(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        claim = bench.claim()

        with bench.units() as uow:
            uow.due_work.release(claim, {subject: "ValueError()"}, until=NOON + 30 * SECONDS)
            uow.commit()

        row = bench.due(subject)
        assert row is not None
        assert (row.due_at, row.last_error, row.claims, row.lease) == (NOON + 30 * SECONDS, "ValueError()", 1, None)

    def test_stays_with_whoever_holds_it_now(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        late = bench.claim()
        bench.clock.wait(LEASE)
        bench.claim()
        before = bench.due(subject)

        with bench.units() as uow:
            uow.due_work.release(late, {subject: "late"}, until=bench.clock.now)
            uow.commit()

        assert bench.due(subject) == before


def park(bench: Bench, subject: int, *, error: str | None = None) -> None:
    claim = bench.claim()
    if error is not None:
        with bench.units() as uow:
            uow.due_work.release(claim, {subject: error}, until=NOON)
            uow.commit()
        claim = bench.claim()
    with bench.units() as uow:
        uow.due_work.park(claim, [subject])
        uow.commit()


class TestARowThatIsParked:
    def test_is_a_case_that_holds_its_last_error(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]

        park(bench, subject, error="KeyError('x')")

        case = bench.cases()[0]
        assert bench.due(subject) is None
        assert (case.kind, case.subject, case.order_id, case.merchant) == (CaseKind.STUCK, subject, subject, "shop")
        assert "KeyError('x')" in case.known
        assert case.amount_at_risk == an_order().amount
        assert [event.event for event in bench.events("case.opened")] == [f"evt_case_{case.id}_opened"]

    def test_says_that_its_worker_died_if_nothing_is_known(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]

        park(bench, subject)

        assert "its worker died" in bench.cases()[0].known

    def test_stays_with_whoever_holds_it_now(self, bench: Bench) -> None:
        subject = some_orders(bench, 1)[0]
        late = bench.claim()
        bench.clock.wait(LEASE)
        bench.claim()

        with bench.units() as uow:
            uow.due_work.park(late, [subject])
            uow.commit()

        assert bench.cases() == []
        assert bench.due(subject) is not None
