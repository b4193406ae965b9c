import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.model.command import RecordAttempt
from domain.model.due_work import LaneFamily, Work
from domain.model.order import OrderStatus
from domain.model.transaction import AttemptState
from domain.usecases.drain import Answered
from tests.builders import HOURS, NOON, PAYMENT, SECONDS, a_merchant, a_policy, a_record
from tests.fakes.bench import Bench
from tests.unit.usecases.yard import Yard, a_cancel, a_registration


@pytest.fixture
def yard(bench: Bench) -> Yard:
    return Yard(bench)


class TestARegistration:
    def test_makes_an_order_with_its_terms_and_its_first_poll(self, yard: Yard) -> None:
        yard.receive(a_registration(bill={"number": "B-1"}))

        order = yard.the_order()
        assert (order.status, order.sequence, order.version) == (OrderStatus.NEW, 1, 1)
        assert yard.due(order).kind == "poll"
        assert [e.event for e in yard.bench.events()] == [f"evt_{order.id}_1"]
        assert yard.bench.tables().bills[order.id] == {"number": "B-1"}
        assert [row.state for row in yard.bench.tables().inbox.values()] == ["applied"]

    def test_has_the_effect_of_once_however_often_it_comes(self, yard: Yard) -> None:
        yard.receive(a_registration(), a_registration())
        yard.receive(a_registration())

        assert len(yard.bench.tables().orders) == 1
        assert len(yard.bench.events()) == 1
        assert yard.bench.tables().refused == {}

    def test_with_other_content_is_refused_and_the_first_stands(self, yard: Yard) -> None:
        yard.receive(a_registration())

        yard.receive(a_registration(amount="200.00"))

        (refused,) = yard.bench.tables().refused.values()
        assert refused.order == "order-1"
        assert str(yard.the_order().amount).startswith("100")

    def test_of_a_payment_that_another_order_has_named_is_refused(self, yard: Yard) -> None:
        yard.receive(a_registration(), a_registration(order="order-2"))
        yard.receive(a_registration(order="order-3"))

        assert yard.the_order().reference == "order-1"
        assert sorted(row.order or "" for row in yard.bench.tables().refused.values()) == ["order-2", "order-3"]

    def test_of_an_order_that_another_message_has_registered_is_refused(self, yard: Yard) -> None:
        yard.receive(a_registration())

        yard.receive(a_registration(reference="pay-2"), key="another-key")

        assert yard.the_order().transaction.reference == PAYMENT
        assert len(yard.bench.tables().refused) == 1

    def test_that_is_refused_leaves_its_key_to_a_better_message(self, yard: Yard) -> None:
        yard.receive(a_registration(currency="XXX"))

        yard.receive(a_registration())

        assert yard.the_order().status is OrderStatus.NEW
        assert len(yard.bench.tables().refused) == 1

    def test_of_a_merchant_that_nobody_knows_is_kept_and_harms_nobody(self, yard: Yard) -> None:
        yard.receive(a_registration(merchant="stranger"), a_registration())

        assert yard.the_order().merchant == "shop"
        assert [row.merchant for row in yard.bench.tables().refused.values()] == ["stranger"]

    def test_takes_its_timeouts_from_its_merchant_before_its_provider(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="quick", cancellation_timeout=90 * SECONDS))
        yard = Yard(bench, policy=a_policy(cancellation_timeout=5 * HOURS))

        yard.receive(a_registration(merchant="quick"))

        assert yard.the_order().timeouts.cancellation == 90 * SECONDS

    def test_is_not_undone_by_another_of_the_same_batch(self, yard: Yard) -> None:
        registrations = [a_registration(order=f"o{n}", reference=f"p{n}") for n in range(20)]
        registrations[7] = a_registration(order="o7", reference="p7", amount="1.234")

        yard.receive(*registrations)

        assert len(yard.bench.tables().orders) == 19
        assert [row.order for row in yard.bench.tables().refused.values()] == ["o7"]


