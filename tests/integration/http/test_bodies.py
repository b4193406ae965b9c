"""What is sent, at its worst: every refusal is a problem+json that names the field and the reason."""

import gzip
import json
import socket
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.integration.http.server import Server, an_order

JSON = {"Content-Type": "application/json"}
ORDER = json.dumps(an_order("A1"))


def with_amount(raw: str) -> bytes:
    return ORDER.replace('"100.00"', raw).encode()


def nested(levels: int) -> bytes:
    deep = '{"a":' * levels + "1" + "}" * levels
    return ORDER.replace('"order"', f'"bill": {deep}, "order"').encode()


# {what it is: (body, status, a field that is named)}
HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "too large a number": (with_amount("1e400"), 422, "amount"),
    "no number": (with_amount("NaN"), 422, "amount"),
    "infinite": (with_amount("-Infinity"), 422, "amount"),
    "less than nothing": (with_amount("-0"), 422, "amount"),
    "a float": (with_amount(repr(0.1 + 0.2)), 422, "amount"),
    "a float in a string": (with_amount('"0.30000000000000004"'), 422, "amount"),
    "an exponent": (with_amount('"1e2"'), 422, "amount"),
    "signed": (with_amount('"-0"'), 422, "amount"),
    "nothing": (with_amount('"0.00"'), 422, "amount"),
    "endless": (with_amount("1" * 5000), 422, "amount"),
    "endless and less than nothing": (with_amount("-" + "1" * 500_000), 422, "amount"),
    "endless in a string": (with_amount(f'"{"1" * 5000}"'), 422, "amount"),
    "endless behind the point": (with_amount("1." + "1" * 5000), 422, "amount"),
    "endless in one of many": (b'{"orders": [{}, {"amount": ' + b"1" * 5000 + b"}]}", 422, "orders[1].amount"),
    "other digits": (with_amount('"١٢"'), 422, "amount"),
    "NUL": (ORDER.replace("A1", "A\\u0000").encode(), 422, "order"),
    "half a character": (ORDER.replace("A1", "A\\ud800").encode(), 422, "order"),
    "a control character": (ORDER.replace('"A1"', '"A\\u001f"').encode(), 422, "order"),
    "another encoding": (ORDER.replace("A1", "Ä1").encode("latin-1"), 400, "body"),
    "UTF-16": (ORDER.encode("utf-16"), 400, "body"),
    "no JSON": (b"{order: 1}", 400, "body"),
    "half of it": (ORDER.encode()[:-1], 400, "body"),
    "a list": (b"[]", 422, "body"),
    "a string": (b'"A1"', 422, "body"),
    "too deep": (nested(40), 422, "body"),
    "far too deep": (nested(100_000), 422, "body"),
    "a field twice": (ORDER.replace('"order"', '"amount": "1", "order"').encode(), 422, "amount"),
    "a field of the bill twice": (
        ORDER.replace('"order"', '"bill": {"line_items": ["a", {"key": "b", "key": "c"}]}, "order"').encode(),
        422,
        "bill.line_items[1].key",
    ),
    "a field of one of many twice": (b'{"orders": [{"order": "1", "order": "2"}]}', 422, "orders[0].order"),
    "what is lost beside many": (b'{"orders": [' + ORDER.encode() + b'], "amount": "1"}', 422, "amount"),
    "many of another merchant": (b'{"merchant": "rival", "orders": [' + ORDER.encode() + b"]}", 422, "merchant"),
    "NaN in what is free": (
        ORDER.replace('"order"', '"bill": {"source": {"a": NaN}}, "order"').encode(),
        422,
        "bill.source.a",
    ),
}


