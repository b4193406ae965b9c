"""The sanity queue: what is rejected waits, is tried again, and becomes an order once, or never."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.model.command import CheckoutCompleted, MarkFailed, PutMasterData, RegisterOrder, RetriggerRejected
from domain.model.due_work import LaneFamily
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.order import OrderStatus
from domain.model.rejection import RejectionStatus
from domain.usecases.drain import Answered
from domain.usecases.reprocess_rejected import ReprocessRejected
from domain.usecases.sweep_rejected import SweepRejected
from tests.builders import DAYS, HOURS, MINUTES, NOON, PAYMENT, PROVIDER, a_merchant, a_policy
from tests.fakes.bench import Bench
from tests.fakes.rows import EventRow
from tests.unit.usecases.yard import Yard, a_cancel, a_registration, currencies

ALL = frozenset(MasterKind)
TEA = {"number": "B-1", "date": "2026-01-30", "line_items": [{"key": "tea"}], "source": {"system": "pos"}}


class Counter(Yard):
    """A yard whose merchant checks its bills, and who mends them."""

    def __init__(self, bench: Bench, *, batch: int = 1000) -> None:
        super().__init__(bench)
        self.batch = batch
        self.bodies: dict[str, RegisterOrder] = {}

    def reject(self, order: str = "order-1", payment: str | None = None, bill: Any = TEA, **given: Any) -> int:
        """Send a transaction that is not allowed; return its rejection's id."""
        payment = payment or f"pay-{order}"
        self.receive(a_registration(order=order, reference=payment, bill=bill, **given))
        return next(r.id for r in self.bench.tables().rejections.values() if r.order == order)

    def put(self, kind: MasterKind, *entries: Entry | str, key: str | None = None) -> None:
        given = tuple(Entry(key=entry) if isinstance(entry, str) else entry for entry in entries)
        self.receive(PutMasterData(merchant="shop", kind=kind, entries=given), key=key)

    def retrigger(self, name: str = "r-1", *ids: int, dry_run: bool = False) -> None:
        transactions = tuple(ids) or None
        self.receive(RetriggerRejected(merchant="shop", retrigger=name, transactions=transactions, dry_run=dry_run))

    def reprocess(self) -> int:
        return self.drain(self.reprocessing())

    def reprocessing(self) -> ReprocessRejected:
        return ReprocessRejected(
            command_of=lambda _name, body: self.bodies[str(body["says"])],
            policies=self.policies,
            currencies=currencies,
            hints=self.hints,
            batch=self.batch,
        )

    def receive(self, *commands: Any, key: str | None = None, content: str | None = None) -> None:
        for command in commands:
            if isinstance(command, RegisterOrder):
                self.bodies[self.says(command)] = command
        super().receive(*commands, key=key, content=content)

    def status(self, key: int) -> RejectionStatus:
        return self.bench.tables().rejections[key].status

    def counts(self, name: str = "r-1") -> Mapping[str, int]:
        tables = self.bench.tables()
        (key,) = [g.id for g in tables.retriggers.values() if g.name == name]
        return tables.counts.get(key, {})

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(row.body)["data"] for row in self.bench.events(kind)]

    def inbox(self, name: str) -> list[str]:
        return [row.state for row in self.bench.tables().inbox.values() if row.name == name]


def shop(bench: Bench, **given: Any) -> None:
    plain: dict[str, Any] = {"id": "shop", "checks": ALL, "sanity_queue": True}
    bench.change_merchant(a_merchant(**plain | given))


@pytest.fixture
def counter(bench: Bench) -> Counter:
    shop(bench)
    return Counter(bench)


