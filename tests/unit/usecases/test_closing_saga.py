"""An unpaid order on its way to its end, through every use case that has a part in it."""

import pytest

from domain.model.answer import Refused, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.command import CheckoutCompleted
from domain.model.due_work import Work
from domain.model.order import CanceledBy, OrderStatus
from domain.model.transaction import Effect, ParentState
from tests.builders import HOURS, MINUTES, NOON, PAYMENT, a_record
from tests.fakes.bench import LEASE, Bench
from tests.unit.usecases.yard import Yard, a_cancel, a_registration, statuses_of

KEY = f"trueup:cancel:acme:{PAYMENT}:1"


@pytest.fixture
def yard(bench: Bench) -> Yard:
    return Yard(bench)


class TestAnOrder:
    def test_is_registered_polled_and_paid(self, yard: Yard) -> None:
        yard.receive(a_registration())
        yard.provider.says(PAYMENT, a_record("pending"), a_record("paid"))

        yard.poll_when_due(yard.the_order(), times=2)

        order = yard.the_order()
        assert statuses_of(yard.bench, order.id) == ["NEW", "PENDING", "PAID"]
        assert order.transaction.state is ParentState.PAID
        assert yard.bench.due(order.id) is None
        assert [e.sequence for e in yard.bench.events("order.status_changed")] == [1, 2, 3]
        moved = [fields["to"] for event, fields in yard.reports if event == "order.moved"]
        assert moved == [OrderStatus.PENDING, OrderStatus.PAID]
        assert Work.DELIVER in yard.hints.given

    def test_stays_as_it_is_while_nobody_can_be_asked(self, yard: Yard) -> None:
        yard.receive(a_registration())
        yard.provider.says(PAYMENT, Unreachable(why="no connection"))

        yard.poll_when_due(yard.the_order(), times=3)

        assert statuses_of(yard.bench, yard.the_order().id) == ["NEW"]
        assert yard.due(yard.the_order()).due_at > yard.bench.clock.now


class TestACancelThatADeadWorkerMayHaveSent:
    @pytest.mark.parametrize(("found", "sent"), [("pending", [KEY]), ("canceled", [])])
    def test_is_asked_about_first(self, bench: Bench, found: str, sent: list[str]) -> None:
        yard = Yard(bench)
        yard.receive(a_registration(cancellation_timeout=5 * MINUTES))
        yard.provider.says(PAYMENT, a_record("pending"))
        yard.provider.does(Effect.CANCEL, PAYMENT, a_record("canceled"))
        bench.clock.now = NOON + 5 * MINUTES
        yard.drain(yard.polling())
        bench.claim(Work.CANCEL)
        bench.clock.wait(LEASE)
        yard.provider.says(PAYMENT, a_record(found), a_record("canceled"))

        yard.poll()

        order = yard.the_order()
        assert [call.key for call in yard.provider.effects] == sent
        assert (order.status, order.canceled_by, order.reason) == ("CANCELED", "system", "cancellation_timeout")
        assert [row.kind for row in bench.tables().timeline].count("effect_in_doubt") == 1


