import json
from typing import Any

import pytest

from domain.model.case import CaseKind, CaseOpening
from domain.model.command import FieldError, RefusedMessage
from domain.model.delivery import DeliveryDecision, Head
from domain.model.due_work import Claim, Claimed, Due, LaneFamily, Work
from domain.model.order import Order, OrderStatus
from tests.builders import MINUTES, NOON, a_merchant, an_order
from tests.contract.test_apply import apply, moved
from tests.fakes.bench import LEASE, Bench
from tests.fakes.outbox import ACTOR
from tests.fakes.rows import StreamRow

RETRY = Due(work=Work.DELIVER, at=NOON + 5 * MINUTES, step=1)


def streams_of(bench: Bench, endpoint: int | None = None) -> list[StreamRow]:
    rows = sorted(bench.tables().streams.values(), key=lambda row: row.id)
    return [row for row in rows if endpoint is None or row.endpoint == endpoint]


def heads(bench: Bench, *streams: int) -> dict[int, Head]:
    with bench.units() as uow:
        return dict(uow.streams.heads(streams))


def claim_of(bench: Bench, endpoint: int) -> Claim:
    return bench.claim(Work.DELIVER, lane=bench.lane(str(endpoint), LaneFamily.ENDPOINT))


def a_try(row: Claimed, head: Head, **given: Any) -> DeliveryDecision:
    plain: dict[str, Any] = {"row": row, "head": head, "delivered": True, "status": 200, "error": None, "due": None}
    return DeliveryDecision(**plain | given)


def deliver(bench: Bench, endpoint: int, **given: Any) -> list[int]:
    """Try the heads of all streams that are due at this endpoint; each ends in the same way."""
    claim = claim_of(bench, endpoint)
    return save(bench, claim, **given)


def save(bench: Bench, claim: Claim, **given: Any) -> list[int]:
    found = heads(bench, *(row.subject for row in claim.rows))
    with bench.units() as uow:
        saved = uow.streams.apply([a_try(row, found[row.subject], **given) for row in claim.rows], claim)
        uow.commit()
    return list(saved)


def given_up(event: str) -> CaseOpening:
    return CaseOpening(
        kind=CaseKind.UNDELIVERABLE, known=f"{event} was tried in vain", details={"url": "u", "event": event}
    )


def paid(bench: Bench, order: Order) -> Order:
    apply(bench, moved(order, OrderStatus.PENDING, OrderStatus.PAID))
    return bench.order(order.id)


class TestAnEvent:
    def test_makes_one_stream_due_at_each_endpoint_of_its_merchant(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="other"))
        mine, also_mine = bench.add_endpoint(), bench.add_endpoint()
        bench.add_endpoint("other")

        order = bench.register()
        paid(bench, order)

        assert sorted(stream.endpoint for stream in streams_of(bench)) == sorted([mine, also_mine])
        assert {stream.order_id for stream in streams_of(bench)} == {order.id}
        rows = [bench.due(stream.id) for stream in streams_of(bench)]
        assert [row.due_at for row in rows if row is not None] == [NOON, NOON]

    def test_goes_only_where_its_type_is_wanted(self, bench: Bench) -> None:
        wanting = bench.add_endpoint(types=["order.status_changed", "case.opened"])
        bench.add_endpoint(types=["case.opened"])
        bench.add_endpoint(types=[])

        bench.register()

        assert [stream.endpoint for stream in streams_of(bench)] == [wanting]

    def test_of_no_order_is_a_stream_of_its_own(self, bench: Bench) -> None:
        bench.add_endpoint()
        error = FieldError(field="by", reason="is required")

        for body in ("1", "2"):
            message = RefusedMessage(
                name="n", merchant="shop", order=None, body=body, errors=(error,), channel="message"
            )
            with bench.units() as uow:
                uow.inbox.refuse([message])
                uow.commit()

        first, second = streams_of(bench)
        assert [first.single_event, second.single_event] == [event.id for event in bench.events()]
        assert heads(bench, first.id)[first.id].more is False

    def test_leaves_a_stream_that_backs_off_to_its_plan(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        order = bench.register()
        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY)

        paid(bench, order)

        (stream,) = streams_of(bench)
        row = bench.due(stream.id)
        assert row is not None
        assert (row.due_at, row.step) == (RETRY.at, 1)