def refused(answer: requests.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:trueup:problem:")
    for error in problem.get("errors", ())[:3]:
        assert f"{error['field']}: {error['reason']}" in problem["detail"]
    assert problem["detail"]
    return problem


def send_all(server: Server, head: str, pieces: Iterable[bytes]) -> bytes:
    """Send everything before anything is read; return all that then comes until the server hangs up."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(f"{head}\r\nHost: x\r\nAuthorization: Bearer {server.keys['shop']}\r\n\r\n".encode())
        for piece in pieces:
            client.sendall(piece)
        return b"".join(iter(lambda: client.recv(65536), b""))


class TestABody:
    def test_that_is_hostile_is_refused_with_field_and_reason(self, server: Server) -> None:
        for what, (body, status, field) in HOSTILE.items():
            problem = refused(server.call("POST", "/v1/orders", data=body, headers=JSON), status)
            assert field in [error["field"] for error in problem["errors"]], (what, problem)
            assert all(error["reason"] for error in problem["errors"]), what
        assert server.ask("SELECT count(*) FROM inbox") == [(0,)]

    def test_that_is_too_large_is_refused_with_its_limit(self, server: Server) -> None:
        large = b'{"order": "' + b"x" * (8 * 1024 * 1024) + b'"}'
        # Without a length nothing says so beforehand.
        pieces = (large[start : start + 65536] for start in range(0, len(large), 65536))

        for data in (large, pieces):
            answer = server.call("POST", "/v1/orders", data=data, headers=JSON)
            problem = refused(answer, 413)
            assert problem["errors"] == [{"field": "body", "reason": "is larger than 4,194,304 bytes"}]
            assert answer.headers["Connection"] == "close"

    def test_that_is_too_large_is_answered_to_who_sends_all_of_it_first(self, server: Server) -> None:
        piece = b"x" * 65536
        chunk = b"10000\r\n" + piece + b"\r\n"
        head = "POST /v1/orders HTTP/1.1\r\nContent-Type: application/json\r\n"

        by_length = send_all(server, f"{head}Content-Length: {len(piece) * 320}", [piece] * 320)
        in_chunks = send_all(server, f"{head}Transfer-Encoding: chunked", [*[chunk] * 320, b"0\r\n\r\n"])

        assert [answer.split(b"\r\n")[0].split()[1] for answer in (by_length, in_chunks)] == [b"413", b"413"]
        assert all(b"4,194,304 bytes" in answer for answer in (by_length, in_chunks))

    def test_that_is_too_large_is_answered_to_who_has_only_said_so(self, server: Server) -> None:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as client:
            client.sendall(
                b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
                b"Authorization: Bearer " + server.keys["shop"].encode() + b"\r\n\r\n"
            )

            assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
            # What still comes is thrown away, and not without end.
            with pytest.raises(ConnectionError):
                client.sendall(bytes(1024**3))

    def test_that_is_packed_is_not_taken(self, server: Server) -> None:
        for coding in ("gzip", "identity, gzip", "br", "x"):
            headers = {**JSON, "Content-Encoding": coding}
            answer = server.call("POST", "/v1/orders", data=gzip.compress(ORDER.encode()), headers=headers)
            assert [one["field"] for one in refused(answer, 415)["errors"]] == ["Content-Encoding"]
            assert answer.headers["Accept-Encoding"] == "identity"

        headers = {**JSON, "Content-Encoding": "identity"}
        assert server.call("POST", "/v1/orders", data=ORDER.encode(), headers=headers).status_code == 202

    @pytest.mark.parametrize(
        "media_type",
        [
            "text/plain",
            "application/json; charset=latin-1",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
        ],
    )
    def test_of_another_media_type_is_not_taken(self, server: Server, media_type: str) -> None:
        headers = {"Content-Type": media_type}

        answer = server.call("POST", "/v1/orders", data=ORDER.encode(), headers=headers)

        [error] = refused(answer, 415)["errors"]
        assert error["field"] == "Content-Type"
        assert "application/json" in error["reason"]
        assert answer.headers["Accept-Post"] == "application/json"

    def test_in_utf_8_said_so_is_taken(self, server: Server) -> None:
        headers = {"Content-Type": 'application/json; charset="UTF-8"'}

        assert server.call("POST", "/v1/orders", data=ORDER.encode(), headers=headers).status_code == 202


class TestAnAddress:
    def test_that_is_none_is_not_found(self, server: Server) -> None:
        assert refused(server.get(f"/v1/rejected-transactions/{'1' * 5000}"), 404)
        for path in ("/", "/v1", "/v1/nothing", "/v1/orders/", "/v1/orders/%00", "/v1/orders/%FF", "/v1/cases/17"):
            assert refused(server.get(path), 422 if "%00" in path else 404)

    def test_does_not_take_every_method(self, server: Server) -> None:
        answer = server.call("DELETE", "/v1/orders")

        assert "GET, HEAD, POST" in refused(answer, 405)["detail"]
        assert answer.headers["Allow"] == "GET, HEAD, POST"
        for path, allowed in {"/v1/callbacks/redeliver-failed": "POST", "/v1/merchants/shop": "PATCH"}.items():
            assert server.call("HEAD", path).headers["Allow"] == allowed

    def test_that_is_read_answers_head_as_get_without_the_body(self, server: Server) -> None:
        server.register("A1")
        for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/v1/orders", "/v1/orders/A1", "/v1/orders/A2"):
            head, full = server.call("HEAD", path), server.get(path)
            assert (head.status_code, head.content) == (full.status_code, b""), path
            for name in ("Content-Type", "Content-Length"):
                # A trace is as long as any other.
                assert head.headers[name] == full.headers[name], path
        assert server.call("HEAD", "/v1/orders", key=None).status_code == 401

    def test_names_each_parameter_that_cannot_be_used(self, server: Server) -> None:
        for path, field in {
            "/v1/orders?limit=0": "limit",
            "/v1/orders?limit=x": "limit",
            "/v1/orders?status=LOST": "status",
            "/v1/orders?cursor=x": "cursor",
            "/v1/orders?cursor=WzFd%00": "cursor",
            "/v1/orders?provider=%00": "provider",
            "/v1/orders?created_after=yesterday": "created_after",
            "/v1/events?after=WzFd": "after",
            "/v1/cases/x": "id",
            f"/v1/cases/{2**63}": "id",
            f"/v1/cases/{'1' * 5000}": "id",
            f"/v1/orders?limit={'1' * 5000}": "limit",
            "/v1/orders?state=NEW": "state",
            "/v1/orders?Status=NEW": "Status",
            "/v1/orders?limit=1&limit=1": "limit",
            "/v1/orders/A1?limit=1": "limit",
            "/v1/rejected-transactions?since=2026-01-01T00:00:00Z": "since",
            "/v1/orders?%00=1": "\\x00",
            "/v1/callbacks?state=lost": "state",
        }.items():
            assert [error["field"] for error in refused(server.get(path), 422)["errors"]] == [field], path

    def test_says_which_parameters_it_takes(self, server: Server) -> None:
        [error] = refused(server.get("/v1/cases?status=OPEN"), 422)["errors"]

        assert error["reason"].endswith("it takes cursor, limit, merchant, open")
        for path in ("/v1/orders", "/v1/providers/acme/events"):
            assert [one["field"] for one in refused(server.post(f"{path}?x=1", {}), 422)["errors"]] == ["x"]
        assert server.ask("SELECT count(*) FROM inbox") == [(0,)]

    def test_has_no_span_of_time_that_ends_before_it_begins(self, server: Server) -> None:
        path = "/v1/rejected-transactions?from=2026-01-02T00:00:00Z&to="

        turned = refused(server.get(f"{path}2026-01-02T00:59:59%2B01:00"), 422)

        assert [error["field"] for error in turned["errors"]] == ["from", "to"]
        assert server.get(f"{path}2026-01-02T01:00:00%2B01:00").status_code == 200


class TestAnIdempotencyKey:
    def test_is_answered_the_same_again(self, server: Server) -> None:
        key = {"Idempotency-Key": '"8e03978e-40d5"'}

        first = server.post("/v1/orders", an_order("A1"), headers=key)
        again = server.post("/v1/orders", an_order("A1"), headers={"Idempotency-Key": "8e03978e-40d5"})

        assert (first.status_code, again.status_code) == (202, 202)
        assert again.content == first.content
        assert again.headers["Location"] == first.headers["Location"]
        assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")

    def test_is_not_for_another_request(self, server: Server) -> None:
        key = {"Idempotency-Key": "k"}
        server.post("/v1/orders", an_order("A1"), headers=key)

        problem = refused(server.post("/v1/orders", an_order("A2"), headers=key), 409)

        assert problem["type"] == "urn:trueup:problem:idempotency-key-reused"
        assert [error["field"] for error in problem["errors"]] == ["Idempotency-Key"]
        refused(server.post("/v1/orders/A1/poll", an_order("A1"), headers=key), 409)
        # Keys of one merchant are not another's.
        assert server.post("/v1/orders", an_order("B1"), key="rival", headers=key).status_code == 202

    def test_of_a_request_that_is_under_way_is_told_to_wait(self, server: Server) -> None:
        key = {"Idempotency-Key": "k"}
        server.post("/v1/orders", an_order("A1"), headers=key)
        server.do("UPDATE kept_answers SET status = NULL, headers = NULL, body = NULL")

        answer = server.post("/v1/orders", an_order("A1"), headers=key)

        assert refused(answer, 409)["type"] == "urn:trueup:problem:idempotency-key-in-flight"
        assert answer.headers["Retry-After"] == "1"
        # Its process has died: whoever asks the same may go on.
        server.do("UPDATE kept_answers SET started_at = now() - interval '3 minutes'")
        assert server.post("/v1/orders", an_order("A1"), headers=key).json()["repeat"] is True

    def test_is_free_again_after_a_refusal(self, server: Server) -> None:
        key = {"Idempotency-Key": "k"}

        refused(server.post("/v1/orders", an_order("A1", amount="x"), headers=key), 422)

        assert server.post("/v1/orders", an_order("A1"), headers=key).status_code == 202

    def test_names_a_command_that_is_given_once_more(self, server: Server) -> None:
        server.register("A1")
        for key in ("1", "2", "2"):
            said = {"by": "user", "reason": "again"}
            assert server.post("/v1/orders/A1/cancel", said, headers={"Idempotency-Key": key}).status_code == 202

        kept = server.ask("SELECT key FROM inbox WHERE name = 'intake.cancel_order' ORDER BY key")

        assert kept == [("idempotency-key:1",), ("idempotency-key:2",)]

    def test_expires(self, server: Server) -> None:
        key = {"Idempotency-Key": "k"}
        server.post("/v1/orders", an_order("A1"), headers=key)
        server.do("UPDATE kept_answers SET expires_at = now()")

        assert server.post("/v1/orders", an_order("A2"), headers=key).status_code == 202

    def test_of_no_use_is_refused(self, server: Server) -> None:
        for key in ("a b", "x" * 201, '""'):
            answer = server.post("/v1/orders", an_order("A1"), headers={"Idempotency-Key": key})
            assert refused(answer, 422)["errors"][0]["field"] == "Idempotency-Key", key


# {a request that is no plain HTTP: the header that is named}
DOUBTFUL: dict[str, str | None] = {
    "GARBAGE\r\n\r\n": None,
    "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n": None,
    "GET /v1/orders HTTP/1.1\r\nHost: x\r\nX-Large: " + "x" * 70_000: None,
    "GET /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n": "Authorization",
    "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": (
        "Content-Length"
    ),
}


class TestARequestThatLeavesADoubt:
    def test_is_refused_as_everything_else_is_and_ends_the_connection(self, server: Server) -> None:
        address = urlsplit(server.url)
        for request, field in DOUBTFUL.items():
            with socket.create_connection((address.hostname, address.port), timeout=30) as client:
                client.sendall(request.encode())
                said = b"".join(iter(partial(client.recv, 65536), b""))

            head, _, body = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 "), (request[:60], said)
            assert b"content-type: application/problem+json" in head
            problem = json.loads(body)
            assert problem["type"] == "urn:trueup:problem:malformed-request"
            assert [error["field"] for error in problem.get("errors", ())] == ([] if field is None else [field])


class TestOneOfMany:
    def test_of_another_merchant_falls_alone(self, server: Server) -> None:
        theirs = an_order("A1", merchant="rival")

        alone = server.post("/v1/orders", {"orders": [theirs]})
        both = server.post("/v1/orders", {"orders": [theirs, an_order("A2")]})

        assert alone.status_code == 422
        assert [error["field"] for error in alone.json()["errors"]] == ["orders[0].merchant"]
        assert [one["kept"] for one in both.json()["orders"]] == [False, True]


class TestAParameter:
    def test_is_refused_in_words_that_need_no_python(self, server: Server) -> None:
        for query in ("limit=many", "limit=0", "status=LOST"):
            problem = refused(server.get(f"/v1/orders?{query}"), 422)
            assert problem["errors"][0]["reason"].startswith("should be "), problem
