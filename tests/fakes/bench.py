"""One bench, two stores: what a test needs of a store beside its ports, in memory and on PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from adapters.persistence.keeper import SqlKeeper
from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from domain.model.command import Received
from domain.model.due_work import Claim, Claimed, Due, Lane, LaneFamily, Work
from domain.model.mail import Correspondent
from domain.model.master_data import MasterKind
from domain.model.merchant import Endpoint, Merchant
from domain.model.order import Order
from domain.model.rejection import Outcome
from domain.model.reversal import Reversal
from domain.model.transaction import Effect, Intent
from tests.builders import NOON, PROVIDER, SECONDS, a_merchant, a_new, an_order
from tests.fakes.calls import Watched
from tests.fakes.checks import Violation
from tests.fakes.rows import (
    AttemptRow,
    CaseRow,
    DecisionRow,
    DeliveryRow,
    DueRow,
    EntryRow,
    EventRow,
    HistoryRow,
    InboxRow,
    ItemRow,
    MailRow,
    RefusedRow,
    StreamRow,
    Tables,
    TimelineRow,
)
from tests.fakes.unit_of_work import FakeStore

R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")
LEASE: Final = 90 * SECONDS
POLL_NOW: Final = Due(work=Work.POLL, at=NOON)


@dataclass(slots=True)
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def wait(self, for_: timedelta) -> None:
        self.now += for_


class Bench(ABC):
    """A store with a merchant `shop` and a provider `acme`, and the moves that tests share."""

    violation: tuple[type[Exception], ...]
    clock: Clock
    units: Watched

    @abstractmethod
    def keeper(self, received: Received) -> bool:
        """Keep a command as one that waits."""

    @abstractmethod
    def tables(self) -> Tables:
        """Return everything that is committed."""

    @abstractmethod
    def add_merchant(self, merchant: Merchant) -> None: ...

    @abstractmethod
    def correspond(self, correspondent: Correspondent) -> None:
        """Set where mails to a merchant go, and what they look like."""

    @abstractmethod
    def change_merchant(self, merchant: Merchant) -> None:
        """Put this merchant in the place of the one of its name."""

    @abstractmethod
    def add_endpoint(
        self, merchant: str = "shop", types: Sequence[str] | None = None, url: str = "https://shop.example/hook"
    ) -> int: ...

    @abstractmethod
    def switch(self, lane: int, **switches: Any) -> None:
        """Set columns of a lane's row, as an operator would."""

    def furnish(self) -> "Bench":
        self.add_merchant(a_merchant())
        self.lane()
        self.lane("smtp", LaneFamily.MAIL)
        return self

    def lane(self, name: str = PROVIDER, family: LaneFamily = LaneFamily.PROVIDER) -> int:
        with self.units() as uow:
            key = uow.lanes.ensure(family, [name])[name]
            uow.commit()
        return key

    def register(self, order: Order | None = None, due: Due = POLL_NOW) -> Order:
        """Store an order as new, under a fresh id, and return it as it is read back."""
        return self.register_many([order or an_order()], due)[0]

    def register_many(self, orders: Sequence[Order], due: Due = POLL_NOW) -> list[Order]:
        with self.units() as uow:
            ids = uow.orders.next_ids(len(orders))
            named = [replace(order, id=key) for order, key in zip(orders, ids, strict=True)]
            uow.orders.register([a_new(order, due) for order in named])
            uow.commit()
        return list(self.read(ids).values())

    def read(self, ids: Sequence[int]) -> Mapping[int, Order]:
        with self.units() as uow:
            return uow.orders.get_many(ids)

    def order(self, key: int) -> Order:
        return self.read([key])[key]

    def claim(self, *works: Work, lane: int | None = None, most: int = 500, until: datetime | None = None) -> Claim:
        """Lease all healthy due rows of these works, polls if none are named."""
        where = self.lane() if lane is None else lane
        with self.units() as uow:
            found = uow.due_work.candidates({where: dict.fromkeys(works or (Work.POLL,), most)})
            rows = [row for kinds in found.values() for some in kinds.values() for row in some]
            claim = uow.due_work.lease(rows, until=until or self.clock.now + LEASE)
            uow.commit()
        return claim

    def due(self, subject: int) -> DueRow | None:
        return self.tables().due.get(subject)

    def plan(self, claim: Claim, due: Due | None, **options: Any) -> frozenset[int]:
        """Settle every row of a claim with the same plan."""
        with self.units() as uow:
            held = uow.due_work.settle(claim, [(row, due) for row in claim.rows], **options)
            uow.commit()
        return held

    def events(self, kind: str | None = None) -> list[EventRow]:
        rows = sorted(self.tables().events.values(), key=lambda row: row.id)
        return [row for row in rows if kind is None or row.type == kind]

    def cases(self) -> list[CaseRow]:
        return sorted(self.tables().cases.values(), key=lambda row: row.id)

    def mails(self) -> list[MailRow]:
        return sorted(self.tables().mails.values(), key=lambda row: row.id)

    def history(self, order: int) -> list[HistoryRow]:
        rows = [row for row in self.tables().history.values() if row.order_id == order]
        return sorted(rows, key=lambda row: row.sequence)


