import pytest

from domain.model.order import OrderStatus as S
from domain.model.transaction import ParentState
from domain.rules.lifecycle import IllegalTransition, advance, edges, is_final
from domain.rules.order_lifecycle import CLOSED, FROM_PARENT, OPEN, OWES, TRANSITIONS, Owes, Signal

# The table of the design, written down a second time on purpose.
LEADS_TO = {
    S.NEW: {S.PENDING, S.PAID, S.UNRESOLVED, S.CANCELED, S.EXPIRED, S.FAILED},
    S.PENDING: {S.PAID, S.UNRESOLVED, S.CANCELED, S.EXPIRED, S.FAILED},
    S.PAID: {S.REFUND_PENDING, S.REFUNDED},
    S.UNRESOLVED: {S.RESOLVED},
    S.RESOLVED: set(),
    S.EXPIRED: {S.UNRESOLVED},
    S.CANCELED: {S.UNRESOLVED},
    S.FAILED: {S.UNRESOLVED},
    S.REFUND_PENDING: {S.REFUNDED, S.PAID},
    S.REFUNDED: set(),
}
EVERY_STEP = [(status, signal) for status in S for signal in Signal]


class TestTheOrdersTable:
    def test_has_the_edges_of_the_design_and_no_other(self) -> None:
        assert edges(TRANSITIONS) == {(status, target) for status, targets in LEADS_TO.items() for target in targets}

    def test_has_a_row_for_each_status(self) -> None:
        assert set(TRANSITIONS) == set(S)

    @pytest.mark.parametrize(("status", "signal"), EVERY_STEP)
    def test_refuses_each_signal_that_its_row_does_not_list(self, status: S, signal: Signal) -> None:
        if signal in TRANSITIONS[status]:
            assert advance(TRANSITIONS, status, signal) in LEADS_TO[status] | {status}
        else:
            with pytest.raises(IllegalTransition) as refusal:
                advance(TRANSITIONS, status, signal)
            assert (refusal.value.state, refusal.value.signal) == (status, signal)

    def test_calls_final_what_nothing_moves_on(self) -> None:
        assert {status for status in S if is_final(TRANSITIONS, status)} == {S.RESOLVED, S.REFUNDED}

    def test_leads_from_a_closed_order_to_late_money_only(self) -> None:
        assert all(set(TRANSITIONS[status].values()) == {S.UNRESOLVED} for status in CLOSED)


class TestWhatAStatusOwes:
    def test_is_written_for_each_status(self) -> None:
        assert dict(OWES) == {
            S.NEW: Owes.ALWAYS,
            S.PENDING: Owes.ALWAYS,
            S.REFUND_PENDING: Owes.ALWAYS,
            S.CANCELED: Owes.WATCH,
            S.EXPIRED: Owes.WATCH,
            S.FAILED: Owes.WATCH,
            S.UNRESOLVED: Owes.CASE,
            S.PAID: Owes.NOTHING,
            S.RESOLVED: Owes.NOTHING,
            S.REFUNDED: Owes.NOTHING,
        }

    def test_divides_open_from_closed(self) -> None:
        assert {S.NEW, S.PENDING} == OPEN
        assert {S.CANCELED, S.EXPIRED, S.FAILED} == CLOSED


class TestTheParent:
    def test_drives_the_order_by_one_table(self) -> None:
        leads = {
            parent: None if signal is None else TRANSITIONS[S.NEW][signal] for parent, signal in FROM_PARENT.items()
        }

        assert leads == {
            ParentState.CREATED: None,
            ParentState.PENDING: S.PENDING,
            ParentState.ATTEMPTED: S.PENDING,
            ParentState.AUTHORIZED: S.PENDING,
            ParentState.COD: S.PENDING,
            ParentState.FAILED: S.FAILED,
            ParentState.CANCELED: S.CANCELED,
            ParentState.INVALID: S.CANCELED,
            ParentState.EXPIRED: S.EXPIRED,
        }

    def test_that_is_paid_leaves_it_to_amount_and_time(self) -> None:
        assert ParentState.PAID not in FROM_PARENT
