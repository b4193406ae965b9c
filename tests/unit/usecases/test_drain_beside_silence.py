"""What a drain does for others while calls to a silent endpoint are under way, by a clock that nobody waits for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from domain.model.delivery import Delivery, DeliveryAnswer
from domain.model.due_work import LaneFamily
from domain.rules.callbacks import SCHEDULE
from domain.usecases.deliver_callbacks import DeliverCallbacks
from domain.usecases.drain import Drain, Pace
from tests.builders import a_merchant, limits
from tests.fakes.bench import Bench
from tests.unit.usecases.yard import Yard, a_registration

PATIENCE = 5.0  # seconds until a call to who says nothing is given up
# Who answers when.
SECONDS = {"https://dead.example/hook": PATIENCE, "https://slow.example/hook": 3.0}
LOOK = 0.05
BUDGET = 2.0


@dataclass(slots=True)
class Endpoints:
    """Endpoints that answer at once, but for those of `SECONDS`. Time passes where it is waited for.

    `begun` tells when calls began, and whereto. Something `happens` when its time has come.
    """

    now: float = 0.0
    happens: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    begun: list[tuple[str, float]] = field(default_factory=list)
    _ends: list[tuple[float, Delivery]] = field(default_factory=list)

    def clock(self) -> float:
        self.now += 0.0001
        return self.now

    def deliver(self, delivery: Delivery) -> None:
        self.begun.append((delivery.url, self.now))
        self._ends.append((self.now + SECONDS.get(delivery.url, 0.0), delivery))

    def collect(self, timeout: float) -> Sequence[tuple[Delivery, DeliveryAnswer]]:
        until = self.now + timeout
        self.now = max(self.now, min([until, *(end for end, _ in self._ends)]))
        while self.happens and self.happens[0][0] <= self.now:
            self.happens.pop(0)[1]()
        over = [(end, delivery) for end, delivery in self._ends if end <= self.now]
        self._ends = [one for one in self._ends if one not in over]
        return [(delivery, _answer(delivery)) for _, delivery in over]

    def under_way(self, lane: int) -> int:
        return sum(delivery.lane == lane for _, delivery in self._ends)


def _answer(delivery: Delivery) -> DeliveryAnswer:
    if SECONDS.get(delivery.url) == PATIENCE:
        return DeliveryAnswer(delivered=False, why="no answer")
    return DeliveryAnswer(delivered=True, status=200)


@dataclass(slots=True)
class Street:
    """Merchants with an endpoint each, and what happens at which time."""

    bench: Bench
    yard: Yard = field(init=False)
    endpoints: Endpoints = field(default_factory=Endpoints)
    lanes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.yard = Yard(self.bench)
        for merchant in ("shop", "slow", "dead"):
            if merchant != "shop":
                self.bench.add_merchant(a_merchant(id=merchant))
            endpoint = self.bench.add_endpoint(merchant, url=f"https://{merchant}.example/hook")
            self.lanes[merchant] = self.bench.lane(str(endpoint), LaneFamily.ENDPOINT)

    def register(self, merchant: str, number: int) -> None:
        order = a_registration(merchant=merchant, order=f"{merchant}-{number}", reference=f"p-{merchant}-{number}")
        self.yard.receive(order)

    def at(self, time: float, merchant: str, number: int) -> None:
        self.endpoints.happens.append((time, lambda: self.register(merchant, number)))

    def drain(self, *, overtime: float = 0.0) -> None:
        step = DeliverCallbacks(calls=self.endpoints, schedule=SCHEDULE, lane_limits=limits())
        pace = Pace(budget=BUDGET, look_seconds=LOOK, overtime=overtime)
        drain = Drain(
            unit_of_work=self.bench.units, step=step, pace=pace, clock=self.endpoints.clock, report=self.yard.report
        )
        drain()

    def begun(self, merchant: str) -> list[float]:
        return [time for url, time in self.endpoints.begun if url == f"https://{merchant}.example/hook"]


class TestWhatBecomesDueWhileASilentEndpointIsWaitedFor:
    def test_is_begun_at_the_next_look(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        times = [0.3, 0.31, 1.17]
        for number, time in enumerate(times):
            street.at(time, "shop", number)

        street.drain()

        late = [begun - time for begun, time in zip(street.begun("shop"), times, strict=True)]
        assert len(late) == len(times)
        assert max(late) <= 2 * LOOK

    def test_is_begun_in_overtime_too(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        times = [BUDGET + 0.4, BUDGET + 1.3, PATIENCE - 0.2]
        for number, time in enumerate(times):
            street.at(time, "shop", number)

        street.drain(overtime=10.0)

        late = [begun - time for begun, time in zip(street.begun("shop"), times, strict=True)]
        assert max(late) <= 2 * LOOK
        assert street.begun("dead")[0] < BUDGET

    def test_waits_for_the_next_drain_behind_the_end_of_overtime(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        street.at(BUDGET + 0.4, "shop", 1)
        street.at(BUDGET + 1.4, "shop", 2)

        street.drain(overtime=1.0)

        assert len(street.begun("shop")) == 1


class TestOvertime:
    def test_begins_nothing_at_who_is_silent(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        street.at(BUDGET + 0.4, "dead", 2)

        street.drain(overtime=10.0)

        assert len(street.begun("dead")) == 1

    def test_begins_nothing_at_who_has_failed_before(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        street.at(BUDGET + 0.4, "shop", 1)
        bench.switch(street.lanes["shop"], failures=1)

        street.drain(overtime=10.0)

        assert street.begun("shop") == []

    def test_ends_with_the_calls_that_it_is_for(self, bench: Bench) -> None:
        street = Street(bench)
        street.register("dead", 1)
        street.at(BUDGET + 1.0, "slow", 1)
        street.at(PATIENCE + 0.5, "shop", 1)

        street.drain(overtime=10.0)

        assert BUDGET + 1.0 <= street.begun("slow")[0] <= BUDGET + 1.0 + 2 * LOOK
        assert street.begun("shop") == []
