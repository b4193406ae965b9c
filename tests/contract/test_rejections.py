"""Rejections and retriggers: kept once, found by what they lack, decided once."""

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.model.due_work import Due, LaneFamily, Work
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.rejection import (
    Finding,
    Outcome,
    Reason,
    Rejection,
    RejectionStatus,
    RejectionType,
    Retrigger,
    RetriggerOrigin,
)
from domain.ports.persistence import Conflict
from tests.builders import HOURS, NOON, PROVIDER, a_merchant
from tests.fakes.bench import Bench

K = MasterKind
TEA = Reason(kind=K.LINE_ITEMS, key="tea", message="the line item 'tea' is not known")
BLUE = Reason(kind=K.CUSTOMER_FIELDS, key="tier", message="the customer field 'tier' has no option", option="blue")
NOW = Due(work=Work.RETRIGGER, at=NOON)


def a_rejection(bench: Bench, order: str = "order-1", **given: Any) -> Rejection:
    with bench.units() as uow:
        key = uow.orders.next_ids(1)[0]
    plain: dict[str, Any] = {
        "id": key,
        "merchant": "shop",
        "order": order,
        "provider": PROVIDER,
        "reference": f"pay-{order}",
        "customer": "c-7",
        "bill_number": "B-1",
        "bill_date": "2026-01-30",
        "created_at": NOON - 5 * HOURS,
        "source": {"system": "pos"},
        "type": RejectionType.REPROCESSABLE,
        "status": RejectionStatus.PENDING,
        "reasons": (TEA,),
        "body": {"merchant": "shop", "order": order},
        "rejected_at": NOON,
    }
    return Rejection(**plain | given)


def keep(bench: Bench, *rejections: Rejection) -> list[int]:
    with bench.units() as uow:
        uow.rejections.store(rejections, actor="merchant:key")
        uow.commit()
    return [rejection.id for rejection in rejections]


def start(bench: Bench, transactions: list[int] | None = None, **given: Any) -> Retrigger:
    with bench.units() as uow:
        plain: dict[str, Any] = {
            "id": uow.orders.next_ids(1)[0],
            "merchant": "shop",
            "name": "r-1",
            "origin": RetriggerOrigin.ASKED,
            "dry_run": False,
            "actor": "merchant:key",
            "started_at": NOON,
        }
        retrigger = Retrigger(**plain | given)
        uow.retriggers.open(retrigger, transactions, NOW)
        uow.commit()
    return retrigger


