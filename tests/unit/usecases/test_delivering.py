import json

import pytest

from domain.model.case import CaseKind
from domain.model.delivery import DeliveryAnswer
from domain.model.due_work import LaneFamily
from tests.builders import HOURS, MINUTES, NOON, PAYMENT, SECONDS, a_cadence, a_record
from tests.fakes.bench import Bench
from tests.unit.usecases.yard import Yard, a_registration

SERVER_ERROR = DeliveryAnswer(delivered=False, status=500, why="500")
SILENCE = DeliveryAnswer(delivered=False, why="no answer")
ELSEWHERE = DeliveryAnswer(delivered=False, status=302, why="HTTP 302")
TRUNCATED = DeliveryAnswer(delivered=False, status=200, why="broken off", whole=False)
UNKNOWN = DeliveryAnswer(delivered=False, status=404, why="HTTP 404")
GONE = DeliveryAnswer(delivered=False, status=410, why="410", gone=True)


@pytest.fixture
def yard(bench: Bench) -> Yard:
    yard = Yard(bench)
    bench.add_endpoint()
    yard.receive(a_registration())
    yard.provider.says(PAYMENT, a_record("pending"), a_record("paid"))
    return yard


def told(yard: Yard) -> list[str]:
    return [str(json.loads(delivery.body)["data"].get("status")) for delivery in yard.endpoints.tries]


class TestAnOrdersCallbacks:
    def test_are_delivered_in_their_order(self, yard: Yard) -> None:
        yard.poll_when_due(yard.the_order(), times=2)

        yard.deliver()

        assert told(yard) == ["NEW", "PENDING", "PAID"]
        assert yard.bench.tables().due == {}

    def test_are_signed_for_the_time_of_the_try_and_frozen_since_the_event(self, yard: Yard) -> None:
        first = yard.bench.events()[0]
        yard.endpoints.answers[first.event] = [SERVER_ERROR]

        yard.deliver()
        yard.bench.clock.wait(1 * MINUTES)
        yard.deliver()

        one, two = yard.endpoints.tries
        assert one.body == two.body == first.body
        assert (one.at, two.at) == (NOON, NOON + 1 * MINUTES)
        assert one.event == two.event

    def test_wait_for_the_one_before_them(self, yard: Yard) -> None:
        yard.endpoints.answers[yard.bench.events()[0].event] = [SERVER_ERROR]
        yard.deliver(a_cadence((5 * MINUTES, 3)))

        yard.poll_when_due(yard.the_order(), times=2)
        yard.deliver()
        before = told(yard)
        yard.bench.clock.wait(5 * MINUTES)
        yard.deliver()

        assert before == ["NEW"]
        assert told(yard) == ["NEW", "NEW", "PENDING", "PAID"]

    def test_are_given_up_with_a_case_and_the_next_goes_on(self, yard: Yard) -> None:
        yard.endpoints.answers[yard.bench.events()[0].event] = [SERVER_ERROR] * 2
        schedule = a_cadence((5 * SECONDS, 1))

        yard.deliver(schedule)
        yard.bench.clock.wait(5 * SECONDS)
        yard.deliver(schedule)
        yard.poll_when_due(yard.the_order(), times=2)
        yard.deliver(schedule)

        (case,) = yard.bench.cases()
        assert case.kind == CaseKind.UNDELIVERABLE
        assert told(yard)[-2:] == ["PENDING", "PAID"]

    def test_of_one_order_do_not_wait_for_those_of_another(self, yard: Yard) -> None:
        yard.endpoints.answers[yard.bench.events()[0].event] = [SERVER_ERROR] * 9
        yard.receive(a_registration(order="order-2", reference="pay-2"))

        yard.deliver()

        assert told(yard) == ["NEW", "NEW"]
        assert [row.kind for row in yard.bench.tables().due.values()].count("deliver") == 1


