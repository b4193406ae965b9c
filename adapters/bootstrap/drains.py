"""The drains of every queue: which steps each has, in which turn, and at which pace."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from adapters import messages
from adapters.bootstrap.calls import Calls, endpoint_limits, mail_limits
from config.messaging import NOTIFICATIONS, POLLING, RETRIGGERS, REVERSALS, SWEEPS
from config.settings import Settings
from domain.model.command import OrderCommand, RegisterOrder
from domain.model.due_work import LaneLimits, Work
from domain.model.policy import ProviderPolicy
from domain.ports.persistence import UnitOfWorkFactory
from domain.ports.queue import Hints
from domain.rules import lanes
from domain.rules.callbacks import SCHEDULE
from domain.usecases.apply_waiting import ApplyWaiting
from domain.usecases.ask_providers import AskProviders, Matter
from domain.usecases.deliver_callbacks import DeliverCallbacks
from domain.usecases.drain import Drain, Pace, Step
from domain.usecases.poll_orders import PollOrders
from domain.usecases.register_orders import RegisterOrders
from domain.usecases.reprocess_rejected import ReprocessRejected
from domain.usecases.reverse_timeouts import ReverseTimeouts
from domain.usecases.send_mails import SendMails

log = structlog.get_logger(__name__)

# What no waiting mends: somebody has to look.
ALARMS: Final = frozenset({"provider.alarm", "due_work.raised", "due_work.refused", "due_work.parked"})

# A silent endpoint keeps a drain waiting; others' callbacks are looked for meanwhile, and hardly later than without.
_CALLBACK_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the steps are made of."""

    settings: Settings
    calls: Calls
    policies: Mapping[str, ProviderPolicy]
    limits: Mapping[str, LaneLimits]  # of each provider
    register_orders: RegisterOrders
    hints: Hints


class Drains:
    """One drain for each queue; a process has one of these."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, parts: Parts) -> None:
        self._unit_of_work = unit_of_work
        self._settings = parts.settings
        self._steps = _steps_of(parts)
        self._turn = -1

    def __call__(self, queue: str | None = None, *, budget: float | None = None) -> int:
        """Do what is due of this queue's kinds of work, or of every queue's; return how many rows were claimed.

        One queue's work makes another's due, as a poll does a cancel: so every queue has its turn until none finds
        any, or once where there is a budget.
        """
        if queue is not None:
            return self._in_turn(self._steps[queue], self._settings.drain_seconds if budget is None else budget)
        worked = done = self._all(budget)
        while done and budget is None:
            done = self._all(budget)
            worked += done
        return worked

    def _all(self, budget: float | None) -> int:
        return sum(self._drain(step)(budget) for steps in self._steps.values() for step in steps)

    def _in_turn(self, steps: Sequence[Step], budget: float) -> int:
        """Share one budget among the steps of a queue, so that a task is never longer for having several.

        Another one comes first each time: where one has no end of work, the others are not starved.
        """
        self._turn += 1
        first = self._turn % len(steps)
        end = time.monotonic() + budget
        worked = 0
        for step in (*steps[first:], *steps[:first]):
            left = end - time.monotonic()
            worked += self._drain(step)(left) if left > 0 else 0
        return worked

    def _drain(self, step: Step) -> Drain:
        return Drain(
            unit_of_work=self._unit_of_work,
            step=step,
            pace=_pace_of(step, self._settings),
            clock=time.monotonic,
            report=_report,
        )


def _pace_of(step: Step, settings: Settings) -> Pace:
    delivers = Work.DELIVER in step.works
    return Pace(
        budget=settings.drain_seconds,
        wave_seconds=settings.wave_seconds,
        look_seconds=min(settings.wave_seconds, _CALLBACK_LOOK_SECONDS) if delivers else settings.wave_seconds,
        wave_size=settings.wave_size,
        lease_margin=timedelta(seconds=settings.lease_seconds),
        gathers=Work.COMMAND in step.works,
        # A task may run for the lease and one call: overtime is what the drain leaves of the lease.
        overtime=settings.lease_seconds - settings.drain_seconds - 2 * settings.wave_seconds if delivers else 0.0,
    )


def _steps_of(parts: Parts) -> Mapping[str, Sequence[Step]]:
    """Return the steps of every queue: a new kind of due work has its line here."""
    orders = PollOrders(policies=parts.policies, report=_report)
    reversals = ReverseTimeouts(policies=parts.policies, report=_report)
    return {
        # First, for where one drain does all: polls that slow a lane down must not keep what acts from its turn.
        REVERSALS: [_asking(parts, orders, reversals, works=lanes.REVERSING, beside=lanes.POLLING)],
        POLLING: [_asking(parts, orders, works=lanes.POLLING, beside=lanes.REVERSING)],
        NOTIFICATIONS: [
            DeliverCallbacks(
                calls=parts.calls.callbacks, schedule=SCHEDULE, lane_limits=endpoint_limits(parts.settings)
            ),
            SendMails(calls=parts.calls.mails, lane_limits=mail_limits(parts.settings)),
        ],
        RETRIGGERS: [
            ReprocessRejected(
                command_of=messages.command_of,
                policies=parts.policies,
                currencies=parts.register_orders.currencies,
                hints=parts.hints,
            )
        ],
        SWEEPS: [
            ApplyWaiting(
                command_of=_waiting_command,
                register_orders=parts.register_orders,
                policies=parts.policies,
                hints=parts.hints,
            )
        ],
    }


def _asking(parts: Parts, *matters: Matter, works: Sequence[Work], beside: Sequence[Work]) -> AskProviders:
    return AskProviders(
        calls=parts.calls.providers,
        matters=matters,
        lane_limits=parts.limits,
        hints=parts.hints,
        report=_report,
        works=works,
        beside=beside,
    )


def _waiting_command(name: str, body: Mapping[str, Any]) -> OrderCommand | RegisterOrder:
    """Return the command that waits in the inbox; what names a payment never waits for an order."""
    command = messages.command_of(name, body)
    assert isinstance(command, OrderCommand | RegisterOrder)
    return command


def _report(event: str, fields: Mapping[str, object]) -> None:
    level = log.error if event in ALARMS else log.info
    level(event, **fields)
