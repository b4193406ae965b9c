"""The one place where ports meet adapters."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Engine

from adapters import messages
from adapters.calendars import calendar_of
from adapters.currencies import of_iso_4217, with_own
from adapters.embedded import ensure
from adapters.notifications.callback import CallbackCalls
from adapters.notifications.email import KeptCalls, SmtpCalls
from adapters.persistence.database import connect
from adapters.persistence.keeper import SqlKeeper
from adapters.persistence.unit_of_work import SqlUnitOfWorkFactory
from adapters.policies import limits_of, policy_of
from adapters.providers import ADAPTERS, HttpProviderCalls
from adapters.queue import BackgroundHints, CeleryHints
from config.cron import NEVER, Cron
from config.mail import MailServer
from config.messaging import NOTIFICATIONS, POLLING, RETRIGGERS, REVERSALS, SWEEPS
from config.providers import ProviderSettings, load_providers
from config.settings import Settings
from domain.model.command import FieldError, OrderCommand, RefusedMessage, RegisterOrder
from domain.model.due_work import LaneFamily, LaneLimits, Work
from domain.model.money import Currency
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import Conflict, StoreUnavailable
from domain.rules import lanes
from domain.rules.callbacks import SCHEDULE
from domain.usecases.apply_waiting import ApplyWaiting
from domain.usecases.ask_providers import AskProviders, Matter
from domain.usecases.deliver_callbacks import DeliverCallbacks
from domain.usecases.drain import Drain, Pace, Step
from domain.usecases.poll_orders import PollOrders
from domain.usecases.receive_commands import ReceiveCommands, Reception, again
from domain.usecases.register_orders import RegisterOrders
from domain.usecases.reprocess_rejected import ReprocessRejected
from domain.usecases.reverse_timeouts import ReverseTimeouts
from domain.usecases.send_mails import SendMails
from domain.usecases.sweep_rejected import SweepRejected

__all__ = ["Application", "Conflict", "StoreUnavailable", "Told", "open_application", "server_urls"]

log = structlog.get_logger(__name__)

# What no waiting mends: somebody has to look.
ALARMS: Final = frozenset({"provider.alarm", "due_work.raised", "due_work.refused", "due_work.parked"})

# A command that is refused for one of these names what stands already, or has moved on.
_OF_STATE: Final = frozenset({"order", "reference", "retrigger", "note", "by", "reason"})

# One endpoint gets this much of a worker at once, so that a slow one never has it all.
_ENDPOINT_CONCURRENCY: Final = 32
_ENDPOINT_RATE: Final = 500.0
# A silent endpoint keeps a drain waiting; others' callbacks are looked for meanwhile, and hardly later than without.
_CALLBACK_LOOK_SECONDS: Final = 0.05

# Mails are few, and servers count them: a few connections in each worker, and so many over all of them.
_MAIL_CONNECTIONS: Final = 4
_MAIL_RATE: Final = 20.0


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
        providers = load_providers(settings.providers)
        self.policies = {name: _policy(name, provider) for name, provider in providers.items()}
        self._currencies = {name: with_own(provider.currencies) for name, provider in providers.items()}
        self._broker = CeleryHints(broker_url, sweep_seconds=settings.sweep_seconds)
        self._hints = BackgroundHints(self._broker) if answers else self._broker
        self._provider_calls = HttpProviderCalls({name: _translator(name, p) for name, p in providers.items()})
        self._callback_calls = CallbackCalls(
            allow_hosts=frozenset(settings.callback_allow_hosts), timeout_seconds=settings.callback_seconds
        )
        self._mail_calls = _mail_calls(settings)
        self._keeper = SqlKeeper(self.engine)
        self._register_orders = RegisterOrders(policies=self.policies, currencies=self._currencies_of)
        self.receive = ReceiveCommands(
            unit_of_work=self.unit_of_work,
            policies=self.policies,
            currencies=self._currencies_of,
            register_orders=self._register_orders,
            keeper=self._keeper,
            hints=self._hints,
        )
        self._limits = {name: limits_of(provider) for name, provider in providers.items()}
        self._steps = self._make_steps()
        self._turn = -1
        planned = settings.sanity_sweep
        self._sweep = (
            None
            if planned == NEVER
            else SweepRejected(unit_of_work=self.unit_of_work, latest=Cron.parse(planned).latest)
        )
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
        """Do what is due of this queue's kinds of work, or of every queue's; return how many rows were claimed.

        One queue's work makes another's due, as a poll does a cancel: so every queue has its turn until none finds
        any, or once where there is a budget.
        """
        self._make_lanes()
        if queue in {None, RETRIGGERS}:
            self.sweep()
        if queue is not None:
            return self._drain_in_turn(self._steps[queue], self.settings.drain_seconds if budget is None else budget)
        worked = done = self._drain_all(budget)
        while done and budget is None:
            done = self._drain_all(budget)
            worked += done
        return worked

    def _drain_all(self, budget: float | None) -> int:
        return sum(self._drain_of(step)(budget) for steps in self._steps.values() for step in steps)

    def _drain_in_turn(self, steps: Sequence[Step], budget: float) -> int:
        """Share one budget among the steps of a queue, so that a task is never longer for having several.

        Another one comes first each time: where one has no end of work, the others are not starved.
        """
        self._turn += 1
        first = self._turn % len(steps)
        end = time.monotonic() + budget
        worked = 0
        for step in (*steps[first:], *steps[:first]):
            left = end - time.monotonic()
            worked += self._drain_of(step)(left) if left > 0 else 0
        return worked

    def sweep(self) -> int:
        """Try again all that is pending in sanity queues, if that is due; return for how many merchants it is."""
        return 0 if self._sweep is None else self._sweep()

    def close(self) -> None:
        self._provider_calls.close()
        self._callback_calls.close()
        self._mail_calls.close()
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

    def _drain_of(self, step: Step) -> Drain:
        settings = self.settings
        pace = Pace(
            budget=settings.drain_seconds,
            wave_seconds=settings.wave_seconds,
            look_seconds=min(settings.wave_seconds, _CALLBACK_LOOK_SECONDS)
            if Work.DELIVER in step.works
            else settings.wave_seconds,
            wave_size=settings.wave_size,
            lease_margin=timedelta(seconds=settings.lease_seconds),
            gathers=Work.COMMAND in step.works,
            # A task may run for the lease and one call: overtime is what the drain leaves of the lease.
            overtime=settings.lease_seconds - settings.drain_seconds - 2 * settings.wave_seconds
            if Work.DELIVER in step.works
            else 0.0,
        )
        return Drain(unit_of_work=self.unit_of_work, step=step, pace=pace, clock=time.monotonic, report=_report)

    def _make_steps(self) -> Mapping[str, Sequence[Step]]:
        endpoint = LaneLimits(
            requests_per_second=_ENDPOINT_RATE,
            concurrency=_ENDPOINT_CONCURRENCY,
            call_timeout=timedelta(seconds=self.settings.callback_seconds),
        )
        orders = PollOrders(policies=self.policies, report=_report)
        reversals = ReverseTimeouts(policies=self.policies, report=_report)
        return {
            # First, for where one drain does all: polls that slow a lane down must not keep what acts from its turn.
            REVERSALS: [self._asking(orders, reversals, works=lanes.REVERSING, beside=lanes.POLLING)],
            POLLING: [self._asking(orders, works=lanes.POLLING, beside=lanes.REVERSING)],
            NOTIFICATIONS: [
                DeliverCallbacks(calls=self._callback_calls, schedule=SCHEDULE, lane_limits=endpoint),
                SendMails(calls=self._mail_calls, lane_limits=_mail_limits(self.settings)),
            ],
            RETRIGGERS: [
                ReprocessRejected(
                    command_of=messages.command_of,
                    policies=self.policies,
                    currencies=self._currencies_of,
                    hints=self._hints,
                )
            ],
            SWEEPS: [
                ApplyWaiting(
                    command_of=_waiting_command,
                    register_orders=self._register_orders,
                    policies=self.policies,
                    hints=self._hints,
                )
            ],
        }

    def _asking(self, *matters: Matter, works: Sequence[Work], beside: Sequence[Work]) -> AskProviders:
        return AskProviders(
            calls=self._provider_calls,
            matters=matters,
            lane_limits=self._limits,
            hints=self._hints,
            report=_report,
            works=works,
            beside=beside,
        )


def _policy(name: str, settings: ProviderSettings) -> ProviderPolicy:
    policy, settlement = policy_of(name, settings), settings.settlement
    # Once for the whole life of the process: the calendar reaches years further than that.
    today = datetime.now(UTC).date()
    return policy if settlement is None else replace(policy, settlement=calendar_of(settlement, today=today))


def _told(parsed: messages.Parsed, became: Iterator[Reception]) -> Told:
    """Return what became of one message that holds one command."""
    if parsed.refused:
        return Told(errors=parsed.refused[0].errors)
    reception = next(became)
    error = reception.error
    if error is None:
        return Told(repeat=reception.repeat)
    return Told(errors=(error,), conflict=reception.conflict or error.field in _OF_STATE)


def _translator(name: str, settings: ProviderSettings) -> Any:
    credentials = settings.credentials
    return ADAPTERS[settings.adapter](
        name=name,
        base_url=settings.base_url,
        token=None if credentials is None else credentials.token.get_secret_value(),
        timeout_seconds=settings.timeout_seconds,
        bulk=settings.bulk,
    )


def _mail_calls(settings: Settings) -> SmtpCalls | KeptCalls:
    if settings.smtp_url is None:
        return KeptCalls()
    return SmtpCalls(
        MailServer.parse(settings.smtp_url.get_secret_value()),
        sender=settings.mail_from,
        operator=settings.operator_email,
        timeout_seconds=settings.mail_seconds,
        connections=_MAIL_CONNECTIONS,
    )


def _mail_limits(settings: Settings) -> LaneLimits:
    return LaneLimits(
        requests_per_second=_MAIL_RATE,
        concurrency=_MAIL_CONNECTIONS,
        call_timeout=timedelta(seconds=settings.mail_seconds),
    )


def _waiting_command(name: str, body: Mapping[str, Any]) -> OrderCommand | RegisterOrder:
    """Return the command that waits in the inbox; what names a payment never waits for an order."""
    command = messages.command_of(name, body)
    assert isinstance(command, OrderCommand | RegisterOrder)
    return command


def _report(event: str, fields: Mapping[str, object]) -> None:
    level = log.error if event in ALARMS else log.info
    level(event, **fields)


def _trace() -> str | None:
    trace = structlog.contextvars.get_contextvars().get("trace")
    return None if trace is None else str(trace)
