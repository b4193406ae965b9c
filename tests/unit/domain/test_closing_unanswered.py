from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.model.answer import Answer, NoRecord, Record, Unintelligible, Unreachable
from domain.model.case import CaseKind
from domain.model.decision import CommandState
from domain.model.due_work import Due, Work
from domain.model.order import CanceledBy, Order, OrderStatus
from domain.model.transaction import ParentState
from tests.builders import (
    HOURS,
    MINUTES,
    NOON,
    SECONDS,
    a_cadence,
    a_cancel_request,
    a_policy,
    a_record,
    an_order,
)
from tests.unit.domain.steps import asked

DEADLINE = NOON + 5 * MINUTES


def overdue(**given: Any) -> Order:
    return an_order(**{"status": OrderStatus.PENDING, "cancellation": 5 * MINUTES} | given)


def wanted_canceled(**given: Any) -> Order:
    request = a_cancel_request()
    return an_order(**{"status": OrderStatus.PENDING, "cancel_request": request} | given)


class TestNoRecordAtADeadline:
    def answered(self, order: Order, at: datetime) -> Any:
        return asked(order, NoRecord(), now=at, work=Work.CLOSE)

    def test_is_counted_from_its_first(self) -> None:
        decision = self.answered(overdue(), DEADLINE)

        assert decision.order.transaction.no_records == 1
        assert decision.order.transaction.no_record_since == DEADLINE
        assert decision.due == Due(work=Work.CLOSE, at=DEADLINE + timedelta(minutes=7.5))

    def test_closes_the_order_when_it_was_said_often_enough_over_some_minutes(self) -> None:
        order, at = overdue(), DEADLINE
        for _ in range(2):
            decision = self.answered(order, at)
            assert decision.moves == ()
            assert decision.due is not None
            order, at = decision.order, decision.due.at

        decision = self.answered(order, at)

        assert (decision.order.status, decision.order.reason) == ("CANCELED", "cancellation_timeout")
        assert decision.order.transaction.state is ParentState.CANCELED
        assert decision.due == Due(work=Work.WATCH, at=at + 1 * HOURS)

    def test_closes_nothing_when_it_was_said_often_within_seconds(self) -> None:
        often = overdue(no_records=50, no_record_since=DEADLINE)

        assert self.answered(often, DEADLINE + 14 * MINUTES).moves == ()

    def test_closes_nothing_when_it_was_said_twice_over_hours(self) -> None:
        seldom = overdue(no_records=1, no_record_since=DEADLINE)

        assert self.answered(seldom, DEADLINE + 5 * HOURS).moves == ()

    @pytest.mark.parametrize("record", [a_record("created"), a_record("word_of_its_own")])
    def test_is_counted_anew_after_any_record(self, record: Record) -> None:
        counted = overdue(no_records=2, no_record_since=DEADLINE)

        order = asked(counted, record, now=DEADLINE + 1 * MINUTES, work=Work.CLOSE).order

        assert (order.transaction.no_records, order.transaction.no_record_since) == (0, None)

    def test_is_counted_anew_after_a_stale_record(self) -> None:
        counted = overdue(state=ParentState.ATTEMPTED, attempts_allowed=0, no_records=2, no_record_since=DEADLINE)

        order = asked(counted, a_record("created"), now=DEADLINE + 1 * MINUTES, work=Work.CLOSE).order

        assert order.transaction.no_records == 0

    def test_keeps_its_count_when_the_provider_could_not_be_asked_in_between(self) -> None:
        counted = overdue(no_records=2, no_record_since=DEADLINE)

        order = asked(counted, Unreachable(why="down"), now=DEADLINE + 1 * MINUTES, work=Work.CLOSE).order

        assert order.transaction.no_records == 2

    def test_expires_an_order_whose_payment_window_passed(self) -> None:
        order = overdue(cancellation=None, window=5 * MINUTES, no_records=2, no_record_since=DEADLINE)

        decision = self.answered(order, DEADLINE + 15 * MINUTES)

        assert (decision.order.status, decision.order.reason) == ("EXPIRED", "payment_window")
        assert decision.order.transaction.state is ParentState.EXPIRED

    def test_carries_out_a_command_in_its_own_name(self) -> None:
        order = wanted_canceled(no_records=2, no_record_since=NOON - 15 * MINUTES)

        decision = asked(order, NoRecord(), work=Work.CLOSE)

        assert (decision.order.status, decision.order.canceled_by) == ("CANCELED", CanceledBy.MERCHANT)
        assert [outcome.state for outcome in decision.outcomes] == [CommandState.APPLIED]

    def test_is_not_counted_before_the_deadline(self) -> None:
        decision = asked(overdue(), NoRecord(), now=DEADLINE - 2 * MINUTES, step=3)

        assert decision.order == overdue()
        assert decision.due == Due(work=Work.POLL, at=DEADLINE - 1 * MINUTES, step=4)


class TestAProviderThatCannotBeAskedAtADeadline:
    @pytest.mark.parametrize("answer", [Unreachable(why="down"), Unintelligible(why="<html>")])
    def test_closes_nothing_and_the_work_stays_due(self, answer: Answer) -> None:
        decision = asked(overdue(), answer, now=DEADLINE + 23 * HOURS, work=Work.CLOSE, step=2)

        assert decision.order == overdue()
        assert decision.openings == ()
        assert decision.due == Due(work=Work.CLOSE, at=DEADLINE + 23 * HOURS + 1 * MINUTES, step=2)

    def test_becomes_a_case_after_a_day_and_is_still_asked(self) -> None:
        decision = asked(overdue(), Unreachable(why="down"), now=DEADLINE + 25 * HOURS, work=Work.CLOSE)

        assert [opening.kind for opening in decision.openings] == [CaseKind.POLLING_EXHAUSTED]
        assert decision.due is not None

    @pytest.mark.parametrize(("waited", "cases"), [(23, []), (25, [CaseKind.POLLING_EXHAUSTED])])
    def test_becomes_a_case_a_day_after_the_command_to_cancel_however_far_the_deadline_is(
        self, waited: int, cases: list[CaseKind]
    ) -> None:
        order = wanted_canceled(cancellation=720 * HOURS, cancel_request=a_cancel_request(at=NOON))

        decision = asked(order, Unreachable(why="down"), now=NOON + waited * HOURS, work=Work.CLOSE)

        assert [opening.kind for opening in decision.openings] == cases
        assert decision.due is not None

    def test_uses_up_no_cadence(self) -> None:
        policy = a_policy(retries=a_cadence((30 * SECONDS, 1)))

        decision = asked(overdue(), Unreachable(why="down"), now=DEADLINE, work=Work.CLOSE, step=1, policy=policy)

        assert decision.openings == ()
        assert decision.due is not None
        assert decision.due.step == 1