class TestARegistrationThatComesAlone:
    """It is kept at once, and registered with those beside it by the next drain of the inbox."""

    @pytest.fixture
    def yard(self, yard: Yard) -> Yard:
        yard.bench.lane("shop", LaneFamily.MERCHANT)
        return yard

    def test_is_no_order_before_the_inbox_is_drained(self, yard: Yard) -> None:
        yard.keep(a_registration())
        before = dict(yard.bench.tables().orders)

        yard.apply_waiting()

        assert before == {}
        assert yard.the_order().status is OrderStatus.NEW
        assert yard.due(yard.the_order()).kind == "poll"
        assert [row.state for row in yard.bench.tables().inbox.values()] == ["applied"]
        assert yard.hints.given[:1] == [Work.COMMAND]

    def test_stays_its_senders_though_it_is_registered_with_others(self, yard: Yard) -> None:
        yard.bench.add_merchant(a_merchant(id="other"))
        yard.bench.lane("other", LaneFamily.MERCHANT)
        yard.keep(a_registration())
        yard.keep(a_registration(merchant="other", reference="pay-2"), actor="merchant:other")

        yard.apply_waiting()

        orders = {order.merchant: order.id for order in yard.bench.tables().orders.values()}
        actors = {merchant: yard.bench.history(key)[0].actor for merchant, key in orders.items()}
        assert actors == {"shop": "merchant:key", "other": "merchant:other"}

    def test_loses_its_payment_to_the_first_and_its_merchant_is_told(self, yard: Yard) -> None:
        yard.keep(a_registration(order="o1"))
        yard.bench.clock.wait(1 * SECONDS)
        yard.keep(a_registration(order="o2"))

        yard.apply_waiting()

        assert yard.the_order().reference == "o1"
        states = {row.order: row.state for row in yard.bench.tables().inbox.values()}
        assert states == {"o1": "applied", "o2": "refused"}
        (told,) = yard.bench.events("message.refused")
        assert json.loads(told.body)["data"]["errors"] == [
            {"field": "reference", "reason": f"another order has named {PAYMENT!r} before"}
        ]

    def test_may_come_again_better_after_it_was_refused(self, yard: Yard) -> None:
        yard.keep(a_registration(currency="XXX"))
        yard.apply_waiting()

        yard.keep(a_registration(), content="better")
        yard.apply_waiting()

        assert yard.the_order().status is OrderStatus.NEW

    def test_that_was_sent_before_changes_nothing(self, yard: Yard) -> None:
        yard.keep(a_registration())
        yard.keep(a_registration())
        yard.apply_waiting()
        yard.keep(a_registration())

        assert yard.apply_waiting() == 0
        assert len(yard.bench.tables().orders) == 1
        assert yard.bench.tables().refused == {}

    def test_with_other_content_than_before_is_refused(self, yard: Yard) -> None:
        yard.keep(a_registration())
        yard.keep(a_registration(amount="99.00"), content="other")
        yard.apply_waiting()

        assert yard.the_order().amount == Decimal("100.00")
        assert len(yard.bench.tables().refused) == 1

    def test_of_a_merchant_without_a_lane_is_registered_at_once_and_makes_one(self, bench: Bench) -> None:
        yard = Yard(bench)

        yard.keep(a_registration(order="o1"))
        at_once = len(bench.tables().orders)
        yard.keep(a_registration(order="o2", reference="pay-2"))

        assert (at_once, len(bench.tables().orders)) == (1, 1)
        assert yard.apply_waiting() == 1

    def test_lets_what_came_meanwhile_for_its_order_be_carried_out(self, yard: Yard) -> None:
        yard.keep(a_registration())
        yard.receive(a_cancel())

        yard.apply_waiting()
        yard.apply_waiting()

        assert yard.the_order().cancel_request is not None

    def test_harms_no_other_where_its_rule_raises(self, yard: Yard) -> None:
        for number in range(7):
            yard.keep(a_registration(order=f"o{number}", reference=f"p{number}"))
        broken = yard.says(a_registration(order="o3", reference="p3"))
        del yard.commands[broken]

        yard.apply_waiting()

        assert {order.reference for order in yard.bench.tables().orders.values()} == {
            "o0", "o1", "o2", "o4", "o5", "o6",
        }  # fmt: skip
        assert [row.order for row in yard.bench.tables().inbox.values() if row.state == "waiting"] == ["o3"]


class MoreComes:
    """Another order comes alone whenever one was registered, as often as it is told."""

    def __init__(self, yard: Yard, times: int) -> None:
        self._yard = yard
        self._inner = yard.applying()
        self._left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def committed(self) -> None:
        self._inner.committed()
        if self._left:
            self._yard.keep(a_registration(order=f"more-{self._left}", reference=f"pay-{self._left}"))
            self._left -= 1


