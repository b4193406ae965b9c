"""Every step of a case says in which request or task it was taken."""

import pytest
from sqlalchemy import Engine

from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from domain.model.due_work import Due, Work
from tests.contract.test_streams import a_try, given_up
from tests.fakes.bench import LEASE
from tests.integration.command_line import Trueup
from tests.integration.store import Store


@pytest.fixture
def store(engine: Engine) -> Store:
    store = Store(engine)
    store.register("A-1")
    return store


def steps(store: Store) -> list[tuple[str, str | None]]:
    return [(row[0], row[1]) for row in store.ask("SELECT kind, trace FROM case_entries ORDER BY id")]


class TestACase:
    def test_keeps_the_trace_of_the_task_that_opened_it(self, store: Store) -> None:
        for trace in ("task-1", None):
            with SqlUnitOfWorkFactory(store.engine, trace=lambda trace=trace: trace)() as uow:  # type: ignore[misc]
                [(stream, event)] = store.ask("SELECT s.id, x.event FROM streams s JOIN events x USING (order_id)")
                [lane] = uow.lanes.lock_due([Work.DELIVER])
                rows = uow.due_work.candidates({lane.id: {Work.DELIVER: 1}})[lane.id][Work.DELIVER]
                claim = uow.due_work.lease(rows, until=uow.now + LEASE)
                head = uow.streams.heads([stream])[stream]
                opening = given_up(f"{event} {trace}")
                due = Due(work=Work.DELIVER, at=uow.now)
                tried = a_try(claim.rows[0], head, delivered=False, status=500, error="no", due=due, opening=opening)
                uow.streams.apply([tried], claim)
                uow.commit()

        assert steps(store) == [("opened", "task-1"), ("finding", None)]

    def test_keeps_the_traces_of_a_person_at_the_command_line(self, store: Store, trueup: Trueup) -> None:
        [(endpoint,)] = store.ask("SELECT id FROM endpoints")
        trueup("callbacks", "endpoint", "disable", str(endpoint))
        [case] = trueup.json("cases", "list")

        trueup("cases", "close", str(case["id"]), "--action", "enable", "--note", "mended")

        traces = [trace for _, trace in steps(store)]
        assert all(traces)
        assert len({*traces}) == 2
        assert {entry["trace"] for entry in trueup.json("cases", "show", str(case["id"]))["entries"]} == {*traces}
