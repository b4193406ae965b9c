from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.model.decision import Survey
from domain.model.due_work import Claimed, Lane, Work
from domain.rules.lanes import POLLING, REVERSING, after, is_probing, is_ready, refill, spend
from tests.builders import HOURS, MINUTES, NOON, SECONDS, a_lane, a_row, limits

Candidates = dict[Work, list[Claimed]]


def waiting(**counts: int) -> Candidates:
    """Return {work: so many due rows}, as `waiting(poll=3)`."""
    return {Work(name): [a_row(Work(name), subject=n) for n in range(count)] for name, count in counts.items()}


def chosen(candidates: Candidates, *, lane: Lane | None = None, room: int = 100, bulk: int = 1) -> dict[str, int]:
    """Return {work: how many of its rows are taken}."""
    _, rows = spend(lane or a_lane(), limits(bulk=bulk), candidates, room=room)
    works = [row.work for row in rows]
    return {work.value: works.count(work) for work in candidates}


class TestALanesTokens:
    def test_grow_with_time(self) -> None:
        lane = refill(a_lane(tokens=1.0, refilled_at=NOON), limits(), NOON + timedelta(milliseconds=450))

        assert lane.tokens == pytest.approx(5.5)
        assert lane.refilled_at == NOON + timedelta(milliseconds=450)

    def test_hold_a_seconds_worth_at_most(self) -> None:
        assert refill(a_lane(tokens=0.0, refilled_at=NOON), limits(), NOON + 24 * HOURS).tokens == 10.0

    def test_are_full_at_first(self) -> None:
        assert refill(a_lane(tokens=0.0, refilled_at=None), limits(), NOON).tokens == 10.0

    def test_reach_a_whole_one_at_the_slowest_rate(self) -> None:
        slow = limits(requests_per_second=0.1)

        assert refill(a_lane(tokens=0.0, refilled_at=NOON), slow, NOON + 10 * SECONDS).tokens == pytest.approx(1.0)

    def test_are_not_given_twice_by_a_clock_that_went_back(self) -> None:
        back = refill(a_lane(tokens=0.0, refilled_at=NOON), limits(), NOON - 1 * MINUTES)

        assert (back.tokens, back.refilled_at) == (0.0, NOON)

    def test_are_calls_and_not_orders(self) -> None:
        lane, rows = spend(a_lane(tokens=10.0), limits(bulk=100), waiting(poll=250), room=100)

        assert len(rows) == 250
        assert lane.tokens == 7.0

    def test_are_one_for_each_effect_even_where_inquiries_are_bulk(self) -> None:
        lane, rows = spend(a_lane(tokens=10.0), limits(bulk=100), waiting(cancel=3, void=2), room=100)

        assert len(rows) == 5
        assert lane.tokens == 5.0

    @pytest.mark.parametrize(("tokens", "room"), [(0.9, 100), (10.0, 0)])
    def test_must_be_there_and_there_must_be_room(self, tokens: float, room: int) -> None:
        lane, rows = spend(a_lane(tokens=tokens), limits(), waiting(void=5), room=room)

        assert rows == []
        assert lane.tokens == tokens

    def test_are_spent_up_to_the_room_only(self) -> None:
        assert chosen(waiting(poll=50), room=3) == {"poll": 3}


class TestTheOrderOfSpending:
    def test_is_void_cancel_close_poll_watch(self) -> None:
        _, rows = spend(a_lane(), limits(), waiting(watch=1, poll=1, close=1, cancel=1, void=1), room=100)

        assert [row.work for row in rows] == [Work.VOID, Work.CANCEL, Work.CLOSE, Work.POLL, Work.WATCH]

    def test_serves_what_is_dear_first(self) -> None:
        taken = chosen(waiting(void=4, cancel=50, close=50))

        assert taken == {"void": 4, "cancel": 6, "close": 0}

    @pytest.mark.parametrize("flood", ["void", "cancel", "close"])
    def test_never_starves_polls_and_watches_altogether(self, flood: str) -> None:
        taken = chosen(waiting(**{flood: 500}, poll=500, watch=500))

        assert taken == {flood: 8, "poll": 1, "watch": 1}

    def test_never_starves_watches_behind_polls(self) -> None:
        assert chosen(waiting(poll=500, watch=500)) == {"poll": 8, "watch": 2}

    def test_keeps_nothing_for_what_does_not_wait(self) -> None:
        assert chosen(waiting(close=500)) == {"close": 10}
        assert chosen(waiting(close=500, watch=1)) == {"close": 9, "watch": 1}

    def test_gives_every_kind_its_turn_in_a_lane_of_one_call(self) -> None:
        candidates = waiting(close=9, poll=9, watch=9)

        turns = [chosen(candidates, lane=a_lane(tokens=1.0, refilled_at=NOON + n * SECONDS)) for n in range(100)]

        total = {work: sum(turn[work] for turn in turns) for work in ("close", "poll", "watch")}
        assert total == {"close": 80, "poll": 16, "watch": 4}

    def test_gives_every_kind_its_turn_whatever_the_rhythm_of_the_claims(self) -> None:
        candidates = waiting(close=9, watch=9)

        moments = [NOON + n * timedelta(milliseconds=250) for n in range(100)]
        taken = [chosen(candidates, lane=a_lane(tokens=1.0, refilled_at=at))["watch"] for at in moments]

        assert 10 <= sum(taken) <= 30

    def test_leaves_effects_alone_where_the_operator_switched_them_off(self) -> None:
        taken = chosen(waiting(void=5, cancel=5, close=5), lane=a_lane(no_effects=True))

        assert taken == {"void": 0, "cancel": 0, "close": 5}

    @pytest.mark.parametrize("work", ["deliver", "command"])
    def test_serves_lanes_that_have_work_of_their_own(self, work: str) -> None:
        assert chosen(waiting(**{work: 50})) == {work: 10}


