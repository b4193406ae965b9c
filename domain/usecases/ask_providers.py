"""Asking providers, and acting there: what every subject that a provider knows of has in common.

What differs is a `Matter`: orders are one, reversals another. A claim may hold both, and so may a call about many.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol

from domain.model.answer import INTELLIGIBLE, Answer, Unreachable
from domain.model.due_work import Claim, Claimed, Lane, LaneLimits, Work
from domain.ports.persistence import UnitOfWork
from domain.ports.provider import Asked, EffectCall, Inquiry, ProviderCalls, Question
from domain.ports.queue import Hints
from domain.usecases.drain import Answered

# A lane of a provider that the configuration no longer names: its rows stay due, and the backlog shows them.
CLOSED: Final = LaneLimits(requests_per_second=1.0, concurrency=0, call_timeout=timedelta(seconds=1))


# Of the payments that a call about many told nothing of, so many are asked about alone in each claim.
ALONE: Final = 5
# A provider that is down makes many doubtful; to forget some of them costs a call or two.
MOST_DOUBTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a claimed row wants to know: an effect where one is to be done, else its record, unless nothing at all."""

    matter: "Matter"
    subject: Any
    reference: str
    effect: EffectCall | None = None
    nothing: bool = False


class Matter(Protocol):
    """One kind of subject that providers are asked about."""

    @property
    def works(self) -> frozenset[Work]:
        """The kinds of due work that its subjects have."""

    def read(self, uow: UnitOfWork, rows: Sequence[Claimed]) -> Mapping[int, Brief]:
        """Return {subject: what to ask}; a row of another matter's subject is left out."""

    def save(
        self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered], lanes: Mapping[int, Lane]
    ) -> Mapping[int, str]:
        """Decide and write; return {subject: error} of those whose rule raised. `lanes` is as they were claimed."""

    def committed(self) -> frozenset[Work]:
        """What was saved is committed: return the kinds of work that it made due at once."""


@dataclass(slots=True, kw_only=True)
class AskProviders:
    """The step of every queue whose work is at providers; `drain` owns the loop."""

    calls: ProviderCalls
    matters: Sequence[Matter]
    lane_limits: Mapping[str, LaneLimits]
    hints: Hints
    report: Callable[[str, Mapping[str, object]], None]
    works: Sequence[Work]
    beside: Sequence[Work] = ()  # what another queue's drain does in the same lanes
    _lanes: dict[int, Lane] = field(default_factory=dict)
    # By the question itself: an answer that a drain did not wait for must not be taken for another's.
    _asked: dict[int, tuple[Question, dict[str, tuple[Claimed, Brief]]]] = field(default_factory=dict)
    _ready: list[Answered] = field(default_factory=list)
    _doubted: set[tuple[str, str]] = field(default_factory=set)

    def limits(self, lane: Lane) -> LaneLimits:
        return self.lane_limits.get(lane.name, CLOSED)

    def read(self, uow: UnitOfWork, claim: Claim) -> Mapping[int, Brief]:
        briefs: dict[int, Brief] = {}
        for matter in self.matters:
            rows = [row for row in claim.rows if row.work in matter.works and row.subject not in briefs]
            if rows:
                briefs |= matter.read(uow, rows)
        return briefs

    def begin(self, lane: Lane, rows: Sequence[tuple[Claimed, Brief]]) -> None:
        self._lanes[lane.id] = lane
        inquiries: dict[str, tuple[Claimed, Brief]] = {}
        for row, brief in rows:
            if brief.nothing:
                self._ready.append(Answered(row=row, subject=brief, answer=None, good=None))
            elif brief.effect is not None:
                self._ask(lane, brief.effect, {brief.reference: (row, brief)})
            elif brief.reference in inquiries:  # an order and its payment's reversal, in one claim
                self._ask(lane, Inquiry((brief.reference,)), {brief.reference: (row, brief)})
            else:
                inquiries[brief.reference] = (row, brief)
        for part in self._parts(lane, list(inquiries)):
            self._ask(lane, Inquiry(tuple(part)), {reference: inquiries[reference] for reference in part})

    def _parts(self, lane: Lane, references: Sequence[str]) -> Iterable[Sequence[str]]:
        """Divide references into calls, so that one that spoils every call about many does not spoil it for the others.

        Those of a call that told nothing are asked about apart from the healthy, and a few of them alone: that shows
        which of them it is.
        """
        doubted = [reference for reference in references if (lane.name, reference) in self._doubted]
        healthy = [reference for reference in references if (lane.name, reference) not in self._doubted]
        yield from ([reference] for reference in doubted[:ALONE])
        size = self.limits(lane).bulk
        for group in (doubted[ALONE:], healthy):
            yield from (group[start : start + size] for start in range(0, len(group), size))

    def under_way(self, lane: Lane) -> int:
        return self.calls.under_way(lane.name)

    def collect(self, timeout: float) -> Sequence[Answered]:
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        return [answered for asked in self.calls.collect(timeout) for answered in self._answers_of(asked)]

    def save(self, uow: UnitOfWork, claim: Claim, wave: Sequence[Answered]) -> Mapping[int, str]:
        errors: dict[int, str] = {}
        for matter in self.matters:
            mine = [answered for answered in wave if answered.subject.matter is matter]
            if mine:
                errors |= matter.save(uow, claim, mine, self._lanes)
        return errors

    def committed(self) -> None:
        made_due = frozenset[Work]().union(*(matter.committed() for matter in self.matters))
        for work in made_due.difference(self.works):
            self.hints.hint(work)

    def _ask(self, lane: Lane, question: Question, asked_for: dict[str, tuple[Claimed, Brief]]) -> None:
        self._asked[id(question)] = (question, asked_for)
        self.calls.ask(lane.name, question)

    def _answers_of(self, asked: Asked) -> Iterable[Answered]:
        """Yield what one call told of each of its payments: it is one witness for its lane, whatever their number."""
        key = id(asked.question)
        _, waiting = self._asked.get(key, (asked.question, {}))
        told = any(isinstance(answer, INTELLIGIBLE) for answer in asked.answers.values())
        good: bool | None = told
        self._remember(asked, told=told)
        for reference, answer in asked.answers.items():
            row, brief = waiting.pop(reference)
            retry_after = answer.retry_after if isinstance(answer, Unreachable) else None
            self._raise_alarm(asked.provider, reference, answer)
            yield Answered(row=row, subject=brief, answer=answer, good=good, retry_after=retry_after)
            good = None
        if not waiting:
            self._asked.pop(key, None)

    def _remember(self, asked: Asked, *, told: bool) -> None:
        """Keep in mind what a call about many could not tell; an answer clears the one that it is about."""
        for reference, answer in asked.answers.items():
            key = (asked.provider, reference)
            if isinstance(answer, INTELLIGIBLE):
                self._doubted.discard(key)
            elif not told and len(asked.answers) > 1 and len(self._doubted) < MOST_DOUBTED:
                self._doubted.add(key)

    def _raise_alarm(self, provider: str, reference: str, answer: Answer) -> None:
        if isinstance(answer, Unreachable) and answer.alarm:
            self.report("provider.alarm", {"provider": provider, "why": answer.why, "reference": reference})
