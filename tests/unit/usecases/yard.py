"""What the use cases work in: a store, a scripted provider, scripted endpoints, recorded hints and reports."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from domain.model.command import CancelOrder, Command, OrderCommand, Received, RegisterOrder, RetriggerRejected
from domain.model.due_work import Lane, LaneLimits, Work
from domain.model.money import Currency
from domain.model.order import CanceledBy, Order
from domain.model.policy import Cadence, ProviderPolicy
from domain.rules import lanes
from domain.rules.callbacks import SCHEDULE
from domain.usecases.apply_waiting import ApplyWaiting
from domain.usecases.ask_providers import AskProviders
from domain.usecases.deliver_callbacks import DeliverCallbacks
from domain.usecases.drain import Drain, Pace, Step
from domain.usecases.poll_orders import PollOrders
from domain.usecases.receive_commands import ReceiveCommands
from domain.usecases.register_orders import RegisterOrders
from domain.usecases.reverse_timeouts import ReverseTimeouts
from tests.builders import EUR, PAYMENT, PROVIDER, a_policy, limits
from tests.fakes.bench import Bench
from tests.fakes.calls import RecordedHints, ScriptedDeliveries, ScriptedProvider
from tests.fakes.rows import DueRow

PACE: Final = Pace(wave_size=100, wave_seconds=0.25)
WIDE: Final = limits(requests_per_second=10_000.0, concurrency=1000)


@dataclass(slots=True)
class Ticks:
    """A clock that goes on a little whenever it is read, so that no drain is endless."""

    now: float = 0.0
    tick: float = 0.01

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Yard:
    def __init__(
        self, bench: Bench, *, lane: LaneLimits = WIDE, policy: ProviderPolicy | None = None, pace: Pace = PACE
    ) -> None:
        self.bench = bench
        self.pace = pace
        self.provider = ScriptedProvider(bench.units)
        self.endpoints = ScriptedDeliveries(bench.units)
        self.hints = RecordedHints()
        self.reports: list[tuple[str, Mapping[str, object]]] = []
        self.policies = {PROVIDER: policy or a_policy()}
        self.lane_limits = {PROVIDER: lane}
        self.commands: dict[str, OrderCommand | RegisterOrder] = {}

    def receive(self, *commands: Command, key: str | None = None, content: str | None = None) -> None:
        self.intake()([self._received(command, key, content) for command in commands])

    def keep(self, command: RegisterOrder, *, content: str | None = None, actor: str = "merchant:key") -> None:
        """Take it in as a message of its own, to be registered by the next drain of the inbox."""
        self.intake().keep(replace(self._received(command, None, content), actor=actor))

    def intake(self) -> ReceiveCommands:
        return ReceiveCommands(
            unit_of_work=self.bench.units,
            policies=self.policies,
            currencies=currencies,
            register_orders=self._registering(),
            keeper=self.bench.keeper,
            hints=self.hints,
        )

    def _registering(self) -> RegisterOrders:
        return RegisterOrders(policies=self.policies, currencies=currencies)

    def poll(self, *, budget: float | None = None, step: Step | None = None) -> int:
        """Do all that is due at providers, or what is the step's."""
        if step is not None:
            return self.drain(step, budget=budget)
        worked = 0
        # Polls and effects make one another due.
        while done := self.drain(self.polling(), budget=budget) + self.drain(self.reversing(), budget=budget):
            worked += done
            if budget is not None:
                break
        return worked

    def polling(self) -> AskProviders:
        return self._asking(lanes.POLLING, beside=lanes.REVERSING)

    def reversing(self) -> AskProviders:
        return self._asking(lanes.REVERSING, beside=lanes.POLLING)

    def _asking(self, works: Sequence[Work], beside: Sequence[Work]) -> AskProviders:
        return AskProviders(
            calls=self.provider,
            matters=(
                PollOrders(policies=self.policies, report=self.report),
                ReverseTimeouts(policies=self.policies, report=self.report),
            ),
            lane_limits=self.lane_limits,
            hints=self.hints,
            report=self.report,
            works=works,
            beside=beside,
        )

    def deliver(self, schedule: Cadence = SCHEDULE) -> int:
        return self.drain(DeliverCallbacks(calls=self.endpoints, schedule=schedule, lane_limits=limits()))

    def apply_waiting(self) -> int:
        return self.drain(self.applying())

    def applying(self) -> ApplyWaiting:
        return ApplyWaiting(
            command_of=lambda _name, body: self.commands[str(body["says"])],
            register_orders=self._registering(),
            policies=self.policies,
            hints=self.hints,
        )

    def drain(self, step: Step, *, budget: float | None = None) -> int:
        run = Drain(unit_of_work=self.bench.units, step=step, pace=self.pace, clock=Ticks(), report=self.report)
        return run(budget)

    def report(self, event: str, fields: Mapping[str, object]) -> None:
        self.reports.append((event, fields))

    def poll_when_due(self, order: Order | int, times: int = 1) -> None:
        """Let time pass until the order is due, and do what is due then."""
        for _ in range(times):
            row = self.due(order)
            self.bench.clock.now = max(self.bench.clock.now, row.due_at)
            self.poll()

    def due(self, order: Order | int) -> DueRow:
        row = self.bench.due(order if isinstance(order, int) else order.id)
        assert row is not None
        return row

    def the_order(self) -> Order:
        (order,) = self.bench.tables().orders.values()
        return order

    def lane(self) -> Lane:
        return self.bench.tables().lanes[self.bench.lane()]

    @staticmethod
    def says(command: Command) -> str:
        return hashlib.sha256(repr(command).encode()).hexdigest()

    def _received(self, command: Command, key: str | None, content: str | None) -> Received:
        says = self.says(command)
        if isinstance(command, OrderCommand | RegisterOrder):
            self.commands[says] = command
        return Received(
            command=command,
            key=key or _key_of(command) or says,
            content=content or says,
            body={"says": says},
            actor="merchant:key",
            trace="t-1",
        )


def _key_of(command: Command) -> str | None:
    if isinstance(command, RetriggerRejected):
        return command.retrigger
    return command.order if isinstance(command, RegisterOrder) else None


def currencies(_provider: str) -> Mapping[str, Currency]:
    return {"EUR": EUR}


def a_registration(**given: Any) -> RegisterOrder:
    plain: dict[str, Any] = {
        "merchant": "shop",
        "order": "order-1",
        "provider": PROVIDER,
        "reference": PAYMENT,
        "amount": "100.00",
        "currency": "EUR",
    }
    return RegisterOrder(**plain | given)


def a_cancel(**given: Any) -> CancelOrder:
    plain: dict[str, Any] = {"merchant": "shop", "order": "order-1", "by": CanceledBy.MERCHANT, "reason": "sold out"}
    return CancelOrder(**plain | given)


def statuses_of(bench: Bench, order: int) -> list[str]:
    return [row.status for row in bench.history(order)]