class TestATransactionThatIsNotAllowed:
    def test_waits_and_is_told_of_and_nothing_else_begins(self, counter: Counter) -> None:
        key = counter.reject(customer="c-7")

        tables = counter.bench.tables()
        assert counter.status(key) is RejectionStatus.PENDING
        assert (tables.orders, tables.history) == ({}, {})
        assert counter.bench.due(key) is None
        assert counter.inbox("intake.register_order") == ["applied"]
        assert tables.needs == {key: frozenset({("line_items", "tea", "")})}
        assert counter.told("transaction.rejected") == [
            {
                "event": f"evt_rejection_{key}_rejected",
                "merchant": "shop",
                "order": "order-1",
                "rejection": str(key),
                "bill_number": "B-1",
                "bill_date": "2026-01-30",
                "customer": "c-7",
                "source": {"system": "pos"},
                "rejection_type": "reprocessable",
                "reasons": [{"kind": "line_items", "key": "tea", "message": "the line item 'tea' is not known"}],
            }
        ]

    def test_ends_there_where_its_merchant_has_no_sanity_queue(self, bench: Bench) -> None:
        shop(bench, sanity_queue=False)
        counter = Counter(bench)

        key = counter.reject()

        assert counter.status(key) is RejectionStatus.PERMANENT_FAILED
        assert bench.tables().needs == {}
        assert counter.told("transaction.rejected")[0]["rejection_type"] == "permanent"

    def test_is_an_order_where_its_merchant_checks_nothing(self, bench: Bench) -> None:
        shop(bench, checks=frozenset())
        yard = Counter(bench)

        yard.receive(a_registration(bill=TEA))

        assert yard.the_order().status is OrderStatus.NEW
        assert bench.tables().rejections == {}

    def test_is_a_repeat_when_it_comes_again_and_refused_with_other_content(self, counter: Counter) -> None:
        counter.reject()

        counter.receive(a_registration(order="order-1", reference="pay-order-1", bill=TEA))
        counter.receive(a_registration(order="order-1", reference="pay-order-1", bill=TEA, amount="7"))

        assert len(counter.bench.tables().rejections) == 1
        assert len(counter.told("transaction.rejected")) == 1
        assert [row.order for row in counter.bench.tables().refused.values()] == ["order-1"]

    def test_holds_its_names_against_another(self, counter: Counter) -> None:
        counter.reject("order-1", payment=PAYMENT)

        counter.receive(a_registration(order="order-2", reference=PAYMENT))
        counter.receive(a_registration(order="order-1", reference="pay-3"), key="another")

        assert counter.bench.tables().orders == {}
        assert sorted(str(row.order) for row in counter.bench.tables().refused.values()) == ["order-1", "order-2"]

    def test_leaves_those_beside_it_alone(self, counter: Counter) -> None:
        counter.receive(a_registration(order="good"), a_registration(order="bad", reference="pay-2", bill=TEA))

        assert counter.the_order().reference == "good"
        assert [r.order for r in counter.bench.tables().rejections.values()] == ["bad"]


