import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from domain.model.case import CaseKind
from domain.model.command import CancelOrder, FieldError, Received, RefusedMessage
from domain.model.decision import CommandOutcome, CommandState
from domain.model.due_work import Due, LaneFamily, Work
from domain.model.order import CanceledBy
from domain.ports.persistence import Conflict, Stored
from tests.builders import MINUTES, NOON, SECONDS, a_merchant
from tests.fakes.bench import Bench

SOON = Due(work=Work.COMMAND, at=NOON + 5 * SECONDS)


def received(
    key: str = "k-1", content: str = "c-1", *, body: Mapping[str, Any] | None = None, **given: Any
) -> Received:
    plain: dict[str, Any] = {"merchant": "shop", "order": "order-1", "by": CanceledBy.USER}
    return Received(
        command=CancelOrder(**plain | given),
        key=key,
        content=content,
        body=body or {"order": "order-1", "reason": "ü"},
        actor="merchant:key",
        trace="t-1",
    )


def put(bench: Bench, *commands: Received) -> list[Stored]:
    with bench.units() as uow:
        stored = list(uow.inbox.put(commands))
        uow.commit()
    return stored


def conclude(
    bench: Bench, command: int, state: CommandState, reason: str | None = None, *, field: str = "order"
) -> None:
    with bench.units() as uow:
        uow.inbox.conclude([CommandOutcome(command=command, state=state, reason=reason, field=field)])
        uow.commit()


def a_waiting_command(bench: Bench, key: str = "k-1", due: Due = SOON, **given: Any) -> int:
    stored = put(bench, received(key, **given))[0].id
    conclude(bench, stored, CommandState.WAITING)
    with bench.units() as uow:
        uow.inbox.wait({stored: due}, merchants={stored: "shop"})
        uow.commit()
    return stored


def wake(bench: Bench, *orders: tuple[str, str]) -> None:
    with bench.units() as uow:
        uow.inbox.wake(orders)
        uow.commit()


class TestACommandThatIsPut:
    def test_is_kept_with_everything_it_says(self, bench: Bench) -> None:
        (stored,) = put(bench, received())

        (row,) = bench.tables().inbox.values()
        assert stored == Stored(id=row.id)
        assert (row.merchant, row.name, row.key, row.content) == ("shop", "intake.cancel_order", "k-1", "c-1")
        assert (row.body, row.order, row.state) == ({"order": "order-1", "reason": "ü"}, "order-1", "accepted")
        assert (row.actor, row.received_at) == ("merchant:key", NOON)

    def test_again_is_a_repeat_that_says_how_far_it_is(self, bench: Bench) -> None:
        (first,) = put(bench, received())
        conclude(bench, first.id, CommandState.APPLIED)

        assert put(bench, received()) == [Stored(id=first.id, repeat=True, state=CommandState.APPLIED)]
        assert len(bench.tables().inbox) == 1

    def test_with_other_content_is_a_conflict_and_the_first_stands(self, bench: Bench) -> None:
        (first,) = put(bench, received())

        assert put(bench, received(content="c-2")) == [Stored(id=first.id, conflict=True)]
        assert put(bench, received(content="c-3", body={"order": "order-1", "by": "user"})) == [
            Stored(id=first.id, conflict=True, differs=("by", "reason"))
        ]
        assert [row.content for row in bench.tables().inbox.values()] == ["c-1"]

    def test_twice_in_one_batch_is_kept_once(self, bench: Bench) -> None:
        stored = put(bench, received(), received("k-2"), received(), received(content="c-2"))

        assert len({one.id for one in stored}) == 2
        assert [(one.repeat, one.conflict) for one in stored] == [
            (False, False),
            (False, False),
            (True, False),
            (False, True),
        ]

    def test_has_a_key_of_its_merchants_own(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="other"))

        stored = put(bench, received(), received(merchant="other"))

        assert not any(one.repeat or one.conflict for one in stored)

    def test_is_refused_for_a_merchant_that_nobody_knows(self, bench: Bench) -> None:
        with pytest.raises(bench.violation):
            put(bench, received(merchant="nobody"))

    def test_leaves_its_key_free_when_it_is_forgotten(self, bench: Bench) -> None:
        (first,) = put(bench, received())

        with bench.units() as uow:
            uow.inbox.forget([first.id])
            uow.commit()

        assert put(bench, received(content="c-2"))[0].conflict is False

    def test_is_nothing_if_nothing_is_put(self, bench: Bench) -> None:
        assert put(bench) == []


