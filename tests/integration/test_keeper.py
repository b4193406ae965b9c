"""Keeping one command in one statement, on a connection that may die at any moment."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Engine, text

from adapters.persistence.keeper import SqlKeeper
from domain.model.command import Received
from domain.model.due_work import LaneFamily
from domain.ports.persistence import StoreUnavailable
from tests.integration.store import Store
from tests.unit.usecases.yard import a_registration


def received(order: str) -> Received:
    return Received(
        command=a_registration(order=order, reference=f"pay-{order}"),
        key=order,
        content=order,
        body={"order": order},
        actor="merchant:shop",
        trace="t-1",
    )


@pytest.fixture
def keeper(engine: Engine) -> Iterator[SqlKeeper]:
    store = Store(engine)
    with store.unit_of_work() as uow:
        uow.lanes.ensure(LaneFamily.MERCHANT, ["shop"])
        uow.commit()
    with closing(SqlKeeper(engine)) as keeper:
        yield keeper


def kept(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text('SELECT "order" FROM inbox ORDER BY id')).scalars())


class TestTheConnection:
    def test_that_dies_loses_the_command_that_notices_and_no_other(self, keeper: SqlKeeper, engine: Engine) -> None:
        assert keeper(received("o1"))
        with engine.connect() as connection:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(f"{kill} AND datname = current_database() AND query LIKE '%INTO inbox%'"))

        with pytest.raises(StoreUnavailable):
            keeper(received("o2"))

        assert keeper(received("o2"))
        assert kept(engine) == ["o1", "o2"]

    def test_that_a_time_limit_broke_off_is_not_used_again(
        self, keeper: SqlKeeper, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Limit(BaseException):
            """Stands for Celery's soft time limit, which comes between any two steps."""

        def broken_off(*_: object) -> None:
            raise Limit

        assert keeper(received("o1"))
        before = keeper._connection
        monkeypatch.setattr("adapters.persistence.keeper.run", broken_off)
        with pytest.raises(Limit):
            keeper(received("o2"))
        monkeypatch.undo()

        assert keeper(received("o2"))
        assert keeper._connection is not before
        assert kept(engine) == ["o1", "o2"]
