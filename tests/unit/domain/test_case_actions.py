from dataclasses import replace

import pytest

from domain.model.case import CaseKind
from domain.model.order import OrderStatus
from domain.rules.case_actions import OPTIONS, TERMS, Action, Circumstances, actions_for, again, needed_for, refusal_of

ORDER = Circumstances(kind=CaseKind.POLLING_EXHAUSTED, status=OrderStatus.PENDING, is_order=True)


class TestTheTable:
    def test_has_a_row_for_every_kind_of_case_and_every_action(self) -> None:
        assert TERMS.keys() == set(CaseKind)
        assert OPTIONS.keys() == set(Action)

    def test_offers_every_action_somewhere(self) -> None:
        assert {action for terms in TERMS.values() for action in terms.actions} == set(Action)


class TestWhatCanBeDone:
    @pytest.mark.parametrize(
        ("case", "actions"),
        [
            (ORDER, {Action.ASK, Action.CANCEL}),
            (replace(ORDER, cancel_requested=True), {Action.ASK}),
            (replace(ORDER, status=OrderStatus.PAID), {Action.ASK}),
            (replace(ORDER, kind=CaseKind.LATE_PAYMENT, status=OrderStatus.UNRESOLVED), {Action.RESOLVE}),
            (replace(ORDER, kind=CaseKind.AMOUNT_MISMATCH, status=OrderStatus.PAID), {Action.ASK}),
            (Circumstances(kind=CaseKind.STUCK, command=True), {Action.RETRY, Action.REFUSE}),
            (Circumstances(kind=CaseKind.STUCK, stream=True), {Action.RETRY}),
            (Circumstances(kind=CaseKind.UNDELIVERABLE, given_up=True), {Action.REDELIVER}),
            (Circumstances(kind=CaseKind.UNDELIVERABLE, disabled_endpoint=True), {Action.ENABLE}),
            (Circumstances(kind=CaseKind.UNDELIVERABLE, given_up=True, disabled_endpoint=True), {Action.ENABLE}),
            (Circumstances(kind=CaseKind.SETTLED_UNREVERSED), set()),
        ],
    )
    def test_follows_from_the_kind_and_the_circumstances(self, case: Circumstances, actions: set[Action]) -> None:
        assert actions_for(case).keys() == actions

    @pytest.mark.parametrize("kind", CaseKind)
    @pytest.mark.parametrize("status", OrderStatus)
    @pytest.mark.parametrize("others", [{}, {"given_up": True, "disabled_endpoint": True}, {"command": True}])
    def test_is_all_that_is_not_refused(self, kind: CaseKind, status: OrderStatus, others: dict[str, bool]) -> None:
        case = replace(ORDER, kind=kind, status=status, **others)

        assert actions_for(case).keys() == {action for action in Action if refusal_of(case, action) is None}

    def test_is_one_thing_where_that_is_needed(self) -> None:
        unresolved = replace(ORDER, kind=CaseKind.LATE_PAYMENT, status=OrderStatus.UNRESOLVED)

        assert needed_for(unresolved) is Action.RESOLVE
        assert refusal_of(unresolved, Action.ASK) == "the order is UNRESOLVED; `resolve` it once it is settled"
        assert needed_for(ORDER) is None

    def test_is_refused_with_a_reason_otherwise(self) -> None:
        assert refusal_of(ORDER, Action.ASK) is None
        assert refusal_of(ORDER, Action.RETRY) == "it is not for a case of the kind POLLING_EXHAUSTED"
        assert refusal_of(ORDER, Action.RESOLVE) == "it is for the case of an UNRESOLVED order"

    def test_is_taking_work_up_again_where_it_was_given_up(self) -> None:
        assert (again(CaseKind.STUCK), again(CaseKind.POLLING_EXHAUSTED)) == (Action.RETRY, Action.ASK)