class TestARetrigger:
    def test_adds_what_is_fixed_and_says_what_is_still_missing(self, counter: Counter) -> None:
        fixed = counter.reject("fixed")
        both = {**TEA, "store": {"key": "north"}}
        missing = counter.reject("missing", bill=both)
        counter.put(MasterKind.LINE_ITEMS, "tea")

        counter.retrigger()
        counter.reprocess()

        tables = counter.bench.tables()
        assert (counter.status(fixed), counter.status(missing)) == (
            RejectionStatus.REPROCESSED,
            RejectionStatus.PENDING,
        )
        assert counter.the_order().id == fixed
        assert counter.counts() == {"added": 1, "rejected": 1}
        assert [reason.key for reason in tables.rejections[missing].reasons] == ["north"]
        assert tables.needs == {missing: frozenset({("stores", "north", "")})}
        (retrigger,) = tables.retriggers.values()
        assert retrigger.finished_at is not None
        assert counter.bench.due(retrigger.id) is None

    def test_counts_from_the_processing_time(self, counter: Counter) -> None:
        made = NOON - 30 * DAYS
        key = counter.reject(created_at=made, cancellation_timeout=1 * HOURS)
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.bench.clock.wait(2 * DAYS)

        counter.retrigger()
        counter.reprocess()

        order = counter.the_order()
        assert order.created_at == NOON + 2 * DAYS
        assert order.timeouts.cancellation == timedelta(hours=1)
        assert counter.due(order).due_at > NOON + 2 * DAYS
        kept = counter.bench.tables().rejections[key]
        assert (kept.created_at, kept.bill_date) == (made, "2026-01-30")

    def test_tells_of_what_it_added_before_the_order_itself(self, counter: Counter) -> None:
        counter.bench.add_endpoint()
        key = counter.reject()
        counter.put(MasterKind.LINE_ITEMS, "tea")

        counter.retrigger("mine")
        counter.reprocess()

        assert [row.type for row in counter.bench.events() if row.order_id == key] == [
            "transaction.rejected",
            "transaction.reprocessed",
            "order.status_changed",
        ]
        assert counter.told("transaction.reprocessed")[0]["retrigger"] == "mine"
        assert len(streams_of(counter.bench, key)) == 1

    def test_takes_only_those_that_it_names(self, counter: Counter) -> None:
        one, other = counter.reject("one"), counter.reject("other")
        counter.put(MasterKind.LINE_ITEMS, "tea")

        counter.retrigger("r-1", one)
        counter.reprocess()

        assert (counter.status(one), counter.status(other)) == (
            RejectionStatus.REPROCESSED,
            RejectionStatus.PENDING,
        )

    def test_in_a_dry_run_says_what_would_pass_and_changes_nothing(self, counter: Counter) -> None:
        counter.reject("one")
        counter.reject("two", bill={"store": {"key": "north"}})
        counter.put(MasterKind.LINE_ITEMS, "tea")
        before = counter.bench.tables().snapshot()

        counter.retrigger("dry", dry_run=True)
        counter.reprocess()

        after = counter.bench.tables()
        assert counter.counts("dry") == {"added": 1, "rejected": 1}
        unchanged = ("rejections", "decisions", "needs", "orders", "history", "events", "entries")
        assert {name: getattr(after, name) for name in unchanged} == {name: getattr(before, name) for name in unchanged}

    def test_goes_on_batch_by_batch(self, bench: Bench) -> None:
        shop(bench)
        counter = Counter(bench, batch=2)
        for number in range(5):
            counter.reject(f"order-{number}")
        counter.put(MasterKind.LINE_ITEMS, "tea")

        counter.retrigger()
        worked = counter.reprocess()

        assert worked == 3
        assert counter.counts() == {"added": 5}

    def test_that_died_between_two_batches_is_taken_up_where_it_was(self, bench: Bench) -> None:
        shop(bench)
        counter = Counter(bench, batch=2)
        for number in range(5):
            counter.reject(f"order-{number}")
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.retrigger()
        dying = Dying(counter.reprocessing(), saves=1)

        with pytest.raises(Death):
            counter.drain(dying)
        first = dict(counter.counts())
        counter.bench.clock.wait(10 * MINUTES)
        counter.reprocess()

        assert first == {"added": 2}
        assert counter.counts() == {"added": 5}
        assert len(bench.tables().orders) == 5

    def test_adds_nothing_that_another_has_added(self, counter: Counter) -> None:
        key = counter.reject()
        counter.put(MasterKind.LINE_ITEMS, "tea")

        counter.retrigger("one")
        counter.retrigger("two")
        counter.reprocess()

        assert sorted([dict(counter.counts("one")), dict(counter.counts("two"))], key=str) == [
            {"added": 1},
            {"already_added": 1},
        ]
        assert len(counter.told("transaction.reprocessed")) == 1
        assert counter.the_order().id == key

    def test_has_its_name_once(self, counter: Counter) -> None:
        key = counter.reject()

        counter.retrigger("mine", key)
        counter.retrigger("mine", key)
        counter.retrigger("mine")

        assert len(counter.bench.tables().retriggers) == 1
        (refused,) = counter.bench.tables().refused.values()
        assert (refused.name, refused.errors[0]["field"]) == ("sanity.retrigger", "retrigger")

    def test_of_what_is_not_there_or_anothers_is_refused(self, counter: Counter) -> None:
        counter.bench.add_merchant(a_merchant(id="other", checks=ALL, sanity_queue=True))
        theirs = counter.reject(merchant="other")

        counter.retrigger("r-1", theirs, 999)

        assert counter.bench.tables().retriggers == {}
        (refused,) = counter.bench.tables().refused.values()
        assert refused.name == "sanity.retrigger"

    def test_of_nothing_is_through_at_once(self, counter: Counter) -> None:
        counter.retrigger()

        (retrigger,) = counter.bench.tables().retriggers.values()
        assert retrigger.finished_at is not None
        assert counter.bench.tables().due == {}

    def test_leaves_what_its_provider_refuses_where_it_is(self, counter: Counter) -> None:
        key = counter.reject()
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.policies[PROVIDER] = a_policy(merchants=frozenset({"other"}))

        counter.retrigger()
        counter.reprocess()

        assert counter.counts() == {"failed": 1}
        assert counter.status(key) is RejectionStatus.PENDING
        (item,) = counter.bench.tables().items.values()
        assert "may not name payments" in str(item.why)

    def test_sets_apart_what_can_no_longer_be_understood(self, counter: Counter) -> None:
        bad, good = counter.reject("bad"), counter.reject("good")
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.bodies = {says: body for says, body in counter.bodies.items() if body.order != "bad"}

        counter.retrigger()
        counter.reprocess()

        assert counter.counts() == {"added": 1, "failed": 1}
        assert (counter.status(bad), counter.status(good)) == (
            RejectionStatus.PENDING,
            RejectionStatus.REPROCESSED,
        )


