"""What of a message reaches a task."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.message import Message

from workers.admission import KEEP, admit, envelope

KNOWN = frozenset({"intake.register_order", "polling.drain", "celery.map", KEEP})
ACCEPTED = frozenset({"application/json"})


def a_message(body: object = None, *, content_type: str = "application/json", **headers: object) -> Message:
    """A message as Celery's second protocol has it, unless something else is said."""
    said = [[], {"order": "1"}, {"callbacks": None}] if body is None else body
    message = Message(
        body=said if isinstance(said, bytes) else json.dumps(said).encode(),
        delivery_tag="tag",
        content_type=content_type,
        content_encoding="utf-8",
        delivery_info={"exchange": "", "routing_key": "intake"},
        headers={"task": "intake.register_order", "id": "id-1"} | headers,
        channel=SimpleNamespace(no_ack_consumers=None),
    )
    message.accept = ACCEPTED
    return message


def kept(message: Message) -> Mapping[str, Any]:
    """What the keeping task is told of the message."""
    admitted = admit(message, KNOWN)
    assert admitted.headers["task"] == KEEP
    assert (admitted.delivery_tag, admitted.channel) == (message.delivery_tag, message.channel)
    args, fields, _ = json.loads(admitted.body)
    assert args == []
    return {**fields, "body": base64.b64decode(fields["body"])}


def now_and(**more: float) -> str:
    return (datetime.now(UTC) + timedelta(**more)).isoformat()


class TestAMessageThatIsWell:
    def test_is_handed_on_under_its_own_acknowledgement(self) -> None:
        message = a_message()

        admitted = admit(message, KNOWN)

        assert (admitted.headers["task"], admitted.headers["id"]) == ("intake.register_order", "id-1")
        assert admitted.body == message.body
        assert (admitted.delivery_tag, admitted.channel, admitted.accept) == ("tag", message.channel, ACCEPTED)

    def test_brings_nothing_but_its_arguments(self) -> None:
        message = a_message(
            [["x"], {"order": "1"}, {"callbacks": ["y"], "chord": 5}],
            timelimit=[1, 1],
            shadow="other",
            ignore_result=False,
            reply_to="me",
            kwargsrepr="secret",
        )

        admitted = admit(message, KNOWN)

        assert json.loads(admitted.body) == [["x"], {"order": "1"}, None]
        assert set(admitted.headers) == {"task", "id", "root_id", "lang", "retries", "argsrepr", "kwargsrepr"}
        assert "secret" not in admitted.headers.values()

    def test_may_be_of_the_first_protocol(self) -> None:
        body = {"task": "intake.register_order", "id": "id-2", "kwargs": {"order": "1"}}
        message = a_message(body)
        message.headers = {}

        admitted = admit(message, KNOWN)

        assert (admitted.headers["task"], admitted.headers["id"]) == ("intake.register_order", "id-2")
        assert json.loads(admitted.body) == [[], {"order": "1"}, None]

    @pytest.mark.parametrize("id_", [5, "", "x" * 500, "a\0b", None, ["a"]])
    def test_gets_an_id_where_its_own_is_none(self, id_: object) -> None:
        admitted = admit(a_message(id=id_), KNOWN)

        assert len(admitted.headers["id"]) == 36

    @pytest.mark.parametrize(("counted", "kept_"), [(2, 2), ("2", 0), (-1, 0), (10**9, 0), (None, 0)])
    def test_keeps_the_count_of_workers_that_died_of_it(self, counted: object, kept_: int) -> None:
        assert admit(a_message(retries=counted), KNOWN).headers["retries"] == kept_

    def test_may_have_been_due_a_moment_ago_and_expire_later(self) -> None:
        message = a_message(eta=now_and(seconds=5), expires=now_and(hours=1))

        assert admit(message, KNOWN).headers["task"] == "intake.register_order"

    def test_expires_as_a_hint(self) -> None:
        expires = now_and(seconds=-5)
        message = a_message([[], {}, None], task="polling.drain", expires=expires)

        assert admit(message, KNOWN).headers["expires"] == expires


class TestAMessageThatCannotBeRead:
    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"garbage", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b'[[], {"a": ' + b"1" * 5000 + b"}, null]", "not JSON"),
            (b'[[], {"__type__": "nothing", "__value__": 1}, null]', "not JSON"),
            (b"", "[args, kwargs, embed]"),
            (b"null", "[args, kwargs, embed]"),
            (b'"args"', "[args, kwargs, embed]"),
            (b"[]", "[args, kwargs, embed]"),
            (b'{"a": 1}', "[args, kwargs, embed]"),
            (b"[[], [], null]", "not a list and an object"),
            (b'["ab", {}, null]', "not a list and an object"),
            (b'{"args": [], "kwargs": 5}', "not a list and an object"),
        ],
    )
    def test_is_kept_with_its_bytes(self, body: bytes, why: str) -> None:
        fields = kept(a_message(body))

        assert why in fields["why"]
        assert fields["name"] == "intake.register_order"
        assert fields["body"] == body[: 64 * 1024]

    def test_says_how_long_it_was_where_it_is_cut(self) -> None:
        assert "the first 65536 of its 100000 bytes are kept" in kept(a_message(b"x" * 100_000))["why"]

    @pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/data", "text/plain", ""])
    def test_is_of_another_type(self, content_type: str) -> None:
        assert kept(a_message(content_type=content_type))["body"] == a_message().body

    @pytest.mark.parametrize("task", ["intake.other", "celery.map", "", 5, None, {"a": 1}, ["x"]])
    def test_is_for_no_task_of_ours(self, task: object) -> None:
        assert "no task is called" in kept(a_message(task=task))["why"]

    @pytest.mark.parametrize(
        ("headers", "why"),
        [
            ({"expires": "2020-01-01T00:00:00+00:00"}, "expired at 2020"),
            ({"expires": "2020-01-01T00:00:00"}, "expired at 2020"),
            ({"expires": "soon"}, "expires: 'soon' is no time"),
            ({"expires": {"a": 1}}, "is no time"),
            ({"eta": "2190-01-01T00:00:00Z"}, "eta: 2190"),
            ({"eta": 5}, "eta: 5 is no time"),
        ],
    )
    def test_is_for_another_time(self, headers: Mapping[str, Any], why: str) -> None:
        assert why in kept(a_message(**headers))["why"]

    def test_has_headers_that_are_none(self) -> None:
        message = a_message()
        message.headers = ["x"]

        assert "headers" in kept(message)["why"]


class TestAnEnvelope:
    def test_brings_the_bytes_of_a_list_to_the_keeping_task(self) -> None:
        raw = envelope("intake", b"\xff garbage", "it is garbage")

        args, fields, _ = json.loads(base64.b64decode(raw["body"]))
        assert raw["headers"]["task"] == KEEP
        assert raw["properties"]["delivery_info"] == {"exchange": "", "routing_key": "intake"}
        assert args == []
        assert base64.b64decode(fields["body"]) == b"\xff garbage"
        assert (fields["name"], fields["why"]) == ("intake", "it is garbage")
