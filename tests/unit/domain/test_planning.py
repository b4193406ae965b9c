from datetime import timedelta
from typing import Any

import pytest

from domain.model.case import CaseKind
from domain.model.due_work import Due, Work
from domain.model.order import Order, OrderStatus, PaymentKind
from domain.model.transaction import ParentState
from domain.rules.draft import Draft
from domain.rules.planning import could_not_ask, plan
from domain.rules.registration import first_due
from tests.builders import (
    DAYS,
    HOURS,
    MINUTES,
    NOON,
    SECONDS,
    a_cadence,
    a_policy,
    a_record,
    an_order,
)
from tests.unit.domain.steps import asked

S = OrderStatus
HELD: dict[str, Any] = {"status": S.PENDING, "state": ParentState.AUTHORIZED}


def planned(order: Order, *, step: int = 0, now: Any = NOON, **terms: Any) -> Draft:
    draft = Draft.of(order, actor="test", now=now)
    plan(draft, a_policy(**terms), step=step)
    return draft


class TestAPlan:
    def test_follows_the_providers_stages(self) -> None:
        stages = a_cadence((10 * SECONDS, 1), (30 * SECONDS, 1))

        assert planned(an_order(), polling=stages).due == Due(work=Work.POLL, at=NOON + 10 * SECONDS)
        assert planned(an_order(), step=1, polling=stages).due == Due(work=Work.POLL, at=NOON + 30 * SECONDS, step=1)

    def test_prefers_the_stages_of_the_orders_network(self) -> None:
        networks = {"bitcoin": a_cadence((60 * SECONDS, 1)), "eos": a_cadence((3 * SECONDS, 1))}

        due = planned(an_order(kind=PaymentKind.CRYPTO, network="eos"), networks=networks).due

        assert due == Due(work=Work.POLL, at=NOON + 3 * SECONDS)

    def test_has_a_poll_exactly_at_the_deadline(self) -> None:
        order = an_order(cancellation=90 * SECONDS)

        assert planned(order, now=NOON + 1 * MINUTES).due == Due(work=Work.CLOSE, at=NOON + 90 * SECONDS)

    def test_has_a_poll_at_the_deadline_though_the_stages_are_used_up(self) -> None:
        draft = planned(an_order(cancellation=9 * HOURS), step=10)

        assert draft.due == Due(work=Work.CLOSE, at=NOON + 9 * HOURS)
        assert draft.openings == []

    def test_has_a_poll_at_a_deadline_beyond_the_greatest_age(self) -> None:
        draft = planned(an_order(cancellation=30 * DAYS), now=NOON + 8 * DAYS)

        assert draft.due == Due(work=Work.CLOSE, at=NOON + 30 * DAYS)

    def test_that_is_used_up_is_a_case(self) -> None:
        draft = planned(an_order(**HELD), step=10)

        assert draft.due is None
        assert [opening.kind for opening in draft.openings] == [CaseKind.POLLING_EXHAUSTED]

    @pytest.mark.parametrize(("age", "ends"), [(7 * DAYS - 2 * MINUTES, False), (7 * DAYS, True)])
    def test_ends_at_the_greatest_age_however_often_it_repeats(self, age: timedelta, ends: bool) -> None:  # noqa: FBT001
        repeating = a_cadence((1 * MINUTES, 1), max_age=7 * DAYS, repeats=True)

        draft = planned(an_order(**HELD), step=100_000, now=NOON + age, polling=repeating)

        assert (draft.due is None) == ends
        assert bool(draft.openings) == ends

    def test_is_counted_on_by_each_answer(self) -> None:
        decision = asked(an_order(status=S.PENDING), a_record("pending"), step=4)

        assert decision.due is not None
        assert decision.due.step == 5

    def test_begins_anew_when_the_order_has_moved(self) -> None:
        decision = asked(an_order(), a_record("pending"), step=4)

        assert decision.due is not None
        assert decision.due.step == 0

    @pytest.mark.parametrize("status", [S.PAID, S.UNRESOLVED, S.RESOLVED, S.REFUNDED])
    def test_is_empty_for_what_owes_nothing_more(self, status: OrderStatus) -> None:
        assert planned(an_order(status=status)).due is None


class TestAWatch:
    @pytest.mark.parametrize(("kind", "lasts"), [(PaymentKind.FIAT, 7 * DAYS), (PaymentKind.CRYPTO, 1 * DAYS)])
    @pytest.mark.parametrize("status", [S.CANCELED, S.EXPIRED, S.FAILED])
    def test_looks_for_late_money_and_ends(self, kind: PaymentKind, lasts: timedelta, status: OrderStatus) -> None:
        order, now, step = an_order(status=status, kind=kind), NOON, 0
        due = planned(order).due
        while due is not None:
            now, step = due.at, due.step
            decision = asked(order, a_record("canceled"), now=now, work=Work.WATCH, step=step)
            order, due = decision.order, decision.due

        assert now == NOON + lasts
        assert not order.watching
        assert order.status is status

    def test_that_has_ended_stays_ended(self) -> None:
        assert planned(an_order(status=S.CANCELED, watching=False)).due is None


class TestAFailedCall:
    def failed(self, order: Order, *, now: Any = NOON, work: Work = Work.POLL, **terms: Any) -> Draft:
        draft = Draft.of(order, actor="test", now=now)
        could_not_ask(draft, a_policy(**terms), work=work, step=2, retry_after=None)
        return draft

    def test_is_repeated_within_minutes_though_the_stage_is_of_hours(self) -> None:
        draft = self.failed(an_order(**HELD), polling=a_cadence((6 * HOURS, 9)))

        assert draft.due == Due(work=Work.POLL, at=NOON + 5 * MINUTES, step=2)

    def test_is_repeated_though_the_stages_are_used_up(self) -> None:
        draft = self.failed(an_order(**HELD), polling=a_cadence((1 * MINUTES, 1)))

        assert draft.due == Due(work=Work.POLL, at=NOON + 5 * MINUTES, step=2)
        assert draft.openings == []

    def test_of_an_order_past_its_greatest_age_is_a_case_and_goes_on(self) -> None:
        draft = self.failed(an_order(**HELD), now=NOON + 8 * DAYS)

        assert [opening.kind for opening in draft.openings] == [CaseKind.POLLING_EXHAUSTED]
        assert draft.due is not None

    def test_of_a_closed_order_goes_on_watching(self) -> None:
        draft = self.failed(an_order(status=S.CANCELED), now=NOON + 30 * DAYS, work=Work.WATCH)

        assert draft.openings == []
        assert draft.due == Due(work=Work.WATCH, at=NOON + 30 * DAYS + 1 * MINUTES, step=2)


class TestTheFirstStep:
    def test_is_the_first_poll(self) -> None:
        assert first_due(an_order(), a_policy(), NOON) == Due(work=Work.POLL, at=NOON + 1 * MINUTES)

    def test_is_the_deadline_where_that_comes_first(self) -> None:
        due = first_due(an_order(cancellation=30 * SECONDS), a_policy(), NOON)

        assert due == Due(work=Work.CLOSE, at=NOON + 30 * SECONDS)

    def test_is_now_for_an_order_that_came_too_late(self) -> None:
        late = NOON + 2 * DAYS

        assert first_due(an_order(), a_policy(), late) == Due(work=Work.CLOSE, at=late)