class TestACommandThatWaits:
    def test_is_due_work_of_its_merchants_lane(self, bench: Bench) -> None:
        command = a_waiting_command(bench)

        row = bench.due(command)
        assert row is not None
        assert (row.kind, row.due_at, row.lane) == ("command", SOON.at, bench.lane("shop", LaneFamily.MERCHANT))

    def test_is_read_as_it_came(self, bench: Bench) -> None:
        command = a_waiting_command(bench)
        other = put(bench, received("k-2"))[0].id

        with bench.units() as uow:
            found = uow.inbox.get_many([command, other, 99999])

        assert set(found) == {command}
        waiting = found[command]
        assert (waiting.merchant, waiting.order, waiting.name) == ("shop", "order-1", "intake.cancel_order")
        assert (waiting.body["reason"], waiting.actor, waiting.received_at) == ("ü", "merchant:key", NOON)

    def test_is_due_at_once_when_its_order_comes(self, bench: Bench) -> None:
        command = a_waiting_command(bench, due=Due(work=Work.COMMAND, at=NOON + timedelta(hours=3)))

        wake(bench, ("shop", "order-1"))

        row = bench.due(command)
        assert row is not None
        assert (row.due_at, row.generation) == (NOON, 1)

    @pytest.mark.parametrize("order", [("shop", "order-2"), ("other", "order-1")])
    def test_sleeps_on_when_another_comes(self, bench: Bench, order: tuple[str, str]) -> None:
        command = a_waiting_command(bench)
        before = bench.due(command)

        wake(bench, order)
        wake(bench)

        assert bench.due(command) == before

    def test_is_followed_at_once_when_its_order_comes_while_it_is_tried(self, bench: Bench) -> None:
        command = a_waiting_command(bench, due=Due(work=Work.COMMAND, at=NOON))
        claim = bench.claim(Work.COMMAND, lane=bench.lane("shop", LaneFamily.MERCHANT))
        wake(bench, ("shop", "order-1"))

        bench.plan(claim, Due(work=Work.COMMAND, at=NOON + 15 * MINUTES))

        row = bench.due(command)
        assert row is not None
        assert row.due_at == NOON


class TestTheEndOfACommand:
    def test_is_written_with_its_reason(self, bench: Bench) -> None:
        (stored,) = put(bench, received())

        conclude(bench, stored.id, CommandState.APPLIED, "the order is CANCELED")

        (row,) = bench.tables().inbox.values()
        assert (row.state, row.reason) == ("applied", "the order is CANCELED")
        assert bench.events() == []

    def test_is_announced_if_it_was_refused_after_all(self, bench: Bench) -> None:
        (stored,) = put(bench, received())

        conclude(bench, stored.id, CommandState.REFUSED, "the order is PAID")

        (event,) = bench.events("message.refused")
        data = json.loads(event.body)["data"]
        assert event.event == f"evt_command_{stored.id}_refused"
        assert (data["order"], data["message"]) == ("order-1", "intake.cancel_order")
        assert data["errors"] == [{"field": "order", "reason": "the order is PAID"}]

    def test_is_listed_where_all_is_that_is_refused(self, bench: Bench) -> None:
        first, second = (put(bench, received(key))[0] for key in ("k-1", "k-2"))
        bench.clock.wait(5 * MINUTES)

        conclude(bench, first.id, CommandState.REFUSED, "the order is PAID")
        conclude(bench, second.id, CommandState.REFUSED, "is not on record", field="attempt")

        one, other = bench.tables().refused.values()
        assert (one.command, one.name, one.merchant, one.order) == (first.id, "intake.cancel_order", "shop", "order-1")
        assert (one.errors, one.channel, one.times) == (
            [{"field": "order", "reason": "the order is PAID"}],
            "inbox",
            1,
        )
        assert json.loads(one.body) == {"order": "order-1", "reason": "ü"}
        assert one.refused_at == NOON + 5 * MINUTES
        assert (other.command, other.errors) == (second.id, [{"field": "attempt", "reason": "is not on record"}])
        told = [json.loads(event.body)["data"]["errors"] for event in bench.events("message.refused")]
        assert told == [one.errors, other.errors]

    def test_stays_listed_when_a_better_one_takes_its_key(self, bench: Bench) -> None:
        (first,) = put(bench, received())
        conclude(bench, first.id, CommandState.REFUSED, "the order is PAID")

        put(bench, received(content="c-2"))

        assert [row.command for row in bench.tables().refused.values()] == [first.id]

    def test_is_announced_only_once(self, bench: Bench) -> None:
        (stored,) = put(bench, received())
        conclude(bench, stored.id, CommandState.REFUSED, "the order is PAID")

        with pytest.raises(Conflict):
            conclude(bench, stored.id, CommandState.REFUSED, "the order is PAID")

        assert len(bench.events()) == 1

    def test_of_a_command_that_is_not_there_is_nothing(self, bench: Bench) -> None:
        conclude(bench, 12345, CommandState.REFUSED, "whatever")

        assert bench.events() == []