class TestAnOrderAtItsCheckoutDeadline:
    @pytest.fixture
    def yard(self, bench: Bench) -> Yard:
        yard = Yard(bench)
        yard.receive(a_registration(checkout_timeout=2 * MINUTES))
        yard.receive(CheckoutCompleted(merchant="shop", order="order-1", at=NOON))
        yard.provider.says(PAYMENT, a_record("pending"))
        yard.poll()
        bench.clock.now = NOON + 2 * MINUTES
        return yard

    def test_is_canceled_there_then_here_and_watched(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, a_record("canceled"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("canceled"))

        yard.poll()

        order = yard.the_order()
        assert order.status is OrderStatus.CANCELED
        assert (order.canceled_by, order.reason) == (CanceledBy.SYSTEM, "checkout_timeout")
        assert [call.key for call in yard.provider.effects] == [KEY]
        assert order.watching
        assert yard.due(order).kind == Work.WATCH

    def test_records_its_intent_before_it_acts(self, yard: Yard) -> None:
        recorded = []
        yard.provider.says(PAYMENT, a_record("pending"))

        def look() -> Unreachable:
            recorded.append([intent.key for intent in yard.bench.tables().intents.values()])
            return Unreachable(why="cut off")

        yard.provider.does(Effect.CANCEL, PAYMENT, look)

        yard.poll()

        assert recorded == [[KEY]]

    def test_is_paid_if_the_provider_took_the_money_while_we_were_canceling(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, Refused(payment_status="paid"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("paid", paid_at=NOON + 1 * MINUTES))

        yard.poll()

        assert statuses_of(yard.bench, yard.the_order().id) == ["NEW", "PENDING", "PAID"]
        assert yard.bench.cases() == []

    def test_is_unresolved_if_the_money_came_after_the_deadline(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, Refused(payment_status="paid"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("paid", paid_at=NOON + 3 * MINUTES))
        yard.bench.clock.wait(2 * MINUTES)

        yard.poll()

        assert yard.the_order().status is OrderStatus.UNRESOLVED
        assert [case.kind for case in yard.bench.cases()] == [CaseKind.LATE_PAYMENT]

    @pytest.mark.parametrize("lost", [Unreachable(why="no answer"), Unintelligible(why="cut off")])
    def test_sends_the_same_key_again_after_a_lost_answer(self, yard: Yard, lost: Unreachable | Unintelligible) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, lost, a_record("canceled"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("pending"), a_record("canceled"))

        yard.poll()
        open_still = yard.the_order().status
        yard.poll_when_due(yard.the_order())

        assert open_still is OrderStatus.PENDING
        assert [call.key for call in yard.provider.effects] == [KEY, KEY]
        assert yard.the_order().status is OrderStatus.CANCELED

    def test_is_canceled_if_the_lost_cancel_had_been_done(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, Unreachable(why="no answer"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("canceled"))

        yard.poll()
        yard.poll_when_due(yard.the_order())

        order = yard.the_order()
        assert len(yard.provider.effects) == 1
        assert (order.status, order.reason) == (OrderStatus.CANCELED, "checkout_timeout")

    def test_is_a_case_when_the_provider_never_does_it(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, Refused(payment_status="pending"))
        yard.provider.says(PAYMENT, a_record("pending"))

        for _ in range(6):
            yard.poll()
            if yard.bench.due(yard.the_order().id) is None:
                break
            yard.bench.clock.wait(1 * MINUTES)

        assert [case.kind for case in yard.bench.cases()] == [CaseKind.CANCEL_IN_DOUBT]
        assert yard.the_order().status is OrderStatus.PENDING
        assert [call.key for call in yard.provider.effects] == [KEY]

    def test_becomes_a_case_when_its_money_comes_during_the_watch(self, yard: Yard) -> None:
        yard.bench.add_endpoint()
        yard.provider.does(Effect.CANCEL, PAYMENT, a_record("canceled"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("canceled"), a_record("paid"))
        yard.poll()

        yard.bench.clock.wait(1 * HOURS)
        yard.poll()
        yard.deliver()

        assert statuses_of(yard.bench, yard.the_order().id) == ["NEW", "PENDING", "CANCELED", "UNRESOLVED"]
        assert [case.kind for case in yard.bench.cases()] == [CaseKind.LATE_PAYMENT]
        assert [t.event.rsplit("_", 1)[-1] for t in yard.endpoints.tries] == ["3", "4", "opened"]


class TestACancelCommand:
    @pytest.fixture
    def yard(self, bench: Bench) -> Yard:
        yard = Yard(bench)
        yard.receive(a_registration())
        yard.provider.says(PAYMENT, a_record("pending"))
        return yard

    def test_is_applied_when_the_provider_has_canceled(self, yard: Yard) -> None:
        yard.provider.does(Effect.CANCEL, PAYMENT, a_record("canceled"))
        yard.provider.says(PAYMENT, a_record("pending"), a_record("canceled"))

        yard.receive(a_cancel())
        before = yard.the_order().cancel_request
        yard.poll()

        order = yard.the_order()
        assert before is not None
        assert (order.status, order.canceled_by, order.reason) == ("CANCELED", CanceledBy.MERCHANT, "sold out")
        assert self._states(yard) == {"intake.register_order": "applied", "intake.cancel_order": "applied"}

    def test_is_refused_with_its_reason_when_the_customer_was_faster(self, yard: Yard) -> None:
        yard.provider.says(PAYMENT, a_record("paid"))

        yard.receive(a_cancel())
        yard.poll()

        assert yard.the_order().status is OrderStatus.PAID
        assert self._states(yard)["intake.cancel_order"] == "refused"
        assert len(yard.bench.events("message.refused")) == 1
        assert yard.provider.effects == []

    def test_is_refused_at_once_by_an_order_that_is_paid(self, yard: Yard) -> None:
        yard.provider.says(PAYMENT, a_record("paid"))
        yard.poll_when_due(yard.the_order())

        yard.receive(a_cancel())

        (refused,) = yard.bench.tables().refused.values()
        assert refused.name == "intake.cancel_order"
        assert self._states(yard) == {"intake.register_order": "applied"}

    def test_that_comes_while_the_order_is_asked_about_is_followed_at_once(self, yard: Yard) -> None:
        cancel = a_cancel()

        def meanwhile() -> Unreachable:
            yard.receive(cancel)
            return Unreachable(why="no answer")

        yard.provider.says(PAYMENT, meanwhile, a_record("paid"))

        yard.poll_when_due(yard.the_order())

        assert yard.provider.questions == [PAYMENT, PAYMENT]
        assert self._states(yard)["intake.cancel_order"] == "refused"

    @staticmethod
    def _states(yard: Yard) -> dict[str, str]:
        return {row.name: row.state for row in yard.bench.tables().inbox.values()}
