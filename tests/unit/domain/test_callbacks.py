from dataclasses import replace
from datetime import timedelta

import pytest

from domain.model.case import CaseKind
from domain.model.delivery import DeliveryAnswer, DeliveryDecision, Head
from domain.model.due_work import Work
from domain.rules.callbacks import SCHEDULE, after_try, findings, in_a_wave, is_well
from tests.builders import HOURS, MINUTES, NOON, SECONDS, a_row

DELIVERED = DeliveryAnswer(delivered=True, status=204)
BROKEN = DeliveryAnswer(delivered=False, status=500, why="the endpoint answered 500")


def a_head(*, tries: int = 0, more: bool = False) -> Head:
    return Head(
        stream=7,
        event_row=1,
        event="evt_7_1",
        body=b"{}",
        url="https://shop.example/hooks",
        secrets=("whsec_c2VjcmV0",),
        endpoint=3,
        merchant="shop",
        order_id=7,
        first_tried_at=None,
        tries=tries,
        more=more,
    )


def tried(head: Head, answer: DeliveryAnswer) -> DeliveryDecision:
    return after_try(a_row(Work.DELIVER), head, answer, now=NOON, schedule=SCHEDULE)


class TestADeliveredEvent:
    def test_ends_the_stream_where_nothing_waits_behind_it(self) -> None:
        decision = tried(a_head(), DELIVERED)

        assert decision.delivered
        assert decision.due is None

    def test_lets_the_next_go_at_once(self) -> None:
        decision = tried(a_head(more=True), DELIVERED)

        assert decision.due is not None
        assert decision.due.at == NOON


class TestAFailedTry:
    @pytest.mark.parametrize(
        ("tries", "wait"),
        [(0, 5 * SECONDS), (1, 5 * MINUTES), (2, 30 * MINUTES), (3, 2 * HOURS), (4, 5 * HOURS), (5, 10 * HOURS),
         (6, 14 * HOURS), (7, 20 * HOURS), (8, 24 * HOURS)],
    )  # fmt: skip
    def test_is_repeated_by_the_schedule_give_or_take_a_tenth(self, tries: int, wait: timedelta) -> None:
        decision = tried(a_head(tries=tries), BROKEN)

        assert decision.due is not None
        assert 0.9 * wait <= decision.due.at - NOON <= 1.1 * wait

    def test_waits_as_long_as_the_endpoint_asks_for(self) -> None:
        decision = tried(a_head(), DeliveryAnswer(delivered=False, status=429, retry_after=3 * HOURS))

        assert decision.due is not None
        assert decision.due.at == NOON + 3 * HOURS

    def test_waits_no_longer_than_a_day_on_request(self) -> None:
        decision = tried(a_head(), DeliveryAnswer(delivered=False, status=503, retry_after=90 * HOURS))

        assert decision.due is not None
        assert decision.due.at == NOON + 24 * HOURS

    def test_keeps_the_next_event_behind_it(self) -> None:
        decision = tried(a_head(more=True), BROKEN)

        assert not decision.delivered
        assert not decision.given_up
        assert decision.due is not None
        assert decision.due.at > NOON


class TestAnEventThatWasTriedToTheEnd:
    def test_is_given_up_with_a_case(self) -> None:
        decision = tried(a_head(tries=9), BROKEN)

        assert decision.given_up
        assert decision.opening is not None
        assert decision.opening.kind is CaseKind.UNDELIVERABLE

    def test_lets_the_next_go(self) -> None:
        decision = tried(a_head(tries=9, more=True), BROKEN)

        assert decision.due is not None
        assert decision.due.at == NOON


class TestAnEndpointThatIsGone:
    def test_is_disabled_with_a_case_and_loses_nothing(self) -> None:
        decision = tried(a_head(), DeliveryAnswer(delivered=False, status=410, gone=True))

        assert decision.why_disabled == "the endpoint answered 410"
        assert decision.endpoint_opening is not None
        assert not decision.given_up
        assert decision.due is not None