class TestACommandThatIsStuck:
    @staticmethod
    def park(bench: Bench, command: int) -> None:
        claim = bench.claim(Work.COMMAND, lane=bench.lane("shop", LaneFamily.MERCHANT))
        with bench.units() as uow:
            uow.due_work.park(claim, [command])
            uow.commit()

    def test_has_a_day_and_a_person(self, bench: Bench) -> None:
        command = a_waiting_command(bench, due=Due(work=Work.COMMAND, at=NOON))

        self.park(bench, command)

        (case,) = bench.cases()
        row = bench.due(command)
        assert row is not None
        assert row.due_at == case.deadline == NOON + timedelta(hours=24)
        assert (case.kind, case.subject, case.closed_at) == (CaseKind.STUCK, command, None)

    def test_is_refused_when_it_is_stuck_again(self, bench: Bench) -> None:
        command = a_waiting_command(bench, due=Due(work=Work.COMMAND, at=NOON))
        self.park(bench, command)
        bench.clock.wait(timedelta(hours=24))

        self.park(bench, command)

        (case,) = bench.cases()
        assert bench.tables().inbox[command].state == CommandState.REFUSED
        assert bench.due(command) is None
        assert (case.closed_by, case.note) == ("system:inbox", "the command is refused")
        assert len(bench.events("message.refused")) == 1

    def test_is_so_no_more_when_it_is_carried_out(self, bench: Bench) -> None:
        command = a_waiting_command(bench, due=Due(work=Work.COMMAND, at=NOON))
        self.park(bench, command)

        conclude(bench, command, CommandState.APPLIED)

        assert bench.cases()[0].closed_by == "system:inbox"


def a_refusal(**given: Any) -> RefusedMessage:
    plain: dict[str, Any] = {
        "name": "intake.cancel_order",
        "merchant": "shop",
        "order": "order-1",
        "body": '{"order": "ü"}',
        "errors": (FieldError(field="by", reason="is required"),),
        "channel": "message",
    }
    return RefusedMessage(**plain | given)


def refuse(bench: Bench, *messages: RefusedMessage, announce: bool = True) -> None:
    with bench.units() as uow:
        uow.inbox.refuse(messages, announce=announce)
        uow.commit()


class TestARefusedMessage:
    def test_is_kept_and_its_merchant_is_told(self, bench: Bench) -> None:
        refuse(bench, a_refusal())

        (row,) = bench.tables().refused.values()
        (event,) = bench.events("message.refused")
        assert (row.name, row.merchant, row.order, row.body, row.times) == (
            "intake.cancel_order",
            "shop",
            "order-1",
            '{"order": "ü"}',
            1,
        )
        assert json.loads(event.body)["data"]["errors"] == row.errors == [{"field": "by", "reason": "is required"}]
        assert (row.command, row.refused_at, event.order_id) == (None, NOON, None)

    def test_that_comes_again_is_counted_and_not_announced_again(self, bench: Bench) -> None:
        refuse(bench, a_refusal())
        refuse(bench, a_refusal())
        refuse(bench, a_refusal(body="{}"))

        assert sorted(row.times for row in bench.tables().refused.values()) == [1, 2]
        assert len(bench.events()) == 2

    @pytest.mark.parametrize("merchant", [None, "stranger"])
    def test_of_nobody_we_know_is_kept_and_announced_to_nobody(self, bench: Bench, merchant: str | None) -> None:
        refuse(bench, a_refusal(merchant=merchant))

        assert [row.merchant for row in bench.tables().refused.values()] == [merchant]
        assert bench.events() == []

    def test_is_announced_only_if_it_is_wanted(self, bench: Bench) -> None:
        refuse(bench, a_refusal(), announce=False)
        refuse(bench)

        assert len(bench.tables().refused) == 1
        assert bench.events() == []


def keep(bench: Bench, command: Received) -> bool:
    return bench.keeper(command)


class TestACommandThatIsOnlyKept:
    def test_waits_and_is_due_at_once_in_its_merchants_lane(self, bench: Bench) -> None:
        lane = bench.lane("shop", LaneFamily.MERCHANT)

        kept = keep(bench, received())

        (row,) = bench.tables().inbox.values()
        due = bench.due(row.id)
        assert kept
        assert (row.state, row.key, row.content, row.actor, row.trace) == (
            "waiting", "k-1", "c-1", "merchant:key", "t-1",
        )  # fmt: skip
        assert due is not None
        assert (due.kind, due.due_at, due.lane) == ("command", NOON, lane)
        with bench.units() as uow:
            assert uow.inbox.get_many([row.id])[row.id].trace == "t-1"

    def test_is_not_kept_where_its_merchant_has_no_lane_yet(self, bench: Bench) -> None:
        assert not keep(bench, received())
        assert bench.tables().inbox == {}

    def test_is_not_kept_for_a_merchant_that_nobody_knows(self, bench: Bench) -> None:
        bench.lane("stranger", LaneFamily.MERCHANT)

        assert not keep(bench, received(merchant="stranger"))
        assert bench.tables().inbox == {}

    @pytest.mark.parametrize("content", ["c-1", "c-2"])
    @pytest.mark.parametrize("state", [CommandState.APPLIED, CommandState.REFUSED])
    def test_is_not_kept_under_a_key_that_was_used(self, bench: Bench, content: str, state: CommandState) -> None:
        bench.lane("shop", LaneFamily.MERCHANT)
        before = put(bench, received())[0].id
        conclude(bench, before, state)

        assert not keep(bench, received(content=content))
        assert [(row.id, row.state) for row in bench.tables().inbox.values()] == [(before, state)]
        assert bench.due(before) is None
