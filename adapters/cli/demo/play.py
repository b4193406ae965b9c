"""The run: customers, merchants and producers act as the plan says, each as a stranger to Trueup would."""

import heapq
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from celery import Celery

from adapters.cli.demo.faults import BadMessage
from adapters.cli.demo.plan import DemoOrder
from adapters.cli.demo.rejections import DemoRejection
from adapters.cli.demo.remote import Receiver, Simulator
from adapters.cli.demo.scenario import IN_LISTS, Said, Turn
from adapters.cli.demo.timeouts import DemoTimeout, rfc3339, timeout_of
from adapters.cli.processes import Stop
from adapters.queue import Depths

_INTAKE: Final = "intake"
_SAYING: Final = (_INTAKE, "sanity")
_LONGEST_LIST: Final = 100
_BOOT_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.25


class Producer:
    """Celery and a broker's address, and nothing of this project."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("a-stranger", broker=broker_url, set_as_current=False)
        self.sent: Counter[str] = Counter()

    def wait_for_workers(self, count: int, stop: Stop) -> None:
        """Wait until so many workers answer or we are asked to stop, so that nothing is measured that only boots.

        Raises:
            RuntimeError: they do not.
        """
        end = time.monotonic() + _BOOT_SECONDS
        while not stop.wait(0) and len(self._celery.control.ping(timeout=1.0, limit=count)) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"not all of {count} workers answer")

    def has_sent_all(self) -> bool:
        """Whether somebody has taken every message from the queue."""
        with self._celery.connection_for_read() as connection:
            depth = Depths(connection)
            return not any(depth(queue) for queue in _SAYING)

    def send(self, task: str, fields: Mapping[str, Any]) -> None:
        """Send what is for intake, or for the queue that the task's name begins with."""
        name = task if "." in task else f"{_INTAKE}.{task}"
        self._celery.send_task(name, kwargs=dict(fields), queue=name.partition(".")[0], ignore_result=True)
        self.sent[name] += 1


