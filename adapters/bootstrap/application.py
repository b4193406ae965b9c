"""What every driving adapter calls: intake, and the drains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Engine

from adapters import messages
from adapters.bootstrap.calls import calls_of
from adapters.bootstrap.drains import Drains, Parts
from adapters.calendars import calendar_of
from adapters.currencies import of_iso_4217, with_own
from adapters.embedded import ensure
from adapters.persistence.database import connect
from adapters.persistence.keeper import SqlKeeper
from adapters.persistence.retention import Retention
from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from adapters.policies import limits_of, policy_of
from adapters.providers import providers_of
from adapters.queue import BackgroundHints, CeleryHints
from config.cron import NEVER, Cron
from config.messaging import POLLING, RETRIGGERS, SWEEPS
from config.providers import ProviderSettings
from config.settings import Settings
from domain.model.command import FieldError, RefusedMessage, RegisterOrder
from domain.model.due_work import LaneFamily, Work
from domain.model.money import Currency
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import UnitOfWorkFactory
from domain.usecases.receive_commands import ReceiveCommands, Reception, again
from domain.usecases.register_orders import RegisterOrders
from domain.usecases.sweep_rejected import SweepRejected

log = structlog.get_logger(__name__)

# A command that is refused for one of these names what stands already, or has moved on.
_OF_STATE: Final = frozenset({"order", "reference", "retrigger", "note", "by", "reason"})


def server_urls(settings: Settings) -> tuple[str, str]:
    """Return (database URL, broker URL): the settings', else those of the embedded servers, started if need be."""
    database, broker = settings.database_url, settings.broker_url
    if database is not None and broker is not None:
        return database.get_secret_value(), broker.get_secret_value()
    servers = ensure(settings.home, postgres=database is None, valkey=broker is None)
    return (
        servers.database_url if database is None else database.get_secret_value(),
        servers.broker_url if broker is None else broker.get_secret_value(),
    )