class TestADrainThatGathers:
    @pytest.mark.parametrize(("gathers", "worked"), [(False, 4), (True, 1)])
    def test_leaves_what_comes_meanwhile_to_the_next(self, yard: Yard, *, gathers: bool, worked: int) -> None:
        yard.bench.lane("shop", LaneFamily.MERCHANT)
        yard.pace = replace(yard.pace, gathers=gathers)
        yard.keep(a_registration())

        assert yard.drain(MoreComes(yard, times=3)) == worked

    def test_goes_on_while_its_claims_are_full(self, yard: Yard) -> None:
        yard.bench.lane("shop", LaneFamily.MERCHANT)
        yard.pace = replace(yard.pace, gathers=True, claim_size=2)
        for number in range(5):
            yard.keep(a_registration(order=f"o{number}", reference=f"p{number}"))

        assert yard.apply_waiting() == 5


class SlowToSave:
    """Commands that wait, carried out so slowly that the lease runs out and another drain carries them out."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._inner = yard.applying()
        self.overtaken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def collect(self, timeout: float) -> Sequence[Answered]:
        answered = self._inner.collect(timeout)
        if answered and not self.overtaken:
            self.overtaken = True
            self._yard.bench.clock.wait(1 * HOURS)
            self._yard.apply_waiting()
        return answered


class TestACommandThatComesBeforeItsOrder:
    def test_waits_and_is_applied_when_the_order_is_registered(self, yard: Yard) -> None:
        yard.receive(a_cancel())
        waiting = self._state(yard)

        yard.receive(a_registration())
        yard.apply_waiting()

        assert waiting == "waiting"
        assert yard.the_order().cancel_request is not None
        assert self._state(yard) == "accepted"
        assert yard.due(yard.the_order()).kind == "close"

    def test_is_tried_again_by_itself(self, yard: Yard) -> None:
        yard.receive(a_cancel())

        yard.bench.clock.wait(5 * SECONDS)
        worked = yard.apply_waiting()

        assert worked == 1
        assert self._state(yard) == "waiting"
        assert len(yard.bench.tables().due) == 1

    def test_is_refused_and_announced_after_24_hours(self, yard: Yard) -> None:
        yard.receive(a_cancel())

        yard.bench.clock.now = NOON + 24 * HOURS
        yard.apply_waiting()

        assert self._state(yard) == "refused"
        assert len(yard.bench.events("message.refused")) == 1
        assert yard.bench.tables().due == {}

    def test_is_refused_if_its_order_does_not_allow_it(self, yard: Yard) -> None:
        attempt = RecordAttempt(merchant="shop", order="order-1", id="a-1", state=AttemptState.PENDING)
        other = RecordAttempt(merchant="shop", order="order-1", id="a-2", state=AttemptState.PENDING)
        yard.receive(attempt, other)

        yard.receive(a_registration(attempts_allowed=1))
        yard.apply_waiting()

        states = sorted(row.state for row in yard.bench.tables().inbox.values())
        assert states == ["applied", "applied", "refused"]
        assert len(yard.the_order().transaction.attempts) == 1

    def test_is_carried_out_once_though_a_lease_was_lost(self, yard: Yard) -> None:
        yard.receive(a_cancel())
        yard.receive(a_registration())
        slow = SlowToSave(yard)

        yard.drain(slow)

        assert slow.overtaken
        assert self._state(yard) == "accepted"
        assert [entry.kind for entry in yard.bench.tables().timeline] == ["cancel_requested"]

    def test_waits_once_however_often_it_comes(self, yard: Yard) -> None:
        yard.receive(a_cancel())
        yard.receive(a_cancel(), a_cancel())

        assert len(yard.bench.tables().inbox) == 1
        assert len(yard.bench.tables().due) == 1

    @staticmethod
    def _state(yard: Yard) -> str:
        (state,) = [row.state for row in yard.bench.tables().inbox.values() if row.name == "intake.cancel_order"]
        return state


class TestACommandThatIsRepeated:
    def test_changes_nothing_more(self, yard: Yard) -> None:
        yard.receive(a_registration())
        yard.receive(a_cancel())
        before = yard.the_order()

        yard.receive(a_cancel())

        assert yard.the_order() == before

    def test_under_the_same_key_with_other_content_is_refused(self, yard: Yard) -> None:
        yard.receive(a_registration())
        yard.receive(a_cancel(), key="k")

        yard.receive(a_cancel(reason="other"), key="k")

        assert len(yard.bench.tables().refused) == 1

    def test_that_the_order_refuses_is_counted_once_and_announced_once(self, yard: Yard) -> None:
        yard.receive(a_registration())
        yard.provider.says(PAYMENT, a_record("paid"))
        yard.poll_when_due(yard.the_order())

        yard.receive(a_cancel())
        yard.receive(a_cancel())

        (refused,) = yard.bench.tables().refused.values()
        assert refused.times == 2
        assert len(yard.bench.events("message.refused")) == 1
