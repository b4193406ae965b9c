"""What is outside, by script. Nobody may be asked while a unit of work is open: beat two is tested, not hoped for."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.model.answer import Answer, Unreachable
from domain.model.delivery import Delivery, DeliveryAnswer
from domain.model.due_work import Work
from domain.model.transaction import Effect
from domain.ports.persistence import UnitOfWork, UnitOfWorkFactory
from domain.ports.provider import Asked, EffectCall, Inquiry, Question

Script = Answer | Callable[[], Answer]


class Watched:
    """A unit of work factory that knows how many units are open."""

    def __init__(self, inner: UnitOfWorkFactory) -> None:
        self._inner = inner
        self.open = 0

    @contextmanager
    def __call__(self) -> Iterator[UnitOfWork]:
        with self._inner() as uow:
            self.open += 1
            try:
                yield uow
            finally:
                self.open -= 1


class ScriptedProvider:
    """Answers inquiries and effects by script, the last answer for ever; what has none could not be asked.

    `questions` and `effects` keep what was asked, in order.
    """

    def __init__(self, units: Watched) -> None:
        self._units = units
        self._inquiries: dict[str, deque[Script]] = {}
        self._effects: dict[tuple[Effect, str], deque[Script]] = {}
        self._begun: list[tuple[str, Question]] = []
        self.questions: list[str] = []
        self.effects: list[EffectCall] = []
        self.calls = 0
        self.most_under_way = 0

    def says(self, reference: str, *answers: Script) -> None:
        self._inquiries[reference] = deque(answers)

    def does(self, effect: Effect, reference: str, *answers: Script) -> None:
        self._effects[effect, reference] = deque(answers)

    def ask(self, provider: str, question: Question) -> None:
        assert not self._units.open, "a unit of work is open while the provider is asked"
        self.calls += 1
        if isinstance(question, Inquiry):
            assert len(set(question.references)) == len(question.references)
            self.questions += question.references
        else:
            self.effects.append(question)
        self._begun.append((provider, question))
        self.most_under_way = max(self.most_under_way, len(self._begun))

    def collect(self, timeout: float) -> Sequence[Asked]:
        assert timeout >= 0
        assert not self._units.open, "a unit of work is open while an answer is waited for"
        begun, self._begun = self._begun, []
        return [self._answer(provider, question) for provider, question in begun]

    def under_way(self, provider: str) -> int:
        return sum(name == provider for name, _ in self._begun)

    def forget(self) -> None:
        """Lose what is under way, as a process does that is killed."""
        self._begun = []

    def _answer(self, provider: str, question: Question) -> Asked:
        if isinstance(question, Inquiry):
            answers = {reference: _next(self._inquiries.get(reference)) for reference in question.references}
        else:
            answers = {question.reference: _next(self._effects.get((question.effect, question.reference)))}
        return Asked(provider=provider, question=question, answers=answers)


def _next(script: "deque[Script] | None") -> Answer:
    if not script:
        return Unreachable(why="no script")
    step = script[0] if len(script) == 1 else script.popleft()
    return step() if callable(step) else step


@dataclass(slots=True)
class ScriptedDeliveries:
    """Answers tries by script, for each event's name; what has none is delivered."""

    units: Watched
    answers: dict[str, list[DeliveryAnswer]] = field(default_factory=lambda: defaultdict(list))
    tries: list[Delivery] = field(default_factory=list)
    _begun: list[Delivery] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        assert not self.units.open, "a unit of work is open while an endpoint is called"
        self.tries.append(delivery)
        self._begun.append(delivery)

    def collect(self, timeout: float) -> Sequence[tuple[Delivery, DeliveryAnswer]]:
        assert timeout >= 0
        begun, self._begun = self._begun, []
        return [(delivery, self._answer(delivery.event)) for delivery in begun]

    def under_way(self, lane: int) -> int:
        return sum(delivery.lane == lane for delivery in self._begun)

    def _answer(self, event: str) -> DeliveryAnswer:
        script = self.answers.get(event)
        return script.pop(0) if script else DeliveryAnswer(delivered=True, status=200)


@dataclass(slots=True)
class RecordedHints:
    given: list[Work] = field(default_factory=list)

    def hint(self, work: Work) -> None:
        self.given.append(work)