class Play:
    """Holds what is still to happen; `step` lets happen what is due."""

    def __init__(
        self,
        plan: Sequence[DemoOrder],
        timeouts: Sequence[DemoTimeout],
        bad: Sequence[BadMessage],
        rejections: Sequence[DemoRejection] = (),
        *,
        simulator: Simulator,
        receiver: Receiver,
        producer: Producer,
        stands: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._stands = stands  # whether what was put as master data is known
        self._simulator = simulator
        self._receiver = receiver
        self._producer = producer
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._places = itertools.count()
        self._starting: list[DemoOrder] = []
        self._began: dict[int, float] = {}
        self._timed_out: dict[int, float] = {}
        self._reactions: dict[tuple[str, str, str], list[tuple[float, Callable[[], None]]]] = defaultdict(list)
        self._mends = {(rejection.merchant, rejection.order): [rejection] for rejection in rejections}
        for planned in plan:
            self._plan(planned)
        for timeout in timeouts:
            self._plan_report(timeout)
        spread = max((planned.starts_at for planned in plan), default=0.0)
        for number, message in enumerate(bad):
            self._at(spread * number / len(bad), partial(self._send_bad, message))
        self._start = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether all is said, done and taken in."""
        return not (self._agenda or self._reactions or self._mends) and self._producer.has_sent_all()

    @property
    def begun(self) -> int:
        return len(self._began)

    def unplayed(self) -> list[str]:
        """Return what the plan wanted and never came to pass, because its cue did not come."""
        cues = [*self._reactions, *((*of, "REJECTED") for of in self._mends)]
        return [f"{merchant}/{order} never became {status}" for merchant, order, status in cues]

    def begin(self) -> None:
        self._start = time.monotonic()

    def step(self) -> None:
        now = self._now()
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        if self._starting:
            self._begin_orders()
        self._react(self._receiver.news())

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._places), action))

    def _plan(self, planned: DemoOrder) -> None:
        self._at(planned.starts_at, partial(self._starting.append, planned))
        for said in planned.scenario.said:
            if said.at is not None and said.at < 0:
                self._at(max(planned.starts_at + said.at, 0.0), partial(self._say, planned, said))
            elif said.on is not None:
                self._on(planned, said.on, partial(self._say, planned, said))
        for turn in planned.scenario.turns:
            self._on(planned, turn.on, partial(self._turn, planned, turn), after=turn.after)

    def _plan_report(self, timeout: DemoTimeout) -> None:
        report, of = partial(self._report, timeout), timeout.scenario.of
        if timeout.own is not None and of is not None and of.reported_on is not None:
            self._on(timeout.own, of.reported_on, report)
        else:
            self._at(timeout.starts_at, report)

    def _on(self, planned: DemoOrder, status: str, action: Callable[[], None], *, after: float = 0.0) -> None:
        self._reactions[planned.merchant, planned.order, status].append((after, action))

    def _begin_orders(self) -> None:
        """Let customers begin to pay, and merchants tell of their orders, which are a moment older."""
        starting = list(self._starting)
        self._starting.clear()
        began = time.time()
        for planned in starting:
            self._began[planned.number] = began
            for said in planned.scenario.said:
                if said.at is not None and said.at >= 0:
                    self._at(self._now() + said.at, partial(self._say, planned, said))
        self._simulator.add([payment for planned in starting if (payment := planned.payment) is not None])
        in_lists: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for planned in starting:
            if planned.merchant in IN_LISTS:
                in_lists[planned.merchant].append(self._registration(planned))
            else:
                self._producer.send("register_order", self._registration(planned))
        for merchant, orders in in_lists.items():
            for start in range(0, len(orders), _LONGEST_LIST):
                listed = orders[start : start + _LONGEST_LIST]
                self._producer.send("register_orders", {"merchant": merchant, "orders": listed})

    def _registration(self, planned: DemoOrder) -> dict[str, Any]:
        return {**planned.registration, "created_at": rfc3339(self._began[planned.number])}

    def _say(self, planned: DemoOrder, said: Said) -> None:
        fields = planned.priced(said.fields)
        if said.task == "register_order":
            fields = self._registration(planned) | fields
        elif said.task == "checkout_completed":
            fields["at"] = rfc3339(self._began[planned.number] + (said.at or 0.0))
        elif said.task == "report_timeout":
            fields |= timeout_of(planned, self._began[planned.number])
        self._producer.send(said.task, {"merchant": planned.merchant, "order": planned.order, **fields})

    def _report(self, timeout: DemoTimeout) -> None:
        """Let a customer's payment time out, and its merchant report it, and once more where the plan says so."""
        self._timed_out[timeout.number] = time.time()
        payment = timeout.payment
        if payment is not None:
            self._simulator.add([payment])
        self._send_report(timeout, 0)
        for times, after in enumerate(timeout.scenario.again, start=1):
            self._at(self._now() + after, partial(self._send_report, timeout, times))

    def _send_report(self, timeout: DemoTimeout, times: int) -> None:
        self._producer.send("report_timeout", timeout.report(self._timed_out[timeout.number], times=times))

    def _send_bad(self, message: BadMessage) -> None:
        self._producer.send(message.task.removeprefix("intake."), message.fields)

    def _react(self, news: Iterable[Mapping[str, Any]]) -> None:
        """Do what merchants do on hearing of a status: ask for a refund there and tell of it here, resolve, cancel.

        And on hearing of a rejection: mend what it lacks, try it again, give it up.
        """
        for entry in news:
            if entry["outcome"] != "accepted":
                continue
            told = entry["said"]
            if entry["type"] == "order.status_changed":
                for after, action in self._reactions.pop((told["merchant"], told["order"], told["status"]), ()):
                    self._at(self._now() + after, action)
            elif entry["type"] == "transaction.rejected":
                for rejection in self._mends.pop((told["merchant"], told["order"]), ()):
                    self._mend(rejection, told["rejection"])

    def _mend(self, rejection: DemoRejection, called: str) -> None:
        put: list[Mapping[str, Any]] = []
        for mend in rejection.scenario.mends:
            words = rejection.words(mend, called)
            send = partial(self._producer.send, mend.task, words)
            if mend.task == "put_master_data":
                put.append(words)
                self._at(self._now() + mend.after, send)
            else:
                self._at(self._now() + mend.after, partial(self._once_known, tuple(put), send))

    def _once_known(self, put: Sequence[Mapping[str, Any]], send: Callable[[], None]) -> None:
        """Send it when what was put before it stands: the two go over queues that keep no order among them."""
        if all(map(self._stands, put)):
            send()
        else:
            self._at(self._now() + _LOOK_AGAIN_SECONDS, partial(self._once_known, put, send))

    def _turn(self, planned: DemoOrder, turn: Turn) -> None:
        self._simulator.turn(planned.provider, planned.reference, turn.status)