class TestNewMasterData:
    def test_retriggers_exactly_what_waited_for_it(self, bench: Bench) -> None:
        shop(bench, auto_retrigger=True)
        counter = Counter(bench)
        tier = Entry(key="tier", type=FieldType.ENUM, options=("gold",))
        counter.put(MasterKind.CUSTOMER_FIELDS, tier)
        tea = counter.reject("tea")
        milk = counter.reject("milk", bill={"line_items": [{"key": "milk"}]})
        north = counter.reject("north", bill={"store": {"key": "tea"}})
        blue = counter.reject("blue", bill={"customer_extended_fields": {"tier": "blue"}})
        red = counter.reject("red", bill={"customer_extended_fields": {"tier": "red"}})

        counter.put(MasterKind.LINE_ITEMS, "tea", "coffee")
        counter.put(MasterKind.CUSTOMER_FIELDS, replace(tier, options=("gold", "blue")))
        items = sorted(key for _, key in bench.tables().items)
        counter.reprocess()

        assert items == [tea, blue]
        added = [key for key in (tea, milk, north, blue, red) if counter.status(key) is RejectionStatus.REPROCESSED]
        assert added == [tea, blue]

    def test_retriggers_nothing_where_the_merchant_does_not_want_it(self, counter: Counter) -> None:
        key = counter.reject()

        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.reprocess()

        assert counter.status(key) is RejectionStatus.PENDING
        assert counter.bench.tables().retriggers == {}

    def test_that_says_nothing_new_has_no_version_and_retriggers_nothing(self, bench: Bench) -> None:
        shop(bench, auto_retrigger=True)
        counter = Counter(bench)

        for key in ("m-1", "m-2"):
            counter.put(MasterKind.STORES, "north", key=key)

        assert bench.tables().versions == {("shop", "stores"): ("merchant:key",)}
        assert bench.tables().retriggers == {}

    def test_stands_as_it_was_said_last(self, counter: Counter) -> None:
        wide = Entry(key="tier", type=FieldType.ENUM, options=("gold", "blue"))
        narrow = replace(wide, options=("gold",))

        for key, entry in (("m-1", narrow), ("m-2", wide), ("m-3", narrow)):
            counter.put(MasterKind.CUSTOMER_FIELDS, entry, key=key)

        assert list(counter.bench.tables().entries.values()) == [narrow]
        assert len(counter.bench.tables().versions["shop", "customer_fields"]) == 3


