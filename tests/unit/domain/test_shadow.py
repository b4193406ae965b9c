from domain.model.due_work import Work
from domain.model.order import OrderStatus
from domain.rules.reconciliation import reconcile
from domain.rules.shadow import PAUSE, shadow_of
from tests.builders import NOON, a_policy, a_record, a_row, an_order


class TestALaneInShadow:
    def test_decides_and_moves_nothing(self) -> None:
        order = an_order(status=OrderStatus.PENDING)
        row = a_row(Work.POLL, step=3)
        decision = reconcile(order, a_record("paid"), row=row, now=NOON, policy=a_policy())
        assert decision.order.status is OrderStatus.PAID

        shadow = shadow_of(decision, row, NOON)

        assert shadow.order == order
        assert not shadow.moves
        assert not shadow.events

    def test_looks_again_a_little_later_as_what_it_was(self) -> None:
        row = a_row(Work.POLL, step=3)
        decision = reconcile(an_order(), a_record("paid"), row=row, now=NOON, policy=a_policy())

        shadow = shadow_of(decision, row, NOON)

        assert shadow.due is not None
        assert shadow.due.work is Work.POLL
        assert shadow.due.at == NOON + PAUSE
        assert shadow.due.step == 3