class MemoryBench(Bench):
    violation = (Violation,)

    def __init__(self) -> None:
        self.clock = Clock()
        self._store = FakeStore(self.clock)
        self.units = Watched(self._store)

    def keeper(self, received: Received) -> bool:
        with self._store() as uow:
            kept = uow.inbox.keep(received)
            uow.commit()
        return kept

    def tables(self) -> Tables:
        return self._store.tables

    def add_merchant(self, merchant: Merchant) -> None:
        self._store.tables.merchants[merchant.id] = merchant

    def correspond(self, correspondent: Correspondent) -> None:
        self._store.tables.correspondents[correspondent.merchant] = correspondent

    def change_merchant(self, merchant: Merchant) -> None:
        self.add_merchant(merchant)

    def add_endpoint(
        self, merchant: str = "shop", types: Sequence[str] | None = None, url: str = "https://shop.example/hook"
    ) -> int:
        key = next(self._store.ids)
        lane = self.lane(str(key), LaneFamily.ENDPOINT)
        self._store.tables.endpoints[key] = an_endpoint(key, merchant, types, url)
        self._store.tables.lane_of_endpoint[key] = lane
        return key

    def switch(self, lane: int, **switches: Any) -> None:
        self._store.tables.lanes[lane] = replace(self._store.tables.lanes[lane], **switches)


def an_endpoint(key: int, merchant: str, types: Iterable[str] | None, url: str) -> Endpoint:
    return Endpoint(
        id=key,
        merchant=merchant,
        url=url,
        secrets=("whsec_AAAA",),
        enabled=True,
        types=None if types is None else frozenset(types),
    )


