import pytest

from domain.model.answer import ProviderStatus
from domain.model.transaction import AttemptState as A
from domain.model.transaction import OperationState, ParentState
from domain.model.transaction import ParentState as S
from domain.rules.lifecycle import IllegalTransition, advance, edges
from domain.rules.transaction_lifecycle import ATTEMPTS, CLOSED, OPERATIONS, READING, TRANSITIONS, Signal

ENDS = {S.CANCELED, S.EXPIRED, S.INVALID, S.FAILED}
LEADS_TO = {
    S.CREATED: {S.PENDING, S.ATTEMPTED, S.AUTHORIZED, S.PAID, S.COD} | ENDS,
    S.PENDING: {S.ATTEMPTED, S.AUTHORIZED, S.PAID, S.COD} | ENDS,
    S.ATTEMPTED: {S.AUTHORIZED, S.PAID, S.COD} | ENDS - {S.FAILED},
    S.AUTHORIZED: {S.PAID, S.ATTEMPTED} | ENDS,
    S.COD: {S.PAID, S.ATTEMPTED} | ENDS,
    S.PAID: set(),
    S.FAILED: {S.AUTHORIZED, S.PAID},
    S.CANCELED: {S.AUTHORIZED, S.PAID},
    S.EXPIRED: {S.AUTHORIZED, S.PAID},
    S.INVALID: {S.AUTHORIZED, S.PAID},
}
EVERY_STEP = [(state, signal) for state in S for signal in Signal]


class TestTheParentsTable:
    def test_has_these_edges_and_no_other(self) -> None:
        assert edges(TRANSITIONS) == {(state, target) for state, targets in LEADS_TO.items() for target in targets}

    @pytest.mark.parametrize(("state", "signal"), EVERY_STEP)
    def test_refuses_each_signal_that_its_row_does_not_list(self, state: S, signal: Signal) -> None:
        if signal in TRANSITIONS[state]:
            assert advance(TRANSITIONS, state, signal) in LEADS_TO[state] | {state}
        else:
            with pytest.raises(IllegalTransition):
                advance(TRANSITIONS, state, signal)

    def test_never_leaves_paid(self) -> None:
        assert set(TRANSITIONS[S.PAID].values()) == {S.PAID}

    def test_never_leads_back_to_created_or_pending(self) -> None:
        assert {source for source, target in edges(TRANSITIONS) if target in (S.CREATED, S.PENDING)} == {S.CREATED}

    def test_moves_a_closed_parent_for_money_only(self) -> None:
        moved = {target for source, target in edges(TRANSITIONS) if source in CLOSED}

        assert moved == {S.AUTHORIZED, S.PAID}

    def test_keeps_an_authorization_until_the_provider_says_paid(self) -> None:
        assert advance(TRANSITIONS, S.AUTHORIZED, Signal.CAPTURED) is S.AUTHORIZED


class TestAProvidersWord:
    def test_is_read_for_each_that_the_contract_knows(self) -> None:
        assert set(READING) == set(ProviderStatus)

    @pytest.mark.parametrize("status", ["refund_pending", "refund_rejected", "refunded", "paid"])
    def test_of_a_refund_leaves_the_parent_paid(self, status: str) -> None:
        assert advance(TRANSITIONS, S.CREATED, READING[ProviderStatus(status)]) is S.PAID

    @pytest.mark.parametrize(
        ("status", "parent"),
        [
            ("declined", S.FAILED),
            ("voided", S.CANCELED),
            ("canceled", S.CANCELED),
            ("expired", S.EXPIRED),
            ("invalid", S.INVALID),
            ("cod", S.COD),
            ("authorized", S.AUTHORIZED),
        ],
    )
    def test_leads_a_new_parent_to(self, status: str, parent: ParentState) -> None:
        assert advance(TRANSITIONS, S.CREATED, READING[ProviderStatus(status)]) is parent


class TestAnAttempt:
    def test_only_moves_forward(self) -> None:
        forward = {
            A.PENDING: {A.SUCCESS, A.FAILED, A.CANCELED, A.ERROR, A.COD},
            A.ERROR: {A.SUCCESS, A.FAILED, A.CANCELED, A.COD},
            A.COD: {A.SUCCESS, A.FAILED, A.CANCELED},
            A.SUCCESS: set(),
            A.FAILED: set(),
            A.CANCELED: set(),
        }

        assert {state: set(targets) for state, targets in ATTEMPTS.items()} == forward


class TestAnOperation:
    def test_ends_once(self) -> None:
        assert {state for state, targets in OPERATIONS.items() if not targets} == {
            OperationState.DONE,
            OperationState.REJECTED,
        }
