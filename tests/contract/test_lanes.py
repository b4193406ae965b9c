from dataclasses import replace

import pytest

from domain.model.due_work import Due, Lane, LaneFamily, Work
from tests.builders import NOON, SECONDS, an_order
from tests.fakes.bench import LEASE, Bench


def due_lanes(bench: Bench, *works: Work) -> list[str]:
    with bench.units() as uow:
        return [lane.name for lane in uow.lanes.lock_due(works or (Work.POLL, Work.WATCH))]


class TestLanes:
    def test_are_made_once_for_a_name_of_a_family(self, bench: Bench) -> None:
        with bench.units() as uow:
            first = uow.lanes.ensure(LaneFamily.PROVIDER, ["b", "a", "b"])
            uow.commit()
        with bench.units() as uow:
            second = uow.lanes.ensure(LaneFamily.PROVIDER, ["a", "c"])
            other = uow.lanes.ensure(LaneFamily.MERCHANT, ["a"])
            uow.commit()

        assert set(first) == {"a", "b"}
        assert second["a"] == first["a"]
        assert len({*first.values(), *second.values(), *other.values()}) == 4

    def test_are_locked_in_the_order_of_their_ids(self, bench: Bench) -> None:
        ids = [bench.lane("z"), bench.lane("y"), bench.lane("x")]

        with bench.units() as uow:
            locked = [lane.id for lane in uow.lanes.lock(reversed(ids))]

        assert locked == ids

    def test_keep_what_is_saved_and_the_operators_switches(self, bench: Bench) -> None:
        key = bench.lane()
        bench.switch(key, no_effects=True)
        lane = Lane(
            id=key,
            family=LaneFamily.PROVIDER,
            name="acme",
            tokens=1.5,
            refilled_at=NOON,
            failures=3,
            paused_until=NOON + 9 * SECONDS,
        )

        with bench.units() as uow:
            uow.lanes.save([replace(lane, paused=True)])
            uow.commit()

        assert bench.tables().lanes[key] == replace(lane, no_effects=True)

    def test_are_saved_even_if_there_are_none(self, bench: Bench) -> None:
        before = bench.tables().lanes

        with bench.units() as uow:
            uow.lanes.save([])
            uow.commit()

        assert bench.tables().lanes == before


class TestALaneThatMayBeAsked:
    def test_has_something_due_of_these_works(self, bench: Bench) -> None:
        bench.lane("idle")
        bench.register(due=Due(work=Work.WATCH, at=NOON))

        assert due_lanes(bench) == ["acme"]
        assert due_lanes(bench, Work.POLL, Work.CANCEL) == []

    def test_has_it_due_now(self, bench: Bench) -> None:
        bench.register(due=Due(work=Work.POLL, at=NOON + 1 * SECONDS))

        before = due_lanes(bench)
        bench.clock.wait(1 * SECONDS)

        assert (before, due_lanes(bench)) == ([], ["acme"])

    def test_has_it_unleased(self, bench: Bench) -> None:
        bench.register()
        bench.claim()

        assert due_lanes(bench) == []

    def test_may_have_nothing_but_a_suspect(self, bench: Bench) -> None:
        bench.register()
        for _ in range(3):
            bench.claim()
            bench.clock.wait(LEASE)

        assert due_lanes(bench) == ["acme"]

    @pytest.mark.parametrize("switches", [{"paused": True}, {"paused_until": NOON + 1 * SECONDS}])
    def test_is_not_paused(self, bench: Bench, switches: dict[str, object]) -> None:
        bench.register()
        bench.switch(bench.lane(), **switches)

        assert due_lanes(bench) == []

    def test_is_paused_no_more_when_its_pause_ends(self, bench: Bench) -> None:
        bench.lane("other")
        bench.register(an_order(provider="other"))
        bench.switch(bench.lane("other"), paused_until=NOON)

        assert due_lanes(bench) == ["other"]