class TestATry:
    @pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 410, 422])
    def test_that_is_answered_shows_that_the_endpoint_is_there(self, status: int) -> None:
        assert is_well(DeliveryAnswer(delivered=status < 300, status=status))

    @pytest.mark.parametrize("status", [None, 101, 302, 304, 408, 425, 429, 500, 503])
    def test_counts_as_failed_otherwise(self, status: int | None) -> None:
        assert not is_well(DeliveryAnswer(delivered=False, status=status))

    @pytest.mark.parametrize("status", [200, 404])
    def test_counts_as_failed_where_the_answer_broke_off(self, status: int) -> None:
        assert not is_well(DeliveryAnswer(delivered=False, status=status, whole=False))


FAILING = NOON - 2 * HOURS
DEAD = NOON - 120 * HOURS


class TestAnEndpointThatOnlyFails:
    def test_is_announced_after_an_hour_with_the_time_at_which_it_will_be_disabled(self) -> None:
        decision = tried(replace(a_head(), failing_since=FAILING), BROKEN)

        assert decision.endpoint_opening is not None
        assert decision.endpoint_opening.deadline == FAILING + 120 * HOURS
        assert not decision.disable

    def test_is_not_announced_sooner(self) -> None:
        assert tried(replace(a_head(), failing_since=NOON - 59 * MINUTES), BROKEN).endpoint_opening is None

    def test_is_disabled_after_five_days_and_what_waits_is_kept(self) -> None:
        decision = tried(replace(a_head(tries=9), failing_since=DEAD), BROKEN)

        assert decision.why_disabled == "nothing but failures since 2026-02-25 12:00Z"
        assert not decision.given_up
        assert decision.due is not None
        assert decision.endpoint_opening is not None

    def test_says_the_same_at_every_try(self) -> None:
        failing = replace(a_head(), failing_since=FAILING)

        found = [tried(failing, replace(BROKEN, why=f"{n} ms")).endpoint_opening for n in (1, 2)]

        assert len({opening.known for opening in found if opening is not None}) == 1

    def test_fails_no_more_once_it_has_taken_anything_of_the_same_wave(self) -> None:
        failing = replace(a_head(), failing_since=DEAD)

        heads = in_a_wave([(failing, BROKEN), (failing, DELIVERED)])

        assert [head.failing_since for head in heads] == [None, None]

    def test_settles_its_case_by_taking_something(self) -> None:
        assert tried(replace(a_head(), troubled=True), DELIVERED).settles
        assert not tried(a_head(), DELIVERED).settles


class TestWhatAWaveFindsOfAnEndpoint:
    def test_is_one_finding_however_many_events_it_gives_up(self) -> None:
        heads = [replace(a_head(tries=9), stream=n, event=f"evt_{n}_1") for n in range(3)]

        found = findings([tried(head, BROKEN) for head in heads])

        assert list(found) == [3]
        assert found[3].known.startswith("evt_0_1 was tried 10 times: the endpoint answered 500")
        assert "2 more events" in found[3].known
        assert found[3].details["given_up"] == "evt_0_1, evt_1_1, evt_2_1"

    def test_has_its_trouble_first_with_the_deadline(self) -> None:
        [found] = findings([tried(replace(a_head(tries=9), failing_since=FAILING), BROKEN)]).values()

        assert found.known.startswith("nothing but failures")
        assert "evt_7_1 was tried 10 times" in found.known
        assert found.deadline == FAILING + 120 * HOURS

    def test_is_nothing_where_all_goes_on(self) -> None:
        assert not findings([tried(a_head(), BROKEN), tried(a_head(), DELIVERED)])


class TestAScheduleOfItsOwn:
    @pytest.mark.parametrize(("tries", "wait"), [(0, 7 * SECONDS), (1, 70 * SECONDS)])
    def test_takes_the_place_of_the_usual_one(self, tries: int, wait: timedelta) -> None:
        decision = tried(replace(a_head(tries=tries), waits=(7 * SECONDS, 70 * SECONDS)), BROKEN)

        assert decision.due is not None
        assert 0.9 * wait <= decision.due.at - NOON <= 1.1 * wait

    def test_ends_when_it_is_used_up(self) -> None:
        assert tried(replace(a_head(tries=1), waits=(7 * SECONDS,)), BROKEN).given_up