def open_application(
    settings: Settings, *, role: str = "trueup", connections: int = 2, answers: bool = False
) -> "Application":
    """Open everything that a process needs. Nothing connects before it is used.

    `answers` says that somebody waits for what it does: then no broker is waited for.
    """
    database_url, broker_url = server_urls(settings)
    return Application(
        settings,
        database_url=database_url,
        broker_url=broker_url,
        role=role,
        connections=connections,
        answers=answers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a command whose sender waits for the answer: with errors, nothing of it is kept.

    `conflict` says that no field is wrong in itself: what is known stands against it.
    """

    errors: tuple[FieldError, ...] = ()
    repeat: bool = False
    conflict: bool = False


class Application:
    """What every driving adapter calls: intake, and the drains."""

    def __init__(
        self,
        settings: Settings,
        *,
        database_url: str,
        broker_url: str,
        role: str = "trueup",
        connections: int = 2,
        answers: bool = False,
    ) -> None:
        self.settings = settings
        self.engine: Engine = connect(database_url, role=role, pool_size=connections)
        self.unit_of_work = SqlUnitOfWorkFactory(self.engine, trace=_trace)
        providers = providers_of(settings.providers)
        self.policies = {name: _policy(name, provider) for name, provider in providers.items()}
        self._currencies = {name: with_own(provider.currencies) for name, provider in providers.items()}
        self._broker = CeleryHints(broker_url, sweep_seconds=settings.sweep_seconds)
        self._hints = BackgroundHints(self._broker) if answers else self._broker
        self._calls = calls_of(settings, providers)
        self._keeper = SqlKeeper(self.engine)
        register_orders = RegisterOrders(policies=self.policies, currencies=self._currencies_of)
        self.receive = ReceiveCommands(
            unit_of_work=self.unit_of_work,
            policies=self.policies,
            currencies=self._currencies_of,
            register_orders=register_orders,
            keeper=self._keeper,
            hints=self._hints,
        )
        parts = Parts(
            settings=settings,
            calls=self._calls,
            policies=self.policies,
            limits={name: limits_of(provider) for name, provider in providers.items()},
            register_orders=register_orders,
            hints=self._hints,
        )
        self._drains = Drains(self.unit_of_work, parts)
        self._sweep = _sweep_of(settings, self.unit_of_work)
        self._retention = _retention_of(settings, self.engine)
        self._lanes_made = False

    def intake(
        self,
        name: str,
        args: Sequence[object],
        kwargs: Mapping[str, Any],
        *,
        trace: str,
        channel: str = "message",
        actor: str | None = None,
        key: str | None = None,
    ) -> None:
        """Keep what a message says: applied, waiting, or refused with every reason.

        `key` stands for the message's own, where the face has one.

        Raises:
            StoreUnavailable: nothing was kept, and the same call may be made again.
        """
        parsed = messages.parse(name, kwargs, trace=trace, channel=channel, actor=actor, key=key, args=args)
        self._make_lanes()
        if len(parsed.accepted) == 1 and isinstance(parsed.accepted[0].command, RegisterOrder):
            # One order alone is dear: it is kept at once, and registered with those that come beside it.
            self.receive.keep(parsed.accepted[0])
        elif parsed.accepted:
            self.receive(parsed.accepted)
        self.refuse(parsed.refused)

    def tell(
        self,
        name: str,
        many: Sequence[Mapping[str, object]],
        *,
        trace: str,
        channel: str,
        actor: str,
        key: str | None = None,
    ) -> Sequence[Told]:
        """Keep commands of one name whose sender waits for the answer; return what became of each.

        What is refused is not kept, for its sender is told at once. `key` stands for the command's own.

        Raises:
            StoreUnavailable, Conflict: some may be kept, and the same call may be made again.
        """
        parsed = [messages.parse(name, fields, trace=trace, channel=channel, actor=actor, key=key) for fields in many]
        self._make_lanes()
        accepted = [received for one in parsed for received in one.accepted]
        became = iter(self.receive(accepted, keep_refused=False) if accepted else ())
        return [_told(one, became) for one in parsed]

    def hint(self, work: Work) -> None:
        """Say to the workers that work of this kind is due."""
        self._hints.hint(work)

    def reaches_broker(self) -> bool:
        """Whether the broker answers now."""
        return self._broker.depth(POLLING) is not None

    def refuse(self, refused: Sequence[RefusedMessage]) -> None:
        """Keep input that was not accepted, and tell its merchant."""
        if refused:
            again(self.unit_of_work, lambda uow: uow.inbox.refuse(refused))
            for message in refused:
                errors = {error.field: error.reason for error in message.errors}
                log.warning("message.refused", message=message.name, merchant=message.merchant, errors=errors)

    def refuse_raw(self, name: str, body: bytes, why: str) -> None:
        """Keep a message that could not be read."""
        self.refuse([messages.unreadable(name, body, why)])

    def drain(self, queue: str | None = None, *, budget: float | None = None) -> int:
        """Do what is due of this queue's kinds of work, or of every queue's; return how many rows were claimed."""
        self._make_lanes()
        if queue in {None, RETRIGGERS}:
            self.sweep()
        if queue in {None, SWEEPS} and self._retention is not None:
            self._retention()
        return self._drains(queue, budget=budget)

    def sweep(self) -> int:
        """Try again all that is pending in sanity queues, if that is due; return for how many merchants it is."""
        return 0 if self._sweep is None else self._sweep()

    def close(self) -> None:
        self._calls.close()
        self._hints.close()
        self._broker.close()
        self._keeper.close()
        self.engine.dispose()

    def _make_lanes(self) -> None:
        """Every provider of the file has its lane before the first order names it."""
        if not self._lanes_made:
            again(self.unit_of_work, lambda uow: uow.lanes.ensure(LaneFamily.PROVIDER, self.policies))
            self._lanes_made = True

    def _currencies_of(self, provider: str) -> Mapping[str, Currency]:
        return self._currencies.get(provider, of_iso_4217())


def _policy(name: str, settings: ProviderSettings) -> ProviderPolicy:
    policy, settlement = policy_of(name, settings), settings.settlement
    # Once for the whole life of the process: the calendar reaches years further than that.
    today = datetime.now(UTC).date()
    return policy if settlement is None else replace(policy, settlement=calendar_of(settlement, today=today))


def _sweep_of(settings: Settings, unit_of_work: UnitOfWorkFactory) -> SweepRejected | None:
    planned = settings.sanity_sweep
    return None if planned == NEVER else SweepRejected(unit_of_work=unit_of_work, latest=Cron.parse(planned).latest)


def _retention_of(settings: Settings, engine: Engine) -> Retention | None:
    days = settings.retention_days
    return None if days is None else Retention(engine=engine, keep=timedelta(days=days))


def _told(parsed: messages.Parsed, became: Iterator[Reception]) -> Told:
    """Return what became of one message that holds one command."""
    if parsed.refused:
        return Told(errors=parsed.refused[0].errors)
    reception = next(became)
    error = reception.error
    if error is None:
        return Told(repeat=reception.repeat)
    return Told(errors=(error,), conflict=reception.conflict or error.field in _OF_STATE)


def _trace() -> str | None:
    trace = structlog.contextvars.get_contextvars().get("trace")
    return None if trace is None else str(trace)