class TestTheSweep:
    def test_tries_all_that_is_pending_once_for_each_time_that_was_planned(self, counter: Counter) -> None:
        key = counter.reject()
        counter.put(MasterKind.LINE_ITEMS, "tea")
        planned = [NOON]
        sweep = SweepRejected(unit_of_work=counter.bench.units, latest=lambda _now: planned[0])
        opened = [sweep(), sweep()]

        for _ in range(2):
            counter.bench.clock.wait(1 * DAYS)
            planned[0] = counter.bench.clock.now - 1 * HOURS
            opened += [sweep(), sweep()]
            counter.reprocess()

        assert opened == [0, 0, 1, 0, 0, 0]
        assert counter.status(key) is RejectionStatus.REPROCESSED


class TestMarkingFailed:
    def mark(self, counter: Counter, *ids: int, **given: Any) -> None:
        counter.receive(MarkFailed(merchant="shop", transactions=ids, **given))

    def test_ends_it_with_the_note(self, counter: Counter) -> None:
        key = counter.reject()

        self.mark(counter, key, note="a test of ours")

        assert counter.status(key) is RejectionStatus.PERMANENT_FAILED
        assert counter.bench.tables().decisions[key].note == "a test of ours"
        (told,) = counter.told("transaction.failed")
        assert (told["rejection"], told["note"], told["by"]) == (str(key), "a test of ours", "merchant:key")
        assert counter.bench.tables().needs == {}

    def test_of_one_that_was_reprocessed_meanwhile_is_refused_whole(self, counter: Counter) -> None:
        added, waiting = counter.reject("added"), counter.reject("waiting")
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.retrigger("r-1", added)
        counter.reprocess()

        self.mark(counter, added, waiting)

        (refused,) = counter.bench.tables().refused.values()
        assert refused.name == "sanity.mark_failed"
        assert counter.status(waiting) is RejectionStatus.PENDING
        assert counter.told("transaction.failed") == []
        (told,) = counter.told("message.refused")
        assert "reprocessed meanwhile" in told["errors"][0]["reason"]

    def test_twice_is_once(self, counter: Counter) -> None:
        key, other = counter.reject("one"), counter.reject("other")

        self.mark(counter, key, note="no such tea")
        self.mark(counter, key)
        self.mark(counter, key, other, note="no such tea")

        assert [told["rejection"] for told in counter.told("transaction.failed")] == [str(key), str(other)]
        assert counter.bench.tables().refused == {}

    def test_with_another_note_than_it_failed_with_is_refused_whole(self, bench: Bench, counter: Counter) -> None:
        key, other = counter.reject("one"), counter.reject("other")
        shop(bench, sanity_queue=False)
        never_marked = counter.reject("never-marked")
        self.mark(counter, key, note="no such tea")

        self.mark(counter, key, other, note="too late")
        self.mark(counter, never_marked, note="a note of ours")

        tables = counter.bench.tables()
        assert tables.rejections[key].note == "no such tea"
        assert counter.status(other) is RejectionStatus.PENDING
        assert [row.errors[0]["field"] for row in tables.refused.values()] == ["note", "note"]
        assert sorted("no such tea" in row.errors[0]["reason"] for row in tables.refused.values()) == [False, True]

    def test_keeps_it_from_every_later_retrigger(self, counter: Counter) -> None:
        key = counter.reject()
        counter.put(MasterKind.LINE_ITEMS, "tea")
        self.mark(counter, key)

        counter.retrigger("r-1", key)
        counter.reprocess()

        assert counter.counts() == {"failed": 1}
        assert counter.bench.tables().orders == {}

    def test_of_anothers_is_refused(self, counter: Counter) -> None:
        counter.bench.add_merchant(a_merchant(id="other", checks=ALL, sanity_queue=True))
        theirs = counter.reject(merchant="other")

        self.mark(counter, theirs)

        assert counter.status(theirs) is RejectionStatus.PENDING
        assert len(counter.bench.tables().refused) == 1