class TestAnEndpoint:
    def test_that_wants_no_more_is_disabled_and_left_alone(self, yard: Yard) -> None:
        yard.endpoints.answers[yard.bench.events()[0].event] = [GONE]

        yard.deliver()
        yard.poll_when_due(yard.the_order(), times=2)
        yard.deliver()

        (endpoint,) = yard.bench.tables().endpoints.values()
        assert not endpoint.enabled
        assert told(yard) == ["NEW"]
        assert [case.subject for case in yard.bench.cases()] == [endpoint.id]

    def test_that_is_enabled_again_gets_everything_that_waited(self, yard: Yard) -> None:
        yard.endpoints.answers[yard.bench.events()[0].event] = [GONE]
        yard.deliver()
        (endpoint,) = yard.bench.tables().endpoints
        yard.poll_when_due(yard.the_order(), times=2)

        yard.bench.switch(yard.bench.lane(str(endpoint), LaneFamily.ENDPOINT), paused=False)
        yard.deliver()

        assert told(yard) == ["NEW", "NEW", "PENDING", "PAID"]

    def test_that_refuses_what_it_is_told_is_not_left_alone(self, yard: Yard) -> None:
        yard.receive(*[a_registration(order=f"o-{n}", reference=f"p-{n}") for n in range(9)])
        for event in yard.bench.events():
            yard.endpoints.answers[event.event] = [UNKNOWN] * 9

        yard.deliver()

        (endpoint,) = yard.bench.tables().endpoints
        lane = yard.bench.tables().lanes[yard.bench.lane(str(endpoint), LaneFamily.ENDPOINT)]
        assert (lane.failures, lane.paused_until) == (0, None)

    @pytest.mark.parametrize("answer", [SILENCE, SERVER_ERROR, ELSEWHERE, TRUNCATED])
    def test_that_takes_nothing_is_left_alone_after_a_while(self, yard: Yard, answer: DeliveryAnswer) -> None:
        yard.receive(*[a_registration(order=f"o-{n}", reference=f"p-{n}") for n in range(9)])
        for event in yard.bench.events():
            yard.endpoints.answers[event.event] = [answer] * 9

        yard.deliver()

        (endpoint,) = yard.bench.tables().endpoints
        lane = yard.bench.tables().lanes[yard.bench.lane(str(endpoint), LaneFamily.ENDPOINT)]
        assert lane.paused_until is not None
        assert lane.paused_until > NOON

    def test_that_names_a_time_is_tried_no_sooner(self, yard: Yard) -> None:
        busy = DeliveryAnswer(delivered=False, status=429, why="429", retry_after=2 * MINUTES)
        yard.endpoints.answers[yard.bench.events()[0].event] = [busy]

        yard.deliver()

        (stream,) = yard.bench.tables().streams
        assert yard.due(stream).due_at >= NOON + 2 * MINUTES

    def test_that_only_fails_is_announced_then_disabled_and_keeps_what_waits(self, yard: Yard) -> None:
        (first, *_) = yard.bench.events()
        yard.endpoints.answers[first.event] = [SERVER_ERROR] * 99
        schedule = a_cadence((30 * MINUTES, 1000))

        yard.deliver(schedule)
        yard.bench.clock.wait(2 * HOURS)
        yard.deliver(schedule)
        (announced,) = yard.bench.cases()
        yard.bench.clock.now = NOON + 121 * HOURS
        yard.deliver(schedule)

        (endpoint,) = yard.bench.tables().endpoints.values()
        (case,) = yard.bench.cases()
        assert (announced.subject, announced.deadline) == (endpoint.id, NOON + 120 * HOURS)
        assert not endpoint.enabled
        assert case.closed_at is None
        assert [entry.kind for entry in yard.bench.tables().case_entries] == ["opened", "finding"]
        (stream,) = yard.bench.tables().streams
        assert yard.bench.due(stream) is not None

    def test_that_takes_something_again_closes_its_case(self, yard: Yard) -> None:
        (first, *_) = yard.bench.events()
        yard.endpoints.answers[first.event] = [SERVER_ERROR] * 2
        schedule = a_cadence((30 * MINUTES, 1000))
        for _ in range(3):
            yard.deliver(schedule)
            yard.bench.clock.wait(2 * HOURS)

        (case,) = yard.bench.cases()
        assert (case.kind, case.note) == (CaseKind.UNDELIVERABLE, "it was delivered")
        assert yard.bench.tables().failing_since == {}
