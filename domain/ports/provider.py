"""What we need of payment providers: calls under way, and their answers as they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from domain.model.answer import Answers
from domain.model.transaction import Effect


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Ask about payments; safe to repeat. Each reference stands once."""

    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectCall:
    """Cancel or void one payment under a recorded key."""

    effect: Effect
    reference: str
    key: str


Question: TypeAlias = Inquiry | EffectCall


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a question that was put, the very object: {reference: answer}, or why there is none.

    An inquiry about many may be answered in parts, each as soon as it is known; in the end none is left out.
    """

    provider: str
    question: Question
    answers: Answers


class ProviderCalls(Protocol):
    """A window of calls under way to all providers. It raises nothing: what fails is an answer."""

    def ask(self, provider: str, question: Question) -> None:
        """Begin a call. It ends within the provider's timeout."""

    def collect(self, timeout: float) -> Sequence[Asked]:
        """Wait up to `timeout` seconds for at least one call to end; return all that have ended."""

    def under_way(self, provider: str) -> int:
        """How many calls to this provider have begun and not been collected."""
