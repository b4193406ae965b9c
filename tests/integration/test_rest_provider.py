"""The `rest` provider over the wire: every row of its translation table, and every way to fall silent."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters.providers import ADAPTERS, HttpProviderCalls
from domain.model.answer import Answer, NoRecord, Record, RecordedAttempt, Refused, Unintelligible, Unreachable
from domain.model.transaction import AttemptState, Effect
from domain.ports.provider import Asked, EffectCall, Inquiry, ProviderCalls, Question
from tests.integration.test_transport import (
    CUT,
    DROPPED,
    NO_HTTP,
    PATIENCE,
    RESET,
    SILENCE,
    Received,
    Reply,
    an_answer,
    serving,
)

PROBLEM = "application/problem+json"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CANCEL = EffectCall(Effect.CANCEL, "r-1", "trueup:cancel:r-1:1")
LEFT_OUT = ...


def a_payment(reference: str = "r-1", **changes: Any) -> dict[str, Any]:
    payment = {
        "reference": reference,
        "status": "pending",
        "amount": "12.30",
        "currency": "EUR",
        "updated_at": "2026-01-01T12:00:00Z",
    } | changes
    return {name: value for name, value in payment.items() if value is not LEFT_OUT}


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def a_problem(status: int, **more: Any) -> Reply:
    return an_answer(status, as_json({"title": "No", **more}), kind=PROBLEM)


def answers_to(question: Question, reply: Reply | Callable[[Received], Reply], **terms: Any) -> Mapping[str, Answer]:
    """Ask once and return all that came back: {reference: answer}."""
    with serving(reply) as endpoint, calling(endpoint.url, **terms) as calls:
        calls.ask("p", question)
        return {reference: answer for asked in all_of(calls) for reference, answer in asked.answers.items()}


def answer_to(question: Question, reply: Reply, **terms: Any) -> Answer:
    [answer] = answers_to(question, reply, **terms).values()
    return answer


def inquire(reply: Reply, **terms: Any) -> Answer:
    return answer_to(Inquiry(("r-1",)), reply, **terms)


def inquire_bulk(content: Any, *references: str) -> Mapping[str, Answer]:
    return answers_to(Inquiry(references), an_answer(200, as_json(content)))


@contextmanager
def calling(
    url: str, *, token: str | None = None, timeout: float = PATIENCE, bulk: bool = True
) -> Iterator[HttpProviderCalls]:
    provider = ADAPTERS["rest"](name="p", base_url=f"{url}/v1/", token=token, timeout_seconds=timeout, bulk=bulk)
    calls = HttpProviderCalls({"p": provider})
    fits: ProviderCalls = calls
    assert fits is calls
    yield calls
    calls.close()


def all_of(calls: HttpProviderCalls) -> Iterator[Asked]:
    while calls.under_way("p"):
        yield from calls.collect(PATIENCE)


class TestARecord:
    def test_is_read_in_full(self) -> None:
        attempt = {"id": "a-1", "state": "failed", "reason": "no funds", "at": "2026-01-01T13:00:00+01:00"}
        crypto: dict[str, Any] = {"network": "bitcoin", "confirmations": 2, "settled": True, "amount_refunded": "0.1"}
        paid = a_payment(
            status="paid", amount="0.00150000", amount_received="0.0015", paid_at="2026-01-01T12:00:00Z", **crypto
        )

        answer = inquire(an_answer(200, as_json(paid | {"attempts": [attempt], "unheard_of": 1})))

        assert answer == Record(
            reference="r-1",
            status="paid",
            amount=Decimal("0.0015"),
            currency="EUR",
            updated_at=NOON,
            amount_received=Decimal("0.0015"),
            amount_refunded=Decimal("0.1"),
            paid_at=NOON,
            settled=True,
            network="bitcoin",
            confirmations=2,
            attempts=(RecordedAttempt(id="a-1", state=AttemptState.FAILED, reason="no funds", at=NOON),),
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "a word that is new"},
            {"settled": None, "attempts": None, "paid_at": None, "confirmations": None},
            {"amount": "999999999999999.999999999999999999"},
        ],
    )
    def test_may_say_more_or_less_than_we_know(self, changes: dict[str, Any]) -> None:
        answer = inquire(an_answer(200, as_json(a_payment(**changes))))

        assert isinstance(answer, Record)
        assert (answer.settled, answer.attempts) == (False, ())

    def test_keeps_as_much_of_an_attempts_reason_as_is_read(self) -> None:
        attempts = [{"id": "a-1", "state": "failed", "reason": "x" * 100_000}]

        record = inquire(an_answer(200, as_json(a_payment(attempts=attempts))))

        assert isinstance(record, Record)
        assert record.attempts[0].reason == "x" * 500

    def test_keeps_an_attempt_whose_state_is_unknown_as_an_error(self) -> None:
        attempts = [{"id": "a-1", "state": "dreaming"}, {"id": "a-2", "state": "success"}]

        answer = inquire(an_answer(200, as_json(a_payment(attempts=attempts))))

        assert isinstance(answer, Record)
        assert [attempt.state for attempt in answer.attempts] == [AttemptState.ERROR, AttemptState.SUCCESS]

    @pytest.mark.parametrize(
        "changes",
        [
            {"reference": "r-2"},
            *({name: LEFT_OUT} for name in ("reference", "status", "amount", "currency", "updated_at")),
            *({"updated_at": bad} for bad in ("2026-01-01T12:00:00", "yesterday", 1767225600, "0001-01-01T00:00:00Z")),
            {"status": None},
            {"status": ""},
            {"paid_at": "9999-12-31T23:59:59-14:00"},
            *({"amount": bad} for bad in (12.3, 12, "-1", "1.", ".1", "1e3", "NaN", "12,30", "\u0661", "1\n")),
            *({"amount": bad} for bad in ("1" * 16, "0." + "1" * 19)),
            *({"status": status} for status in ("paid", "refund_pending", "refunded")),
            {"status": "paid", "amount_received": None},
            {"amount_refunded": "much"},
            {"confirmations": -1},
            {"confirmations": 2**40},
            {"settled": "yes"},
            {"status": "4" * 65},
            {"status": "paid\nBcc: somebody"},
            {"attempts": [{"id": "a-1"}]},
            {"attempts": [{"id": "a" * 1001, "state": "failed"}]},
            {"attempts": [{"id": "a-1", "state": "failed", "reason": "nothing\0follows"}]},
        ],
        ids=str,
    )
    def test_is_unintelligible_where_it_breaks_the_contract(self, changes: dict[str, Any]) -> None:
        assert isinstance(inquire(an_answer(200, as_json(a_payment(**changes)))), Unintelligible)

    @pytest.mark.parametrize(
        "body", [b"", b"OK", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'"\\ud800"'], ids=repr
    )
    def test_is_unintelligible_where_it_is_nonsense(self, body: bytes) -> None:
        assert isinstance(inquire(an_answer(200, body[:200_000])), Unintelligible)


class TestAnAnswerOtherThanARecord:
    def test_says_that_there_is_no_record_if_a_problem_says_so(self) -> None:
        assert inquire(a_problem(404)) == NoRecord()

    @pytest.mark.parametrize(
        "reply",
        [
            an_answer(404, b"<html>Not found</html>", kind="text/html"),
            an_answer(404, b'{"title": "No"}', kind="application/json"),
            an_answer(404, b'{"title": "No"}', kind=None),
            an_answer(404, b"not json", kind=PROBLEM),
            an_answer(404, b"{}", kind=PROBLEM),
            an_answer(202, b"{}"),
            an_answer(204),
            CUT,
            NO_HTTP,
            an_answer(200, b" " * (1024 * 1024 + 1)),
            Reply(b"HTTP/1.1 404 No\r\nContent-Type: application/problem+json\r\nContent-Length: 99\r\n\r\n{", "close"),
        ],
    )
    def test_is_unintelligible_where_it_says_nothing_clear(self, reply: Reply) -> None:
        assert isinstance(inquire(reply), Unintelligible)

    @pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 405, 409, 410, 418, 422])
    def test_raises_an_alarm_where_no_waiting_mends_it(self, status: int) -> None:
        answer = inquire(an_answer(status, b"{}", Location="/elsewhere"))

        assert answer == Unreachable(why=f"HTTP {status}", alarm=True)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
    def test_says_when_to_come_again(self, status: int) -> None:
        patient = inquire(an_answer(status, Retry_After="120"))
        dated = inquire(
            an_answer(status, Date="Thu, 01 Jan 2026 00:00:00 GMT", Retry_After="Thu, 01 Jan 2026 01:00:00 GMT")
        )
        mute = inquire(an_answer(status, Retry_After="-1"))

        assert patient == Unreachable(why=f"HTTP {status}", retry_after=timedelta(minutes=2))
        assert dated == Unreachable(why=f"HTTP {status}", retry_after=timedelta(hours=1))
        assert mute == Unreachable(why=f"HTTP {status}")

    @pytest.mark.parametrize(
        "reply",
        [
            DROPPED,
            RESET,
            SILENCE,
            Reply(CUT.wire, "hang"),
            Reply(b"HTTP/1.1 502 Bad\r\nContent-Length: 9\r\n\r\n", "close"),
        ],
    )
    def test_is_unreachable_where_nothing_came(self, reply: Reply) -> None:
        answer = inquire(reply, timeout=0.3)

        assert isinstance(answer, Unreachable)
        assert not answer.alarm

    def test_is_unreachable_where_nobody_listens(self) -> None:
        with calling("http://127.0.0.1:1") as calls:
            calls.ask("p", Inquiry(("r-1",)))
            [asked] = all_of(calls)

        assert isinstance(asked.answers["r-1"], Unreachable)


class TestAnEffect:
    def test_is_asked_for_under_its_key(self) -> None:
        with (
            serving(an_answer(200, as_json(a_payment("a/b?c", status="voided")))) as endpoint,
            calling(endpoint.url, token="s3cret") as calls,
        ):
            calls.ask("p", EffectCall(Effect.VOID, "a/b?c", "trueup:void:a/b?c:1"))
            [asked] = all_of(calls)

        [sent] = endpoint.received
        assert (sent.method, sent.path, sent.body) == ("POST", "/v1/payments/a%2Fb%3Fc/void", b"")
        assert sent.headers["idempotency-key"] == "trueup:void:a/b?c:1"
        assert sent.headers["authorization"] == "Bearer s3cret"
        answer = asked.answers["a/b?c"]
        assert isinstance(answer, Record)
        assert answer.status == "voided"

    def test_is_sent_once_however_its_connection_breaks(self) -> None:
        with (
            serving(lambda got: RESET if got.method == "POST" else an_answer(200, as_json(a_payment()))) as endpoint,
            calling(endpoint.url) as calls,
        ):
            for question in (Inquiry(("r-1",)), CANCEL):
                calls.ask("p", question)
                [asked] = all_of(calls)

        assert [got.method for got in endpoint.received] == ["GET", "POST"]
        assert isinstance(asked.answers["r-1"], Unreachable)

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (a_problem(409, payment_status="paid"), Refused(payment_status="paid")),
            (a_problem(409), Refused(payment_status=None)),
            (a_problem(404), NoRecord()),
            (a_problem(400), Unreachable(why="HTTP 400", alarm=True)),
            (a_problem(503), Unreachable(why="HTTP 503")),
        ],
    )
    def test_ends_as_the_provider_says(self, reply: Reply, expected: Answer) -> None:
        assert answer_to(CANCEL, reply) == expected

    @pytest.mark.parametrize(
        "reply",
        [
            an_answer(409, b"conflict", kind="text/plain"),
            an_answer(409, b'{"title": "No", "payment_status": "a\\u0000"}', kind=PROBLEM),
            a_problem(409, payment_status="a word\nand more"),
            a_problem(409, payment_status="4" * 65),
            an_answer(200),
            an_answer(200, as_json(a_payment("r-2"))),
            CUT,
        ],
    )
    def test_stays_in_doubt_where_the_answer_is_unintelligible(self, reply: Reply) -> None:
        assert isinstance(answer_to(CANCEL, reply), Unintelligible)

    def test_is_not_sent_with_a_key_that_would_forge_a_header(self) -> None:
        answer = answer_to(EffectCall(Effect.CANCEL, "r-1", "k\r\nX: y"), an_answer(200))

        assert isinstance(answer, Unreachable)
        assert answer.alarm


class TestABulkInquiry:
    def test_is_one_call_that_tells_records_missing_and_unanswered_apart(self) -> None:
        found = {"payments": [a_payment("r-1"), a_payment("r-9")], "missing": ["r-2", "r-8"]}

        with serving(an_answer(200, as_json(found))) as endpoint, calling(endpoint.url) as calls:
            calls.ask("p", Inquiry(("r-1", "r-2", "r-3")))
            assert calls.under_way("p") == 1
            [asked] = all_of(calls)

        [sent] = endpoint.received
        assert (sent.method, sent.path) == ("POST", "/v1/payments/query")
        assert sent.headers["content-type"] == "application/json"
        assert json.loads(sent.body) == {"references": ["r-1", "r-2", "r-3"]}
        assert asked.question == Inquiry(("r-1", "r-2", "r-3"))
        assert isinstance(asked.answers["r-1"], Record)
        assert asked.answers["r-2"] == NoRecord()
        assert asked.answers["r-3"] == Unreachable(why="not answered")
        assert len(asked.answers) == 3

    @pytest.mark.parametrize(
        "bad",
        [
            a_payment("r-2", amount=None),
            a_payment("r-2", status="paid"),
            a_payment("r-2", status="a\0"),
            {"reference": "r-2"},
        ],
    )
    def test_loses_nothing_but_the_payment_that_is_bad(self, bad: dict[str, Any]) -> None:
        answers = inquire_bulk(
            {"payments": [a_payment("r-1"), bad, 7, {}, a_payment("r-3")], "missing": []}, "r-1", "r-2", "r-3"
        )

        assert [type(answers[reference]) for reference in ("r-1", "r-2", "r-3")] == [Record, Unintelligible, Record]

    def test_is_unintelligible_where_it_contradicts_itself(self) -> None:
        twice = [a_payment("r-1"), a_payment("r-1", status="declined"), a_payment("r-2"), a_payment("r-2")]

        answers = inquire_bulk({"payments": [*twice, a_payment("r-3")], "missing": ["r-3"]}, "r-1", "r-2", "r-3")

        assert [type(answers[r]) for r in ("r-1", "r-2", "r-3")] == [Unintelligible, Record, Unintelligible]

    @pytest.mark.parametrize(
        "body", [b"{}", b"OK", b'{"payments": []}', b'{"payments": [], "missing": [1]}', b'{"payments": [{']
    )
    def test_is_unintelligible_where_it_is_nonsense(self, body: bytes) -> None:
        answers = answers_to(Inquiry(("r-1", "r-2")), an_answer(200, body))

        assert [type(answer) for answer in answers.values()] == [Unintelligible, Unintelligible]

    @pytest.mark.parametrize("reply", [a_problem(503), a_problem(401), a_problem(409), DROPPED, SILENCE])
    def test_is_unreachable_for_all_alike(self, reply: Reply) -> None:
        answers = answers_to(Inquiry(("r-1", "r-2")), reply, timeout=0.3)

        assert [type(answer) for answer in answers.values()] == [Unreachable, Unreachable]

    def test_takes_as_many_calls_as_its_size_demands(self) -> None:
        def all_missing(received: Received) -> Reply:
            references = json.loads(received.body)["references"]
            assert len(references) <= 100
            return an_answer(200, as_json({"payments": [], "missing": references}))

        answers = answers_to(Inquiry(tuple(f"r-{number}" for number in range(250))), all_missing)

        assert list(answers.values()) == [NoRecord()] * 250

    @pytest.mark.parametrize("without", [a_problem(404), an_answer(405)])
    def test_is_asked_one_by_one_from_then_on_where_there_is_no_such_call(self, without: Reply) -> None:
        with (
            serving(lambda received: without if received.method == "POST" else a_problem(404)) as endpoint,
            calling(endpoint.url) as calls,
        ):
            for _ in range(2):
                question = Inquiry(("r-1", "r-2"))
                calls.ask("p", question)
                parts = list(all_of(calls))
                assert all(asked.question is question for asked in parts)
                assert sorted(part for asked in parts for part in asked.answers.items()) == [
                    ("r-1", NoRecord()),
                    ("r-2", NoRecord()),
                ]

        paths = [received.path for received in endpoint.received]
        assert paths[0] == "/v1/payments/query"
        assert sorted(paths[1:]) == ["/v1/payments/r-1"] * 2 + ["/v1/payments/r-2"] * 2


class TestInquiriesOneByOne:
    def test_come_back_each_as_soon_as_it_is_answered(self) -> None:
        silent = "/v1/payments/silent"
        with (
            serving(lambda received: SILENCE if received.path == silent else a_problem(404)) as endpoint,
            calling(endpoint.url, bulk=False) as calls,
        ):
            calls.ask("p", Inquiry(("silent", "r-1", "r-2")))
            assert calls.under_way("p") == 3
            while calls.under_way("p") > 1:
                for asked in calls.collect(PATIENCE):
                    assert asked.answers in ({"r-1": NoRecord()}, {"r-2": NoRecord()})

    @pytest.mark.parametrize("reference", ["..", ".", "a b", "ü/€", "%2e%2e", "query", "a#b"])
    def test_name_the_reference_whatever_it_is(self, reference: str) -> None:
        answer = answer_to(Inquiry((reference,)), an_answer(200, as_json(a_payment(reference))))

        assert isinstance(answer, Record)


class TestAProviderThatNobodyKnows:
    @pytest.mark.parametrize("question", [Inquiry(("r-1",)), CANCEL])
    def test_is_unreachable_with_an_alarm(self, question: Question) -> None:
        calls = HttpProviderCalls({})

        calls.ask("p", question)

        assert calls.under_way("p") == 1
        [asked] = calls.collect(PATIENCE)
        assert calls.under_way("p") == 0
        answer = asked.answers["r-1"]
        assert isinstance(answer, Unreachable)
        assert answer.alarm