class TestARejection:
    def test_is_read_back_as_it_was_kept(self, bench: Bench) -> None:
        rejection = a_rejection(bench, reasons=(TEA, BLUE))

        keep(bench, rejection)

        with bench.units() as uow:
            assert uow.rejections.get_many([rejection.id, 999]) == {rejection.id: rejection}
            assert uow.rejections.lock_many([rejection.id]) == {rejection.id: rejection}
            assert uow.rejections.status_of("shop", "order-1") is RejectionStatus.PENDING
            assert uow.rejections.status_of("shop", "order-2") is None
            assert uow.rejections.status_of("other", "order-1") is None
            pairs = [("shop", "order-1"), ("shop", "order-2"), ("other", "order-1")]
            assert uow.rejections.known(pairs) == {("shop", "order-1")}

    def test_is_told_of_under_the_id_of_the_order_that_it_may_become(self, bench: Bench) -> None:
        rejection = a_rejection(bench)

        keep(bench, rejection)

        (event,) = bench.events()
        assert (event.type, event.order_id) == ("transaction.rejected", rejection.id)
        assert json.loads(event.body)["data"]["rejection"] == str(rejection.id)

    @pytest.mark.parametrize("same", [{"order": "order-1"}, {"reference": "pay-order-1"}])
    def test_has_its_names_once(self, bench: Bench, same: dict[str, str]) -> None:
        keep(bench, a_rejection(bench))

        with pytest.raises(Conflict):
            keep(bench, a_rejection(bench, **{"order": "order-2"} | same))

    @pytest.mark.parametrize("wrong", [{"reasons": ()}, {"merchant": "nobody"}, {"type": RejectionType.PERMANENT}])
    def test_is_refused_if_it_cannot_be(self, bench: Bench, wrong: dict[str, Any]) -> None:
        with pytest.raises(bench.violation):
            keep(bench, a_rejection(bench, **wrong))

    def test_holds_its_payment_against_others(self, bench: Bench) -> None:
        keep(bench, a_rejection(bench))

        with bench.units() as uow:
            named = uow.orders.taken([(PROVIDER, "pay-order-1")])[PROVIDER, "pay-order-1"]

        assert (named.merchant, named.by_rejection, named.by_order) == ("shop", True, False)

    def test_is_decided_with_an_event(self, bench: Bench) -> None:
        added, failed = a_rejection(bench, "a"), a_rejection(bench, "f")
        keep(bench, added, failed)
        retrigger = start(bench)

        with bench.units() as uow:
            uow.rejections.reprocess([added], retrigger)
            uow.rejections.fail([failed], note="gone", actor="operator:ann")
            uow.commit()

        tables = bench.tables()
        assert [tables.rejections[key].status for key in (added.id, failed.id)] == [
            RejectionStatus.REPROCESSED,
            RejectionStatus.PERMANENT_FAILED,
        ]
        assert tables.decisions[added.id].retrigger == retrigger.id
        assert (tables.decisions[failed.id].by, tables.decisions[failed.id].note) == ("operator:ann", "gone")
        assert tables.needs == {}
        assert [event.event for event in bench.events()][2:] == [
            f"evt_rejection_{added.id}_reprocessed",
            f"evt_rejection_{failed.id}_failed",
        ]

    def test_is_decided_once(self, bench: Bench) -> None:
        rejection = a_rejection(bench)
        keep(bench, rejection)
        retrigger = start(bench)
        with bench.units() as uow:
            uow.rejections.reprocess([rejection], retrigger)
            uow.commit()

        with pytest.raises(Conflict), bench.units() as uow:
            uow.rejections.fail([rejection], note=None, actor="operator:ann")

    def test_says_anew_what_is_missing(self, bench: Bench) -> None:
        rejection = a_rejection(bench)
        keep(bench, rejection)

        with bench.units() as uow:
            uow.rejections.restate({rejection.id: (BLUE,)})
            uow.rejections.restate({})
            uow.commit()

        tables = bench.tables()
        assert tables.rejections[rejection.id].reasons == (BLUE,)
        assert tables.needs == {rejection.id: frozenset({("customer_fields", "tier", "blue")})}


class TestWhatWaitsForMasterData:
    @pytest.mark.parametrize(
        ("kind", "entry", "found"),
        [
            (K.LINE_ITEMS, Entry(key="tea"), ["tea", "both"]),
            (K.LINE_ITEMS, Entry(key="milk"), []),
            (K.STORES, Entry(key="tea"), []),
            (K.CUSTOMER_FIELDS, Entry(key="tier", type=FieldType.ENUM, options=("blue",)), ["blue", "both"]),
            (K.CUSTOMER_FIELDS, Entry(key="tier", type=FieldType.ENUM, options=("red",)), []),
            (K.CUSTOMER_FIELDS, Entry(key="tier", type=FieldType.STRING), ["blue", "both"]),
        ],
    )
    def test_is_found_by_exactly_that(self, bench: Bench, kind: MasterKind, entry: Entry, found: list[str]) -> None:
        bench.add_merchant(a_merchant(id="other"))
        kept = {
            "tea": a_rejection(bench, "tea"),
            "blue": a_rejection(bench, "blue", reasons=(BLUE,)),
            "both": a_rejection(bench, "both", reasons=(TEA, BLUE)),
            "theirs": a_rejection(bench, "theirs", merchant="other", reasons=(TEA, BLUE)),
            "failed": a_rejection(
                bench, "failed", status=RejectionStatus.PERMANENT_FAILED, type=RejectionType.PERMANENT
            ),
        }
        keep(bench, *kept.values())

        with bench.units() as uow:
            assert uow.rejections.waiting_for("shop", kind, [entry]) == [kept[name].id for name in found]


