"""The calls under way to all providers, over one transport."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from adapters.transport import Failure, Request, Response, Transport
from domain.model.answer import Answers, Unreachable
from domain.ports.provider import Asked, Inquiry, Question


class Translator(Protocol):
    """What a provider's module knows: how a question is put, and what the answer means. It opens nothing."""

    def requests(self, question: Question) -> Iterable[tuple[Question, Request]]:
        """Yield the calls that a question takes, each with the part of the question that it asks."""

    def read(self, question: Question, end: Response | Failure) -> Answers | None:
        """Return {reference: answer} for one of these calls; None if it has to be asked again, in the way of now."""


_Tag: TypeAlias = tuple[str, Translator, Question, Question]


class HttpProviderCalls:
    """A `domain.ports.provider.ProviderCalls` over {provider: translator}.

    An inquiry that takes several calls comes back in as many parts, each as soon as it has ended, so that a silent
    payment delays only itself. For one thread of one process; nothing is opened before the first call.
    """

    def __init__(self, providers: Mapping[str, Translator], transport: Transport | None = None) -> None:
        self._providers = providers
        self._transport = transport or Transport()
        self._under_way: Counter[str] = Counter()
        self._unasked: list[Asked] = []

    def ask(self, provider: str, question: Question) -> None:
        """Begin the calls that the question takes."""
        self._ask(provider, question, question)

    def _ask(self, provider: str, part: Question, question: Question) -> None:
        translator = self._providers.get(provider)
        if translator is None:
            nobody = Unreachable(why=f"no provider is called {provider!r}", alarm=True)
            references = question.references if isinstance(question, Inquiry) else (question.reference,)
            self._unasked.append(Asked(provider, question, dict.fromkeys(references, nobody)))
            self._under_way[provider] += 1
            return
        for piece, request in translator.requests(part):
            self._transport.start(request, (provider, translator, piece, question))
            self._under_way[provider] += 1

    def collect(self, timeout: float) -> Sequence[Asked]:
        """Wait up to `timeout` seconds for at least one call to end; return all that have ended."""
        ended, self._unasked = self._unasked, []
        for asked in ended:
            self._under_way[asked.provider] -= 1
        until = time.monotonic() + (0.0 if ended else timeout)
        while True:
            left = until - time.monotonic()
            self._collect(max(0.0, left), ended)
            if ended or left <= 0 or not self._transport.under_way:
                return ended

    def _collect(self, timeout: float, ended: list[Asked]) -> None:
        tag: _Tag
        for tag, end in self._transport.collect(timeout):
            provider, translator, part, question = tag
            self._under_way[provider] -= 1
            answers = translator.read(part, end)
            if answers is None:
                self._ask(provider, part, question)
            else:
                ended.append(Asked(provider, question, answers))

    def under_way(self, provider: str) -> int:
        """How many calls to this provider have begun and not been collected."""
        return self._under_way[provider]

    def close(self) -> None:
        """Break off what is under way and close every connection."""
        self._transport.close()
        self._under_way.clear()
        self._unasked.clear()
