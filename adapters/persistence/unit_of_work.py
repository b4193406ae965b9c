"""The unit of work on PostgreSQL: one transaction, one clock reading, everything or nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg.errors
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.persistence import cases, changes, outbox, traces
from adapters.persistence.columns import run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.inbox import SqlInbox, conclude
from adapters.persistence.lanes import SqlLanes
from adapters.persistence.mails import SqlMails
from adapters.persistence.master_data import SqlMasterData
from adapters.persistence.orders import SqlOrders
from adapters.persistence.rejections import SqlRejections
from adapters.persistence.retriggers import SqlRetriggers
from adapters.persistence.reversals import SqlReversals
from adapters.persistence.streams import SqlStreams
from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import CommandOutcome, CommandState, Decision
from domain.model.due_work import Claim, Due, LaneFamily, Work
from domain.model.master_data import MasterKind
from domain.model.merchant import Merchant
from domain.model.money import Currency
from domain.ports.persistence import Conflict, StoreUnavailable
from domain.rules.waiting import LONGEST_WAIT

# Somebody else was first, and a second run of the same unit of work finds the new state.
_CONFLICTS: Final = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
    psycopg.errors.LockNotAvailable,
)
# The server is away, going away, or has no place for us; a statement's own fault is never among these.
_UNAVAILABLE: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.CrashShutdown,
    psycopg.errors.TooManyConnections,
    psycopg.errors.ConnectionTimeout,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.InterfaceError,
)


# The release before calls two checks `transaction_extended_fields` and `customer_extended_fields`, and may still run.
_OLD_INFIX: Final = "_extended_"


# Whoever tells of an order holds it, so that its events become visible in the order of their ids.
_LOCK_ORDERS: Final = "SELECT FROM orders WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE"
_STUCK: Final = """
SELECT subject FROM cases WHERE subject = ANY(%(subjects)s::bigint[]) AND kind = 'STUCK' AND closed_at IS NULL
"""


class ParkingSqlDueWork(SqlDueWork):
    """Due work that also knows how to give up on a row: its case is opened where the row is taken out."""

    def park(self, claim: Claim, subjects: Sequence[int]) -> None:
        parked = self.take_out(claim, subjects)
        run(self._connection, _LOCK_ORDERS, {"ids": sorted({row[5] for row in parked if row[5] is not None})})
        commands = {row[0]: row for row in parked if row[1] == Work.COMMAND}
        stuck = {row[0] for row in run(self._connection, _STUCK, {"subjects": list(commands)})} if commands else set()
        openings = []
        for subject, kind, claims, error, merchant, order_id, amount, currency, digits, lane in parked:
            if subject in stuck:
                continue
            opening = CaseOpening(
                kind=CaseKind.STUCK,
                known=f"{kind} was tried {claims - 1} times in vain; the last error: {error or 'its worker died'}",
                amount_at_risk=amount,
                deadline=self._now + LONGEST_WAIT if subject in commands else None,
                details={"work": kind, "lane": str(lane)},
            )
            about = cases.About(
                subject=subject,
                merchant=merchant,
                order_id=order_id,
                currency=None if currency is None else Currency(currency, digits),
                actor="system:park",
                mailed=kind != Work.MAIL,  # no mail tells of mails that are not sent
            )
            openings.append((about, opening))
        outbox.store(self._connection, cases.open_cases(self._connection, openings, now=self._now), now=self._now)
        self._end_or_keep(commands, stuck)

    def _end_or_keep(self, commands: Mapping[int, tuple[Any, ...]], stuck: AbstractSet[int]) -> None:
        """A command that is stuck for the second time is refused; one that is new to it has a day, and a person."""
        refused = [
            CommandOutcome(
                command=command,
                state=CommandState.REFUSED,
                reason=f"it could not be carried out: {row[3] or 'its worker died'}",
            )
            for command, row in commands.items()
            if command in stuck
        ]
        if refused:
            conclude(self._connection, refused, now=self._now)
        again = Due(work=Work.COMMAND, at=self._now + LONGEST_WAIT)
        self.plan((command, row[9], again) for command, row in commands.items() if command not in stuck)


class SqlMerchants:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_many(self, ids: Iterable[str]) -> Mapping[str, Merchant]:
        rows = run(
            self._connection,
            "SELECT id, name, email, cancellation_timeout, checkout_timeout, tolerance, checks, sanity_queue,"
            " auto_retrigger FROM merchants WHERE id = ANY(%(ids)s::text[])",
            {"ids": sorted(set(ids))},
        )
        return {
            row[0]: Merchant(
                id=row[0],
                name=row[1],
                email=row[2],
                cancellation_timeout=_duration(row[3]),
                checkout_timeout=_duration(row[4]),
                tolerance=row[5],
                checks=frozenset(MasterKind(check.replace(_OLD_INFIX, "_")) for check in row[6]),
                sanity_queue=row[7],
                auto_retrigger=row[8],
            )
            for row in rows
        }


class SqlUnitOfWork:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._trace = trace
        self.now = now
        self.lanes = SqlLanes(connection, now)
        self.due_work = ParkingSqlDueWork(connection, now)
        self.orders = SqlOrders(connection, now, trace)
        self.inbox = SqlInbox(connection, now)
        self.streams = SqlStreams(connection, now)
        self.mails = SqlMails(connection, now)
        self.reversals = SqlReversals(connection, now, trace)
        self.merchants = SqlMerchants(connection)
        self.master_data = SqlMasterData(connection, now, trace)
        self.rejections = SqlRejections(connection, now, trace)
        self.retriggers = SqlRetriggers(connection, now, trace)

    def apply(self, decisions: Sequence[Decision], claim: Claim | None = None) -> Sequence[int]:
        if not decisions:
            return []
        saved = list(decisions) if claim is None else self._settle(decisions, claim)
        if saved:
            changes.write(self._connection, saved, now=self.now, trace=self._trace)
        if claim is None:
            self._replan(saved)
        return [decision.order.id for decision in saved]

    def commit(self) -> None:
        self._connection.commit()

    def _settle(self, decisions: Sequence[Decision], claim: Claim) -> list[Decision]:
        plans = [(decision.row, decision.due) for decision in decisions if decision.row is not None]
        versions = {decision.order.id: decision.before.version for decision in decisions}
        held = self.due_work.settle(claim, plans, versions)
        return [decision for decision in decisions if decision.order.id in held]

    def _replan(self, decisions: Sequence[Decision]) -> None:
        planned = [d for d in decisions if not d.keep_due]
        lanes = self.lanes.ids(LaneFamily.PROVIDER, {d.order.transaction.provider for d in planned})
        self.due_work.plan(
            (d.order.id, lanes[d.order.transaction.provider], d.due) for d in planned if d.due is not None
        )
        ended = [d.order.id for d in planned if d.due is None]
        if ended:
            self.due_work.remove(ended)


@contextmanager
def store_errors() -> Iterator[None]:
    """Say of what the server or the driver raises whether somebody else was first, or the store is away."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("every connection is in use") from error
    except DBAPIError as error:
        if isinstance(error.orig, _CONFLICTS):
            raise Conflict(str(error.orig).splitlines()[0]) from error
        lost = type(error.orig) is psycopg.OperationalError  # no answer from the server, so no code from it either
        if lost or error.connection_invalidated or isinstance(error.orig, _UNAVAILABLE):
            raise StoreUnavailable(str(error.orig).splitlines()[0]) from error
        raise


class SqlUnitOfWorkFactory:
    """Makes units of work. Tests that live in one process may give them their `now`; nothing else may."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], datetime] | None = None,
        trace: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._trace = trace

    @contextmanager
    def __call__(self) -> Iterator[SqlUnitOfWork]:
        with store_errors(), self._engine.connect() as connection:
            trace = self._trace()
            begun = run(connection, f"SELECT now(), {traces.SET}", {"trace": trace or ""}).one()
            yield SqlUnitOfWork(connection, begun[0] if self._clock is None else self._clock(), trace)


def _duration(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