class TestARetrigger:
    def test_is_due_in_its_merchants_lane_with_all_that_is_pending(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="other"))
        mine = keep(bench, a_rejection(bench, "a"), a_rejection(bench, "b"))
        keep(bench, a_rejection(bench, "theirs", merchant="other"))

        retrigger = start(bench)

        row = bench.due(retrigger.id)
        assert row is not None
        assert (row.kind, row.lane) == ("retrigger", bench.lane("shop", LaneFamily.MERCHANT))
        with bench.units() as uow:
            assert uow.retriggers.called("shop", "r-1") == retrigger
            assert uow.retriggers.called("other", "r-1") is None
            assert uow.retriggers.get_many([retrigger.id, 999]) == {retrigger.id: retrigger}
            assert uow.retriggers.batch(retrigger, 10) == mine
            assert uow.retriggers.batch(retrigger, 1) == mine[:1]
            assert uow.retriggers.batch(replace(retrigger, cursor=mine[0]), 10) == mine[1:]

    def test_counts_what_it_finds(self, bench: Bench) -> None:
        one, two, three = keep(bench, *(a_rejection(bench, name) for name in "abc"))
        retrigger = start(bench, [three, one, two, one])

        with bench.units() as uow:
            first = [Finding(rejection=one, outcome=Outcome.ADDED)]
            uow.retriggers.save(replace(retrigger, cursor=one), first)
            rest = [
                Finding(rejection=two, outcome=Outcome.REJECTED, reasons=(TEA,)),
                Finding(rejection=three, outcome=Outcome.ADDED),
            ]
            ended = replace(retrigger, cursor=three, finished_at=NOON)
            uow.retriggers.save(ended, rest)
            uow.commit()

        tables = bench.tables()
        assert tables.counts == {retrigger.id: {"added": 2, "rejected": 1}}
        assert tables.retriggers[retrigger.id] == ended
        assert [item.outcome for item in tables.items.values()] == ["added", "rejected", "added"]

    def test_has_its_name_once_for_each_merchant(self, bench: Bench) -> None:
        bench.add_merchant(a_merchant(id="other"))
        start(bench, [])
        start(bench, [], merchant="other")

        with pytest.raises(Conflict):
            start(bench, [])

    def test_of_nothing_is_through(self, bench: Bench) -> None:
        retrigger = start(bench)

        assert bench.due(retrigger.id) is None
        assert bench.tables().retriggers[retrigger.id].finished_at == NOON


class TestASweep:
    def test_begins_once_and_not_in_a_new_store(self, bench: Bench) -> None:
        keep(bench, a_rejection(bench))

        def begin() -> list[str]:
            with bench.units() as uow:
                merchants = uow.retriggers.begin_sweep(bench.clock.now - 1 * HOURS)
                uow.commit()
            return list(merchants)

        begun = [begin(), begin()]
        bench.clock.wait(2 * HOURS)
        begun += [begin(), begin()]

        assert begun == [[], [], ["shop"], []]

    def test_leaves_a_merchant_out_whose_last_is_not_through(self, bench: Bench) -> None:
        keep(bench, a_rejection(bench))
        start(bench, name="auto:1", origin=RetriggerOrigin.SWEEP)
        with bench.units() as uow:
            uow.retriggers.begin_sweep(bench.clock.now)
            uow.commit()
        bench.clock.wait(2 * HOURS)

        with bench.units() as uow:
            assert uow.retriggers.begin_sweep(bench.clock.now) == []

    def test_takes_the_place_of_what_the_last_one_found(self, bench: Bench) -> None:
        keep(bench, a_rejection(bench))
        old = start(bench, name="auto:1", origin=RetriggerOrigin.SWEEP)
        with bench.units() as uow:
            uow.retriggers.save(replace(old, finished_at=NOON), [])
            uow.commit()

        new = start(bench, name="auto:2", origin=RetriggerOrigin.SWEEP)

        assert {retrigger for retrigger, _ in bench.tables().items} == {new.id}


class TestARetriggerThatIsParked:
    def test_has_a_case_of_its_merchant(self, bench: Bench) -> None:
        keep(bench, a_rejection(bench))
        retrigger = start(bench)
        claim = bench.claim(Work.RETRIGGER, lane=bench.lane("shop", LaneFamily.MERCHANT))

        with bench.units() as uow:
            uow.due_work.park(claim, [retrigger.id])
            uow.commit()

        (case,) = bench.cases()
        assert (case.kind, case.subject, case.merchant) == ("STUCK", retrigger.id, "shop")