class TestACommandAboutARejectedOrder:
    def test_waits_however_long_and_is_applied_once_the_order_is_added(self, counter: Counter) -> None:
        counter.reject()
        counter.receive(a_cancel())
        counter.bench.clock.wait(3 * DAYS)
        counter.apply_waiting()
        waited = counter.inbox("intake.cancel_order")

        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.retrigger()
        counter.reprocess()
        counter.apply_waiting()

        assert waited == ["waiting"]
        assert counter.inbox("intake.cancel_order") == ["accepted"]
        assert counter.the_order().cancel_request is not None

    @pytest.mark.parametrize("when", ["before it is added", "after it"])
    def test_starts_no_clock_before_the_order_was_processed(self, counter: Counter, when: str) -> None:
        completed = CheckoutCompleted(merchant="shop", order="order-1", at=NOON - 1 * HOURS)
        counter.reject()
        if when == "before it is added":
            counter.receive(completed)
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.bench.clock.wait(3 * DAYS)
        counter.retrigger()
        counter.reprocess()
        if when == "after it":
            counter.receive(completed)
        counter.apply_waiting()

        order = counter.the_order()
        assert order.checkout_completed_at == order.created_at == NOON + 3 * DAYS

    def test_is_refused_once_it_is_failed(self, counter: Counter) -> None:
        key = counter.reject()
        counter.receive(a_cancel())

        counter.receive(MarkFailed(merchant="shop", transactions=(key,)))
        counter.apply_waiting()

        assert counter.inbox("intake.cancel_order") == ["refused"]
        assert counter.bench.due(key) is None
        (error,) = counter.told("message.refused")[0]["errors"]
        assert error == {"field": "order", "reason": "its transaction was rejected, and has failed for good"}
        assert [row.errors for row in counter.bench.tables().refused.values()] == [[error]]

    def test_is_refused_at_once_where_it_had_failed_before(self, counter: Counter) -> None:
        key = counter.reject()
        counter.receive(MarkFailed(merchant="shop", transactions=(key,)))

        counter.receive(a_cancel())

        assert counter.inbox("intake.cancel_order") == []
        assert len(counter.bench.tables().refused) == 1

    def test_that_came_first_is_refused_when_its_order_is_rejected_for_good(self, counter: Counter) -> None:
        counter.receive(a_cancel())

        counter.reject(bill={"extended_fields": {"unheard": "of"}})
        counter.apply_waiting()

        assert counter.inbox("intake.cancel_order") == ["refused"]


class TestABatchThatFails:
    def test_is_made_smaller_until_the_one_to_blame_is_passed_over(self, counter: Counter) -> None:
        keys = [counter.reject(f"order-{number}") for number in range(3)]
        counter.put(MasterKind.LINE_ITEMS, "tea")
        counter.retrigger()
        step = Poisoned(counter.reprocessing(), counter, poison=keys[0])

        for _ in range(12):
            counter.drain(step)
            counter.bench.clock.wait(1 * MINUTES)

        assert counter.counts() == {"failed": 1, "added": 2}
        assert counter.status(keys[0]) is RejectionStatus.PENDING
        assert counter.bench.cases() == []


class Death(BaseException):
    """The worker is no more."""


class Dying:
    """A step whose worker dies in the middle of a saving."""

    def __init__(self, step: ReprocessRejected, *, saves: int) -> None:
        self._step = step
        self._saves = saves

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def save(self, uow: Any, claim: Any, wave: Sequence[Answered]) -> Any:
        saved = self._step.save(uow, claim, wave)
        if self._saves == 0:
            raise Death
        self._saves -= 1
        return saved


class Poisoned:
    """A step that no batch with this transaction comes through."""

    def __init__(self, step: ReprocessRejected, counter: Counter, *, poison: int) -> None:
        self._step = step
        self._counter = counter
        self._poison = poison

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def save(self, uow: Any, claim: Any, wave: Sequence[Answered]) -> Any:
        saved = self._step.save(uow, claim, wave)
        if self._poison in uow.orders.get_many([self._poison]):
            raise ValueError("it does not go down")
        return saved


def streams_of(bench: Bench, order: int) -> list[EventRow | Any]:
    return [row for row in bench.tables().streams.values() if row.order_id == order]


def test_a_retrigger_waits_in_its_merchants_lane(counter: Counter) -> None:
    counter.reject()

    counter.retrigger()

    (row,) = [row for row in counter.bench.tables().due.values() if row.kind == "retrigger"]
    assert row.lane == counter.bench.lane("shop", LaneFamily.MERCHANT)
