"""Named points at which calls are held until somebody lets them go."""

import asyncio
from typing import Literal

import msgspec

from adapters.simulator.faults import Call
from adapters.simulator.scripts import DEFAULT_PROVIDER, GROUPS, Operations, Point, Provider


class BarrierOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reference` may end in * as in rules; a released barrier holds nobody until it is armed again."""

    action: Literal["arm", "release", "status"]
    provider: Provider = DEFAULT_PROVIDER
    operation: Operations = "any"
    reference: str = "*"
    point: Point = "before"

    def holds(self, call: Call, point: Point) -> bool:
        exact = not self.reference.endswith("*")
        return (
            point == self.point
            and call.provider == self.provider
            and call.operation in GROUPS[self.operation]
            and any(each == self.reference if exact else each.startswith(self.reference[:-1]) for each in call.nth)
        )


class Barrier:
    def __init__(self, order: BarrierOrder) -> None:
        self.order = order
        self.held = 0
        self.open = asyncio.Event()


class Barriers:
    def __init__(self) -> None:
        self._barriers: dict[str, Barrier] = {}

    def obey(self, name: str, order: BarrierOrder) -> dict[str, object]:
        """Arm, release or only look; return whether it is armed and how many calls it holds."""
        barrier = self._barriers.get(name)
        if order.action == "arm":
            if barrier:
                barrier.open.set()
            barrier = self._barriers[name] = Barrier(order)
        if order.action == "release" and barrier:
            barrier.open.set()
            del self._barriers[name]
        return {"name": name, "armed": name in self._barriers, "held": barrier.held if barrier else 0}

    async def hold(self, call: Call, point: Point) -> None:
        for barrier in list(self._barriers.values()):
            if barrier.order.holds(call, point):
                barrier.held += 1
                try:
                    await barrier.open.wait()
                finally:
                    barrier.held -= 1