class SqlBench(Bench):
    violation = (IntegrityError, DataError)

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = Clock()
        self.units = Watched(SqlUnitOfWorkFactory(engine, clock=self.clock))

    def keeper(self, received: Received) -> bool:
        with closing(SqlKeeper(self.engine, clock=self.clock)) as keeper:
            return keeper(received)

    def add_merchant(self, merchant: Merchant) -> None:
        values = {
            "id": merchant.id,
            "name": merchant.name,
            "email": merchant.email,
            "cancellation": _seconds(merchant.cancellation_timeout),
            "checkout": _seconds(merchant.checkout_timeout),
            "tolerance": merchant.tolerance,
            "checks": sorted(merchant.checks),
            "sanity_queue": merchant.sanity_queue,
            "auto_retrigger": merchant.auto_retrigger,
        }
        self._execute(
            "INSERT INTO merchants (id, name, email, cancellation_timeout, checkout_timeout, tolerance, checks,"
            " sanity_queue, auto_retrigger) VALUES (:id, :name, :email, :cancellation, :checkout, :tolerance, :checks,"
            " :sanity_queue, :auto_retrigger)",
            **values,
        )

    def correspond(self, correspondent: Correspondent) -> None:
        self._execute(
            "UPDATE merchants SET name = :name, email = :email, mail_name = :mail_name, mail_sender = :mail_sender,"
            " mail_link = :mail_link, mail_statuses = :statuses WHERE id = :merchant",
            **(asdict(correspondent) | {"statuses": sorted(correspondent.statuses)}),
        )

    def change_merchant(self, merchant: Merchant) -> None:
        self._execute(
            "UPDATE merchants SET checks = :checks, sanity_queue = :sanity_queue, auto_retrigger = :auto_retrigger"
            " WHERE id = :id",
            id=merchant.id,
            checks=sorted(merchant.checks),
            sanity_queue=merchant.sanity_queue,
            auto_retrigger=merchant.auto_retrigger,
        )

    def add_endpoint(
        self, merchant: str = "shop", types: Sequence[str] | None = None, url: str = "https://shop.example/hook"
    ) -> int:
        with self.engine.begin() as connection:
            key = int(connection.execute(text("SELECT nextval('subject_ids')")).scalar_one())
        endpoint = an_endpoint(key, merchant, types, url)
        self._execute(
            "INSERT INTO endpoints (id, merchant, url, secrets, types, lane)"
            " VALUES (:id, :merchant, :url, :secrets, :types, :lane)",
            id=key,
            merchant=merchant,
            url=endpoint.url,
            secrets=list(endpoint.secrets),
            types=None if types is None else list(types),
            lane=self.lane(str(key), LaneFamily.ENDPOINT),
        )
        return key

    def switch(self, lane: int, **switches: Any) -> None:
        columns = ", ".join(f"{name} = :{name}" for name in switches)
        self._execute(f"UPDATE lanes SET {columns} WHERE id = :id", id=lane, **switches)

    def tables(self) -> Tables:
        orders = [int(row["id"]) for row in self._select("SELECT id FROM orders ORDER BY id")]
        return Tables(
            lanes={row["id"]: _lane(row) for row in self._select("SELECT * FROM lanes")},
            endpoints={row["id"]: _endpoint(row) for row in self._select("SELECT * FROM endpoints")},
            due={row.subject: row for row in self._rows(DueRow, "due_work")},
            orders=dict(self.read(orders)),
            bills={row["id"]: row["bill"] for row in self._select("SELECT id, bill FROM orders")},
            intents={(r["order_id"], r["number"]): _intent(r) for r in self._select("SELECT * FROM intents")},
            reversals=dict(self._reversals()),
            reversal_intents={
                (r["reversal_id"], r["number"]): _intent({**r, "effect": Effect.VOID})
                for r in self._select("SELECT * FROM reversal_intents")
            },
            reversal_attempts=self._rows(AttemptRow, "reversal_attempts", order="id"),
            **self._sanity(),
            history={(row.order_id, row.sequence): row for row in self._rows(HistoryRow, "history")},
            timeline=self._rows(TimelineRow, "timeline", order="id"),
            events={row.id: row for row in self._rows(EventRow, "events")},
            streams={row.id: row for row in self._rows(StreamRow, "streams")},
            deliveries={(row.stream, row.event_row): row for row in self._rows(DeliveryRow, "deliveries")},
            cases={row.id: row for row in self._rows(CaseRow, "cases")},
            mails={row.id: row for row in self._rows(MailRow, "mails")},
            case_entries=self._rows(EntryRow, "case_entries", order="id"),
            failing_since={
                row["id"]: row["failing_since"]
                for row in self._select("SELECT id, failing_since FROM endpoints WHERE failing_since IS NOT NULL")
            },
            inbox={row.id: row for row in self._rows(InboxRow, "inbox")},
            refused={str(at): row for at, row in enumerate(self._rows(RefusedRow, "refused_messages", order="id"))},
        )

    def _reversals(self) -> Mapping[int, Reversal]:
        keys = [int(row["id"]) for row in self._select("SELECT id FROM reversals")]
        with self.units() as uow:
            return uow.reversals.get_many(keys)

    def _sanity(self) -> dict[str, Any]:
        rejections = self._select("SELECT * FROM rejections ORDER BY id")
        retriggers = self._select("SELECT * FROM retriggers ORDER BY id")
        entries = self._select("SELECT merchant, kind, key, type, options FROM master_data")
        with self.units() as uow:
            kept = uow.rejections.get_many([row["id"] for row in rejections])
            running = uow.retriggers.get_many([row["id"] for row in retriggers])
            known = uow.master_data.find((row["merchant"], MasterKind(row["kind"]), row["key"]) for row in entries)
        return {
            "rejections": dict(kept),
            "retriggers": dict(running),
            "entries": dict(known),
            "versions": _grouped(
                ((row["merchant"], row["kind"]), row["actor"])
                for row in self._select("SELECT merchant, kind, actor FROM master_data_versions ORDER BY version")
            ),
            "decisions": {
                row["id"]: DecisionRow(by=row["decided_by"], note=row["note"], retrigger=row["retrigger"])
                for row in rejections
                if row["decided_at"] is not None
            },
            "needs": {
                key: frozenset(needs)
                for key, needs in _grouped(
                    (row["rejection"], (row["kind"], row["key"], row["option"]))
                    for row in self._select("SELECT * FROM rejection_needs")
                ).items()
            },
            "items": {(r.retrigger, r.rejection): r for r in self._rows(ItemRow, "retrigger_items")},
            "counts": {
                row["id"]: counted
                for row in retriggers
                if (counted := {name.value: row[name.value] for name in Outcome if row[name.value]})
            },
            "swept": [row["at"] for row in self._select("SELECT at FROM sanity_sweeps")],
        }

    def _rows(self, kind: "type[R]", table: str, *, order: str = "1") -> list[R]:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # every R is a dataclass, which a type variable cannot say
        columns = ", ".join(f'"{name}"' for name in names)
        found = self._select(f"SELECT {columns} FROM {table} ORDER BY {order}")
        return [kind(**{name: _plain(row[name]) for name in names}) for row in found]

    def _select(self, statement: str) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def _execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    found: dict[K, tuple[V, ...]] = {}
    for key, value in pairs:
        found[key] = (*found.get(key, ()), value)
    return found


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _lane(row: Mapping[str, Any]) -> Lane:
    return Lane(**{**row, "family": LaneFamily(row["family"])})


def _intent(row: Mapping[str, Any]) -> Intent:
    return Intent(
        effect=Effect(row["effect"]),
        number=row["number"],
        key=row["key"],
        confirmed=row["confirmed"],
        refused_in=row["refused_in"],
        asked=row["asked"],
    )


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        id=row["id"],
        merchant=row["merchant"],
        url=row["url"],
        secrets=tuple(row["secrets"]),
        enabled=row["enabled"],
        types=None if row["types"] is None else frozenset(row["types"]),
        waits=None if row["waits"] is None else tuple(timedelta(seconds=wait) for wait in row["waits"]),
    )


def only(claim: Claim, *subjects: int) -> Claim:
    """The part of a claim that is about these subjects."""
    return replace(claim, rows=[row for row in claim.rows if row.subject in subjects])


def row_of(claim: Claim, subject: int) -> Claimed:
    return next(row for row in claim.rows if row.subject == subject)
