from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.model.due_work import Due, Work
from domain.model.money import Currency
from domain.model.order import PaymentKind
from domain.ports.persistence import Conflict, Named
from tests.builders import ETH, MINUTES, NOON, SECONDS, a_new, an_order, money
from tests.fakes.bench import Bench

LARGEST = Decimal("99999999999999999999.999999999999999999")


class TestAnOrder:
    def test_is_read_as_it_was_registered(self, bench: Bench) -> None:
        order = an_order(
            kind=PaymentKind.CRYPTO,
            network="ethereum",
            currency=ETH,
            amount=money("0.123456789012345678"),
            tolerance=money("0.000000000000000001"),
            customer="c-1",
            attempts_allowed=0,
            created_at=NOON - timedelta(days=1, microseconds=1),
            cancellation=90.5 * SECONDS,
            checkout=2 * MINUTES,
            reference="ö" * 128,
            payment="π" * 128,
        )

        stored = bench.register(order)

        assert stored == replace(order, id=stored.id)

    def test_is_read_without_what_is_optional(self, bench: Bench) -> None:
        stored = bench.register()

        assert stored == an_order(id=stored.id)

    def test_keeps_the_largest_amount_that_fits(self, bench: Bench) -> None:
        assert bench.register(an_order(amount=LARGEST, currency=Currency("BIG", 18))).amount == LARGEST

    def test_is_left_out_if_it_is_unknown(self, bench: Bench) -> None:
        order = bench.register()

        assert set(bench.read([order.id, 99999])) == {order.id}
        assert bench.read([]) == {}

    def test_is_found_by_its_merchant_and_reference_alone(self, bench: Bench) -> None:
        order = bench.register()

        with bench.units() as uow:
            assert uow.orders.lock_by_reference("shop", "order-1") == order
            assert uow.orders.lock_by_reference("shop", "order-2") is None
            assert uow.orders.lock_by_reference("another", "order-1") is None

    def test_has_named_its_payment_and_itself(self, bench: Bench) -> None:
        bench.register()

        with bench.units() as uow:
            taken = uow.orders.taken([("acme", "pay-1"), ("acme", "pay-2"), ("other", "pay-1")])
            known = uow.orders.known([("shop", "order-1"), ("shop", "order-2"), ("another", "order-1")])
            nothing = [*uow.orders.taken([]), *uow.orders.known([])]

        assert taken == {("acme", "pay-1"): Named(merchant="shop", by_order=True)}
        assert known == {("shop", "order-1")}
        assert nothing == []


class TestARegistration:
    def test_leaves_its_due_row_history_event_and_bill(self, bench: Bench) -> None:
        due = Due(work=Work.CLOSE, at=NOON + 1 * MINUTES)
        with bench.units() as uow:
            key = uow.orders.next_ids(1)[0]
            uow.orders.register([a_new(an_order(id=key), due, bill={"lines": [1, "ü"]}, actor="merchant:key")])
            uow.commit()

        row, (change,), (event,) = bench.due(key), bench.history(key), bench.events()
        assert row is not None
        assert (row.kind, row.due_at, row.lane, row.generation) == ("close", due.at, bench.lane(), 0)
        assert (change.sequence, change.previous, change.status, change.actor) == (1, None, "NEW", "merchant:key")
        assert (event.event, event.order_id, event.sequence) == (f"evt_{key}_1", key, 1)
        assert bench.tables().bills[key] == {"lines": [1, "ü"]}

    @pytest.mark.parametrize("same", [{"payment": "pay-2"}, {"reference": "order-2"}])
    def test_loses_against_one_that_named_order_or_payment_before(self, bench: Bench, same: dict[str, Any]) -> None:
        bench.register()

        with pytest.raises(Conflict):
            bench.register(an_order(**same))

        assert len(bench.tables().orders) == 1

    def test_may_use_the_names_of_another_merchant_and_provider(self, bench: Bench) -> None:
        bench.lane("other")
        bench.register()

        bench.register(an_order(reference="order-2", provider="other"))

        assert len(bench.tables().orders) == 2

    def test_is_undone_with_its_unit_of_work(self, bench: Bench) -> None:
        with bench.units() as uow:
            key = uow.orders.next_ids(1)[0]
            uow.orders.register([a_new(an_order(id=key), Due(work=Work.POLL, at=NOON))])

        tables = bench.tables()
        assert (tables.orders, tables.due, tables.events, tables.history) == ({}, {}, {}, {})

    def test_gives_no_id_twice(self, bench: Bench) -> None:
        with bench.units() as uow:
            first = uow.orders.next_ids(3)
        with bench.units() as uow:
            second = uow.orders.next_ids(2)

        assert len({*first, *second}) == 5

    @pytest.mark.parametrize(
        "wrong",
        [
            {"amount": money(0)},
            {"amount": money(-1)},
            {"amount": money(10**20)},
            {"reference": ""},
            {"reference": "x" * 129},
            {"payment": ""},
            {"payment": "x" * 129},
            {"currency": Currency("EUR", 19)},
            {"merchant": "nobody"},
            {"attempts_allowed": -1},
        ],
        ids=str,
    )
    def test_is_refused_by_the_tables_if_it_cannot_be(self, bench: Bench, wrong: dict[str, Any]) -> None:
        with pytest.raises(bench.violation):
            bench.register(an_order(**wrong))

        assert bench.tables().orders == {}