class TestALane:
    @pytest.mark.parametrize(
        ("lane", "ready"),
        [
            (a_lane(), True),
            (a_lane(paused=True), False),
            (a_lane(paused_until=NOON + 1 * SECONDS), False),
            (a_lane(paused_until=NOON), True),
        ],
    )
    def test_is_ready_unless_it_is_paused(self, lane: Lane, ready: bool) -> None:  # noqa: FBT001 - the expectation
        assert is_ready(lane, NOON) is ready

    def test_pauses_when_too_many_calls_failed_in_a_row(self) -> None:
        lane = after(a_lane(failures=3), limits(), Survey(lane=1, intelligible=0, failed=2), NOON)

        assert lane.paused_until == NOON + 30 * SECONDS
        assert is_probing(lane, limits())

    def test_goes_on_below_that(self) -> None:
        lane = after(a_lane(failures=2), limits(), Survey(lane=1, intelligible=0, failed=2), NOON)

        assert (lane.failures, lane.paused_until) == (4, None)

    def test_probes_with_a_single_call_after_its_pause(self) -> None:
        assert chosen(waiting(poll=50), lane=a_lane(failures=5)) == {"poll": 1}

    def test_pauses_again_when_its_probe_failed(self) -> None:
        lane = after(a_lane(failures=5), limits(), Survey(lane=1, intelligible=0, failed=1), NOON)

        assert lane.paused_until == NOON + 30 * SECONDS

    @pytest.mark.parametrize("failed", [0, 1, 50])
    def test_is_well_again_after_any_intelligible_answer(self, failed: int) -> None:
        lane = after(a_lane(failures=5), limits(), Survey(lane=1, intelligible=1, failed=failed), NOON)

        assert (lane.failures, lane.paused_until) == (0, None)

    def test_is_not_paused_by_a_wave_in_which_nothing_failed(self) -> None:
        lane = after(a_lane(failures=5), limits(), Survey(lane=1, intelligible=0, failed=0), NOON)

        assert lane.paused_until is None

    @pytest.mark.parametrize(("wanted", "kept"), [(2 * MINUTES, 2 * MINUTES), (9 * HOURS, 15 * MINUTES)])
    def test_waits_as_long_as_the_provider_asks_and_at_most_a_quarter_of_an_hour(
        self, wanted: timedelta, kept: timedelta
    ) -> None:
        survey = Survey(lane=1, intelligible=5, failed=1, pause_until=NOON + wanted)

        assert after(a_lane(), limits(), survey, NOON).paused_until == NOON + kept

    def test_never_shortens_a_pause(self) -> None:
        paused = a_lane(paused_until=NOON + 10 * MINUTES, failures=9)
        survey = Survey(lane=1, intelligible=0, failed=1, pause_until=NOON + 1 * SECONDS)

        assert after(paused, limits(), survey, NOON).paused_until == NOON + 10 * MINUTES


class TestTwoQueuesInOneLane:
    def test_leave_most_calls_to_what_acts(self) -> None:
        candidates = waiting(void=50, poll=50)

        _, polls = spend(a_lane(tokens=10.0), limits(), candidates, room=100, beside=REVERSING)

        assert [row.work for row in polls] == [Work.POLL] * 2

    def test_leave_some_calls_to_what_asks(self) -> None:
        candidates = waiting(reverse=50, poll=50)

        _, queries = spend(a_lane(tokens=10.0), limits(), candidates, room=100, beside=POLLING)

        assert [row.work for row in queries] == [Work.REVERSE] * 8

    @pytest.mark.parametrize("beside", [REVERSING, POLLING])
    def test_keep_nothing_for_what_is_not_due(self, beside: Sequence[Work]) -> None:
        mine = Work.POLL if beside is REVERSING else Work.REVERSE

        _, rows = spend(a_lane(tokens=10.0), limits(), waiting(**{mine: 50}), room=100, beside=beside)

        assert len(rows) == 10

    def test_take_turns_where_there_is_one_call(self) -> None:
        candidates = waiting(reverse=9, poll=9)
        lanes = [a_lane(tokens=1.0, refilled_at=NOON + n * SECONDS) for n in range(100)]

        polls = [spend(lane, limits(), candidates, room=100, beside=REVERSING)[1] for lane in lanes]
        queries = [spend(lane, limits(), candidates, room=100, beside=POLLING)[1] for lane in lanes]

        assert (sum(map(len, polls)), sum(map(len, queries))) == (20, 80)

    def test_keep_nothing_for_effects_that_are_switched_off(self) -> None:
        _, polls = spend(a_lane(no_effects=True), limits(), waiting(void=50, poll=50), room=100, beside=REVERSING)

        assert len(polls) == 10
