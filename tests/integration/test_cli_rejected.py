"""`trueup rejected`: listed, shown, tried again and given up."""

from typing import Any

import pytest
from sqlalchemy import Engine

from adapters.persistence import merchants, sanity_queue
from adapters.persistence.verify import verify
from domain.model.due_work import Work
from tests.integration.command_line import Trueup
from tests.integration.store import Store

TEA = {"number": "B-1", "line_items": ["tea"], "source": {"system": "pos"}}


@pytest.fixture
def store(engine: Engine) -> Store:
    store = Store(engine)
    with engine.begin() as connection:
        merchants.change(connection, "shop", {"checks": ["line_items"], "sanity_queue": True}, url=None)
    return store


@pytest.fixture(autouse=True)
def broker(trueup: Trueup, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> None:  # noqa: ARG001 - it clears first
    monkeypatch.setenv("TRUEUP_BROKER_URL", valkey_url)


def reject(store: Store, order: str, **given: Any) -> str:
    plain = {"provider": "acme", "reference": f"pay-{order}", "amount": "1", "currency": "EUR", "bill": TEA}
    store.say("register_order", order=order, **plain | given)
    [(key,)] = store.ask('SELECT id FROM rejections WHERE "order" = %(o)s', o=order)
    return str(key)


def know_tea(store: Store) -> None:
    store.say("put_master_data", kind="line_items", entries=[{"key": "tea"}])


@pytest.mark.usefixtures("providers")
class TestRejectedTransactions:
    def test_are_listed_by_what_is_asked_for_and_page_by_page(self, trueup: Trueup, store: Store) -> None:
        keys = [reject(store, f"A{number}", customer=f"c-{number % 2}") for number in range(4)]
        trueup("rejected", "mark-failed", keys[0], "--note", "a test")

        def listed(*options: str) -> list[str]:
            return [one["order"] for one in trueup.json("rejected", "list", *options)]

        assert listed() == ["A3", "A2", "A1", "A0"]
        assert listed("--limit", "2") == ["A3", "A2"]
        assert listed("--limit", "2", "--after", keys[2]) == ["A1", "A0"]
        assert listed("--status", "PENDING", "--customer", "c-0") == ["A2"]
        assert listed("--type", "reprocessable", "--status", "PERMANENT_FAILED") == ["A0"]
        assert listed("--type", "permanent") == []
        assert listed("--merchant", "nobody") == []
        assert listed("--from", "2100-01-01") == listed("--to", "2000-01-01") == []
        assert listed("--from", "2000-01-01", "--to", "2100-01-01T00:00:00Z") == ["A3", "A2", "A1", "A0"]
        assert "the line item 'tea' is not known" in trueup("rejected", "list")

    def test_are_shown_whole(self, trueup: Trueup, store: Store) -> None:
        key = reject(store, "A1", created_at="2026-01-01T12:00:00Z", customer="c-7")

        shown = trueup.json("rejected", "show", key)

        assert (shown["rejection"], shown["status"], shown["type"]) == (key, "PENDING", "reprocessable")
        assert shown["reasons"] == [{"kind": "line_items", "key": "tea", "message": "the line item 'tea' is not known"}]
        assert shown["body"]["bill"] == TEA | {"line_items": [{"key": "tea"}]}
        assert (shown["bill_number"], shown["customer"], shown["source"]) == ("B-1", "c-7", {"system": "pos"})
        assert "tea" in trueup("rejected", "show", key)

    def test_are_pointed_at_where_their_orders_are_asked_for(self, trueup: Trueup, store: Store) -> None:
        key = reject(store, "A1")

        for command in (("order", "show"), ("why",)):
            trueup(*command, "A1", status=2)
            assert f"'A1' was rejected and is PENDING; see: trueup rejected show {key}" in trueup.complaint

    def test_are_tried_again_and_become_orders(self, trueup: Trueup, store: Store, engine: Engine) -> None:
        key, other = reject(store, "A1"), reject(store, "A2", bill={"line_items": ["milk"]})
        know_tea(store)

        started = trueup.json("rejected", "retrigger", "--merchant", "shop", "--id", "r-1")
        waiting = trueup.json("rejected", "status", "r-1")
        trueup("drain")
        done = trueup.json("rejected", "status", "r-1")

        assert started == {"merchant": "shop", "retrigger": "r-1", "dry_run": False}
        assert (waiting["state"], waiting["total"], waiting["waiting"], waiting["next"]["kind"]) == (
            *("running", 2, 2),
            "retrigger",
        )
        counts = ("state", "waiting", "added", "already_added", "still_rejected", "failed")
        assert [done[name] for name in counts] == ["done", 0, 1, 0, 1, 0]
        assert [(left["rejection"], left["outcome"]) for left in done["not_added"]] == [(other, "rejected")]
        assert done["not_added"][0]["reasons"][0]["key"] == "milk"
        assert trueup.json("order", "show", "A1")["status"] == "NEW"
        shown = trueup.json("rejected", "show", key)
        assert (shown["status"], shown["retrigger"]) == ("REPROCESSED", "r-1")
        assert shown["decided_by"].startswith("operator:")
        assert trueup.json("rejected", "status")[0]["retrigger"] == "r-1"
        assert "milk" in trueup("rejected", "status", "r-1")
        assert "r-1" in trueup("rejected", "status")
        assert verify(engine) == []

    def test_are_not_changed_by_a_dry_run(self, trueup: Trueup, store: Store) -> None:
        key = reject(store, "A1")
        know_tea(store)

        name = trueup.json("rejected", "retrigger", key, "--dry-run")["retrigger"]
        trueup("drain")

        assert trueup.json("rejected", "status", name)["added"] == 1
        assert trueup.json("rejected", "show", key)["status"] == "PENDING"

    def test_are_given_up_all_or_none(self, trueup: Trueup, store: Store, engine: Engine) -> None:
        added, waiting = reject(store, "A1"), reject(store, "A2")
        know_tea(store)
        trueup("rejected", "retrigger", added)
        trueup("drain")

        trueup("rejected", "mark-failed", added, waiting, status=2)
        assert "reprocessed meanwhile" in trueup.complaint
        assert trueup.json("rejected", "show", waiting)["status"] == "PENDING"

        assert trueup.json("rejected", "mark-failed", waiting, "--note", "gone") == {
            "merchant": "shop",
            "failed": [waiting],
        }
        shown = trueup.json("rejected", "show", waiting)
        assert (shown["status"], shown["note"]) == ("PERMANENT_FAILED", "gone")
        assert verify(engine) == []

    def test_are_refused_where_nothing_is_so_called(self, trueup: Trueup, store: Store) -> None:
        reject(store, "A1")

        for arguments, complaint in (
            (("show", "999"), "there is no rejected transaction 999"),
            (("mark-failed", "999"), "there is no rejected transaction 999"),
            (("retrigger", "999"), "there is no rejected transaction 999"),
            (("retrigger",), "--merchant: is needed"),
            (("retrigger", "--merchant", "nobody"), "no merchant is called 'nobody'"),
            (("retrigger", "--merchant", "shop", "--id", "auto:1"), "should not begin with"),
            (("status", "nothing"), "nothing is called 'nothing'"),
        ):
            trueup("rejected", *arguments, status=2)
            assert complaint in trueup.complaint


@pytest.mark.usefixtures("providers")
class TestASwitchOfTheMerchant:
    def test_is_what_decides_whether_bills_are_checked(self, trueup: Trueup, store: Store) -> None:
        trueup("merchant", "set", "shop", "--no-checks")
        store.register("free", bill=TEA)
        trueup("merchant", "set", "shop", "--check", "line_items", "--no-sanity-queue")
        for_good = reject(store, "for-good")
        trueup("merchant", "set", "shop", "--sanity-queue", "--auto-retrigger")
        reject(store, "waiting", bill={"line_items": ["milk"]})

        store.say("put_master_data", kind="line_items", entries=[{"key": "milk"}])
        trueup("drain")

        assert trueup.json("rejected", "show", for_good)["status"] == "PERMANENT_FAILED"
        assert [trueup.json("order", "show", order)["status"] for order in ("free", "waiting")] == ["NEW", "NEW"]
        assert trueup.json("rejected", "status")[0]["origin"] == "master_data"

    def test_is_taken_under_the_names_of_checks_as_they_were_before(self, trueup: Trueup, store: Store) -> None:
        trueup("merchant", "set", "shop", "--check", "transaction_extended_fields")

        assert store.ask("SELECT checks FROM merchants") == [(["transaction_fields"],)]


@pytest.mark.usefixtures("providers")
class TestARetriggerThatIsParked:
    def test_is_taken_up_again_with_its_case(self, trueup: Trueup, store: Store, engine: Engine) -> None:
        reject(store, "A1")
        know_tea(store)
        trueup("rejected", "retrigger", "--merchant", "shop", "--id", "r-1")
        with store.unit_of_work() as uow:
            (lane,) = uow.lanes.lock_due([Work.RETRIGGER])
            rows = uow.due_work.candidates({lane.id: {Work.RETRIGGER: 1}})[lane.id][Work.RETRIGGER]
            claim = uow.due_work.lease(rows, until=uow.now)
            uow.due_work.park(claim, [rows[0].subject])
            uow.commit()
        (case,) = trueup.json("cases", "list")

        assert verify(engine) == []
        trueup("cases", "close", str(case["id"]), "--note", "mended", status=2)
        trueup("cases", "close", str(case["id"]), "--note", "mended", "--resume")
        trueup("drain")

        assert trueup.json("rejected", "status", "r-1")["added"] == 1
        assert verify(engine) == []


@pytest.mark.usefixtures("providers")
class TestTheSweep:
    def test_is_planned_by_a_setting(self, trueup: Trueup, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        key = reject(store, "A1")
        know_tea(store)
        monkeypatch.setenv("TRUEUP_SANITY_SWEEP", "never")
        trueup("drain")
        monkeypatch.setenv("TRUEUP_SANITY_SWEEP", "* * * * *")
        trueup("drain")
        before = trueup.json("rejected", "show", key)["status"]

        store.damage("UPDATE sanity_sweeps SET at = at - interval '1 hour'")
        trueup("drain")

        assert (before, trueup.json("rejected", "show", key)["status"]) == ("PENDING", "REPROCESSED")


def test_master_data_is_read_page_by_page(store: Store) -> None:
    store.say("put_master_data", kind="stores", entries=[{"key": key} for key in ("c", "a", "b")])

    with store.engine.connect() as connection:
        first = sanity_queue.master_data(connection, "shop", "stores", limit=2)
        rest = sanity_queue.master_data(connection, "shop", "stores", after=first[-1]["key"], limit=2)

    assert [row["key"] for row in (*first, *rest)] == ["a", "b", "c"]
    assert (first[0]["version"], first[0]["changed_by"]) == (1, "merchant:shop")