class TestTheHeadOfAStream:
    def test_is_the_first_event_that_was_not_delivered(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        order = paid(bench, bench.register())
        (stream,) = streams_of(bench)

        seen = []
        for _ in range(3):
            head = heads(bench, stream.id)[stream.id]
            seen.append((json.loads(head.body)["data"]["status"], head.more))
            deliver(bench, endpoint, due=Due(work=Work.DELIVER, at=NOON))

        assert seen == [("NEW", True), ("PENDING", True), ("PAID", False)]
        assert heads(bench, stream.id) == {}
        assert order.sequence == 3

    def test_says_where_it_goes_and_what_was_tried(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        order = bench.register()
        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY)
        (stream,) = streams_of(bench)

        head = heads(bench, stream.id)[stream.id]

        assert (head.stream, head.endpoint, head.merchant, head.order_id) == (stream.id, endpoint, "shop", order.id)
        assert (head.url, head.secrets) == ("https://shop.example/hook", ("whsec_AAAA",))
        assert (head.event, head.tries, head.first_tried_at) == (f"evt_{order.id}_1", 1, NOON)
        assert head.body == bench.events()[0].body

    def test_passes_over_the_types_that_nobody_wants_there(self, bench: Bench) -> None:
        bench.add_endpoint(types=["case.opened"])
        order = bench.register()
        opening = CaseOpening(kind=CaseKind.CONTRADICTION, known="this and that")

        apply(bench, moved(order, OrderStatus.PENDING, openings=(opening,)))

        (stream,) = streams_of(bench)
        head = heads(bench, stream.id)[stream.id]
        assert json.loads(head.body)["type"] == "case.opened"
        assert head.more is False


class TestATry:
    def test_that_delivered_moves_the_cursor_and_ends_the_row(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        (stream,) = streams_of(bench)

        saved = deliver(bench, endpoint)

        (delivery,) = bench.tables().deliveries.values()
        assert saved == [stream.id]
        assert bench.due(stream.id) is None
        assert streams_of(bench)[0].cursor == bench.events()[0].id
        assert (delivery.state, delivery.tries, delivery.status) == ("delivered", 1, 200)

    def test_that_failed_keeps_the_head_and_is_counted(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        (stream,) = streams_of(bench)

        deliver(bench, endpoint, delivered=False, status=503, error="503", due=RETRY)
        bench.clock.now = RETRY.at
        deliver(bench, endpoint, delivered=False, status=None, error="no answer", due=RETRY)

        (delivery,) = bench.tables().deliveries.values()
        assert streams_of(bench)[0].cursor < bench.events()[0].id
        assert (delivery.state, delivery.tries, delivery.error) == ("pending", 2, "no answer")
        assert delivery.first_tried_at == NOON
        assert heads(bench, stream.id)[stream.id].tries == 2

    def test_that_was_the_last_opens_a_case_of_which_no_callback_tells(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        (stream,) = streams_of(bench)
        event = bench.events()[0].event

        deliver(bench, endpoint, delivered=False, status=500, error="500", given_up=True, opening=given_up(event))

        (case,) = bench.cases()
        (delivery,) = bench.tables().deliveries.values()
        assert (case.kind, case.subject, case.order_id) == (CaseKind.UNDELIVERABLE, endpoint, None)
        assert delivery.state == "failed"
        assert heads(bench, stream.id) == {}
        assert bench.events("case.opened") == []
        assert bench.due(stream.id) is None

    def test_that_was_told_that_nobody_listens_disables_the_endpoint_and_rests_its_lane(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        opening = CaseOpening(kind=CaseKind.UNDELIVERABLE, known="410")
        again = Due(work=Work.DELIVER, at=NOON)

        deliver(
            bench,
            endpoint,
            delivered=False,
            status=410,
            why_disabled="it answered 410",
            due=again,
            endpoint_opening=opening,
        )

        tables = bench.tables()
        assert tables.endpoints[endpoint].enabled is False
        assert tables.lanes[bench.lane(str(endpoint), LaneFamily.ENDPOINT)].paused is True
        assert [case.subject for case in bench.cases()] == [endpoint]
        assert bench.due(streams_of(bench)[0].id) is not None

    def test_under_a_lost_lease_writes_nothing(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        late = claim_of(bench, endpoint)
        bench.clock.wait(LEASE)
        claim_of(bench, endpoint)

        assert save(bench, late) == []
        assert bench.tables().deliveries == {}
        assert streams_of(bench)[0].cursor < bench.events()[0].id

    def test_ends_no_row_for_which_more_came_meanwhile(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        order = bench.register()
        claim = claim_of(bench, endpoint)
        found = heads(bench, *(row.subject for row in claim.rows))
        paid(bench, order)

        with bench.units() as uow:
            uow.streams.apply([a_try(row, found[row.subject]) for row in claim.rows], claim)
            uow.commit()

        (stream,) = streams_of(bench)
        row = bench.due(stream.id)
        assert row is not None
        assert (row.due_at, row.lease) == (NOON, None)
        assert heads(bench, stream.id)[stream.id].event == f"evt_{order.id}_2"


class TestAStreamWithNothingToDeliver:
    @pytest.mark.parametrize("came", [False, True])
    def test_ends_unless_an_event_came_meanwhile(self, bench: Bench, came: bool) -> None:  # noqa: FBT001
        endpoint = bench.add_endpoint()
        order = bench.register(an_order())
        claim = claim_of(bench, endpoint)
        if came:
            paid(bench, order)

        with bench.units() as uow:
            uow.streams.end(claim, claim.rows)
            uow.commit()

        assert (bench.due(streams_of(bench)[0].id) is not None) is came


class TestAnEndpointThatFails:
    def test_is_remembered_since_its_first_failure_until_it_takes_something(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()

        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY)
        bench.clock.now = RETRY.at
        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY)
        since = bench.tables().failing_since
        deliver(bench, endpoint)

        assert since == {endpoint: NOON}
        assert bench.tables().failing_since == {}

    def test_has_one_case_which_is_closed_when_it_takes_something(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        opening = CaseOpening(kind=CaseKind.UNDELIVERABLE, known="only failures", deadline=NOON + 5 * MINUTES)

        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY, endpoint_opening=opening)
        bench.clock.now = RETRY.at
        deliver(bench, endpoint, delivered=False, status=500, error="500", due=RETRY, endpoint_opening=opening)
        (open_one,) = bench.cases()
        (stream,) = streams_of(bench)
        troubled = heads(bench, stream.id)[stream.id].troubled
        deliver(bench, endpoint, settles=True)

        (case,) = bench.cases()
        assert (open_one.subject, open_one.deadline, open_one.opened_by) == (endpoint, opening.deadline, ACTOR)
        assert troubled
        assert (case.closed_by, case.note) == (ACTOR, "it was delivered")
        assert [(entry.kind, entry.actor) for entry in bench.tables().case_entries] == [
            ("opened", ACTOR),
            ("closed", ACTOR),
        ]


class TestAnEndpointAtWhichManyEventsAreGivenUp:
    def test_has_one_case_to_which_each_wave_is_added_and_one_mail(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        for wave in range(2):
            for number in range(3):
                bench.register(an_order(reference=f"order-{wave}-{number}", payment=f"pay-{wave}-{number}"))
            self._give_up(bench, endpoint)

        (case,) = bench.cases()
        tables = bench.tables()
        assert case.subject == endpoint
        assert [entry.kind for entry in tables.case_entries] == ["opened", "finding"]
        assert all("2 more events" in str(entry.note) for entry in tables.case_entries)
        assert [mail.audience for mail in tables.mails.values()] == ["operator"]

    def test_keeps_it_open_while_any_of_them_is_missing(self, bench: Bench) -> None:
        endpoint = bench.add_endpoint()
        bench.register()
        self._give_up(bench, endpoint)
        bench.register(an_order(reference="order-2", payment="pay-2"))

        deliver(bench, endpoint, settles=True)

        (case,) = bench.cases()
        assert case.closed_at is None

    def _give_up(self, bench: Bench, endpoint: int) -> None:
        claim = claim_of(bench, endpoint)
        found = heads(bench, *(row.subject for row in claim.rows))
        tries = [
            a_try(
                row,
                found[row.subject],
                delivered=False,
                status=500,
                error="500",
                given_up=True,
                opening=given_up(found[row.subject].event),
            )
            for row in claim.rows
        ]
        with bench.units() as uow:
            uow.streams.apply(tries, claim)
            uow.commit()


class TestANewEndpoint:
    def test_hears_what_happens_from_its_making_on(self, bench: Bench) -> None:
        order = bench.register()
        bench.add_endpoint()

        paid(bench, order)

        (stream,) = streams_of(bench)
        head = heads(bench, stream.id)[stream.id]
        assert json.loads(head.body)["data"]["sequence"] == 2
        assert stream.start == stream.cursor == head.event_row - 1
