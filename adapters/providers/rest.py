"""The `rest` provider: a client of `contracts/provider.openapi.yaml`, and what its answers mean."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final
from urllib.parse import quote

from adapters.providers import wire
from adapters.transport import MEBIBYTE, Failure, Kind, Request, Response
from domain.model.answer import Answer, Answers, NoRecord, Record, Refused, Unintelligible, Unreachable
from domain.ports.provider import EffectCall, Inquiry, Question


class Reading(Enum):
    """How an answer is to be read."""

    RECORD = auto()  # the body states the payment, or it is unintelligible
    NO_RECORD = auto()  # a problem+json says so, or it is unintelligible
    REFUSAL = auto()  # of an effect: a problem says in which state, or it is unintelligible
    NOT_NOW = auto()  # unreachable, maybe with a delay
    ALARM = auto()  # unreachable, and no waiting mends it
    NONSENSE = auto()  # unintelligible
    CUT = auto()  # unintelligible if it had begun with a status that means something, else unreachable


BY_STATUS: Final = {200: Reading.RECORD, 404: Reading.NO_RECORD, 409: Reading.REFUSAL, 429: Reading.NOT_NOW}
BY_CLASS: Final = {2: Reading.NONSENSE, 3: Reading.ALARM, 4: Reading.ALARM, 5: Reading.NOT_NOW}  # the first digit
BY_FAILURE: Final[dict[Kind, Reading]] = {
    "connect": Reading.NOT_NOW,
    "timeout": Reading.NOT_NOW,
    "broken": Reading.CUT,
    "too_large": Reading.CUT,
    "garbled": Reading.NONSENSE,
    "forbidden": Reading.ALARM,
}
NO_BULK_CALL: Final = frozenset({404, 405})

LARGEST_BULK: Final = 100
LARGEST_BULK_ANSWER: Final = 8 * MEBIBYTE
LONGEST_CONNECT_SECONDS: Final = 5.0
PROBLEM: Final = "application/problem+json"


class RestProvider:
    """What to send to one provider, and what it means by its answers. It opens nothing itself.

    `timeout_seconds` bounds a whole call. A provider that turns out to have no bulk call is asked one by one from
    then on.
    """

    def __init__(self, *, name: str, base_url: str, token: str | None, timeout_seconds: float, bulk: bool) -> None:
        self.name = name
        self._payments = f"{base_url.rstrip('/')}/payments/"
        self._bulk = bulk
        self._timeout = timeout_seconds
        self._connect_timeout = min(timeout_seconds, LONGEST_CONNECT_SECONDS)
        self._headers: tuple[str, ...] = (f"Accept: application/json, {PROBLEM}", "User-Agent: Trueup")
        if token is not None:
            self._headers += (f"Authorization: Bearer {token}",)
        self._bulk_headers = (*self._headers, "Content-Type: application/json")

    def requests(self, question: Question) -> Iterator[tuple[Question, Request]]:
        """Yield the calls that a question takes, each with the part of the question that it asks."""
        if isinstance(question, EffectCall):
            yield question, self._effect(question)
            return
        references = question.references
        if len(references) == 1:
            yield question, self._inquiry(references[0])
        elif self._bulk:
            for start in range(0, len(references), LARGEST_BULK):
                part = references[start : start + LARGEST_BULK]
                yield Inquiry(part), self._bulk_inquiry(part)
        else:
            for reference in references:
                yield Inquiry((reference,)), self._inquiry(reference)

    def read(self, question: Question, end: Response | Failure) -> Answers | None:
        """Return {reference: answer} for one of our calls; None if it has to be asked again, in the way of now."""
        if isinstance(question, EffectCall):
            return {question.reference: _answer(question.reference, end, effect=True)}
        references = question.references
        if len(references) == 1:
            return {references[0]: _answer(references[0], end, effect=False)}
        if isinstance(end, Response):
            if end.status == 200:  # noqa: PLR2004
                return _found(references, end.body)
            if end.status in NO_BULK_CALL:
                self._bulk = False
                return None
        return dict.fromkeys(references, _no_answer(end))

    def _inquiry(self, reference: str) -> Request:
        return Request(
            "GET",
            self._payments + quote(reference, safe=""),
            self._headers,
            timeout=self._timeout,
            connect_timeout=self._connect_timeout,
        )

    def _bulk_inquiry(self, references: tuple[str, ...]) -> Request:
        return Request(
            "POST",
            f"{self._payments}query",
            self._bulk_headers,
            wire.write(wire.References(references)),
            timeout=self._timeout,
            connect_timeout=self._connect_timeout,
            max_bytes=LARGEST_BULK_ANSWER,
        )

    def _effect(self, call: EffectCall) -> Request:
        return Request(
            "POST",
            f"{self._payments}{quote(call.reference, safe='')}/{call.effect.value}",
            (*self._headers, f"Idempotency-Key: {call.key}"),
            timeout=self._timeout,
            connect_timeout=self._connect_timeout,
            once=True,  # an effect without an answer is asked about before it is sent again
        )


def _reading_of_status(status: int) -> Reading:
    return BY_STATUS.get(status) or BY_CLASS.get(status // 100, Reading.NONSENSE)


def _answer(reference: str, end: Response | Failure, *, effect: bool) -> Answer:
    """What the end of a call about one payment says."""
    if isinstance(end, Response):
        reading = _reading_of_status(end.status)
        if reading is Reading.RECORD:
            return _record(reference, end.body)
        if reading is Reading.NO_RECORD:
            return _no_record(end)
        if reading is Reading.REFUSAL and effect:
            return _refusal(end)
    return _no_answer(end)


def _no_answer(end: Response | Failure) -> Unreachable | Unintelligible:
    """What a call says that brought nothing to read."""
    if isinstance(end, Failure):
        return _failed(end)
    reading = _reading_of_status(end.status)
    if reading is Reading.NONSENSE:
        return Unintelligible(why=f"HTTP {end.status}")
    if reading is Reading.NOT_NOW:
        return Unreachable(why=f"HTTP {end.status}", retry_after=end.retry_after)
    return Unreachable(why=f"HTTP {end.status}", alarm=True)


def _failed(failure: Failure) -> Unreachable | Unintelligible:
    reading, why = BY_FAILURE[failure.kind], failure.why
    if reading is Reading.CUT:
        reading = Reading.NOT_NOW if failure.status is None else _reading_of_status(failure.status)
        why = f"{why} (HTTP {failure.status})" if failure.status else why
    if reading is Reading.NOT_NOW or reading is Reading.ALARM:
        return Unreachable(why=why, alarm=reading is Reading.ALARM)
    return Unintelligible(why=why)


def _record(reference: str, text: bytes) -> Record | Unintelligible:
    try:
        record = wire.record_from(text)
    except wire.NOT_READABLE as error:
        return Unintelligible(why=f"not a payment: {error}")
    if record.reference != reference:
        return Unintelligible(why="it is about another reference")
    return record


def _no_record(response: Response) -> NoRecord | Unintelligible:
    # A proxy or a wrong base URL answers 404 too, and that must not be read as *not there* (I4)
    if response.content_type != PROBLEM:
        return Unintelligible(why=f"HTTP 404 with {response.content_type or 'no type'}")
    try:
        wire.read_problem(response.body)
    except wire.NOT_READABLE as error:
        return Unintelligible(why=f"HTTP 404 with no problem: {error}")
    return NoRecord()


def _refusal(response: Response) -> Refused | Unintelligible:
    try:
        problem = wire.read_problem(response.body)
    except wire.NOT_READABLE as error:
        return Unintelligible(why=f"HTTP 409 with no problem: {error}")
    if wire.NUL in response.body:
        return Unintelligible(why="HTTP 409 with a NUL")
    return Refused(payment_status=problem.payment_status or None)


def _found(references: tuple[str, ...], body: bytes) -> Answers:
    """What a bulk answer says of each reference that was asked for. What was not asked for is nothing to us."""
    wanted = frozenset(references)
    answers: dict[str, Answer] = {}
    try:
        records, missing = wire.found_in(body)
    except wire.NOT_READABLE as error:
        return dict.fromkeys(references, Unintelligible(why=f"not an answer to a query: {error}"))
    for reference, said in records:
        if reference in wanted:
            _put(answers, reference, Unintelligible(why=f"not a payment: {said}") if isinstance(said, str) else said)
    for reference in missing:
        if reference in wanted:
            _put(answers, reference, NoRecord())
    unanswered = Unreachable(why="not answered")
    return {reference: answers.get(reference, unanswered) for reference in references}


def _put(answers: dict[str, Answer], reference: str, answer: Answer) -> None:
    if answers.setdefault(reference, answer) != answer:
        answers[reference] = Unintelligible(why="answered twice, and differently")
