"""Callbacks over the wire: signed as the specification says, and never sent into our own network."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from adapters.notifications.addresses import is_public, refusal_of
from adapters.notifications.callback import CallbackCalls
from domain.model.delivery import Delivery, DeliveryAnswer
from domain.ports.notifier import DeliveryCalls
from tests.integration.test_transport import (
    CUT,
    DROPPED,
    PATIENCE,
    SILENCE,
    Received,
    Reply,
    an_answer,
    serving,
)

OLD, NEW, ANOTHER = (f"whsec_{secret}" for secret in ("b2xkIHNlY3JldA==", "bmV3IHNlY3JldA==", "YW5vdGhlcg=="))
BODY = '{"event": "order.paid", "note": "für Dich"}'.encode()
NOT_PUBLIC = """
    127.0.0.1 0.0.0.0 10.1.2.3 172.16.0.1 192.168.0.1 100.64.0.1 169.254.169.254 100.100.100.200 168.63.129.16
    192.0.0.192 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1
    ::ffff:10.0.0.1 2002:7f00:1::1 2001:0:1::1 64:ff9b::7f00:1 64:ff9b:1::1 fe80::1 fe80::1%eth0 fd00:ec2::254
    fec0::1 ff02::1 2001:db8::1 3fff::1 5f00::1 nonsense
"""
LOOPBACK = frozenset({"127.0.0.1"})


def a_delivery(url: str) -> Delivery:
    now = datetime.now(tz=timezone(timedelta(hours=5)))
    return Delivery(stream=1, lane=7, event="evt_1", url=url, secrets=(OLD, NEW), body=BODY, at=now)


@pytest.fixture
def calls() -> Iterator[CallbackCalls]:
    calls = CallbackCalls(allow_hosts=LOOPBACK, timeout_seconds=0.5)
    fits: DeliveryCalls = calls
    assert fits is calls
    yield calls
    calls.close()


def deliver(calls: CallbackCalls, delivery: Delivery) -> DeliveryAnswer:
    calls.deliver(delivery)
    assert calls.under_way(delivery.lane) == 1
    [(delivered, answer)] = calls.collect(PATIENCE)
    assert delivered is delivery
    assert calls.under_way(delivery.lane) == 0
    return answer


def sent_to_an_endpoint(calls: CallbackCalls, **changes: tuple[str, ...]) -> Received:
    with serving(an_answer(200)) as endpoint:
        assert deliver(calls, replace(a_delivery(f"{endpoint.url}/hook?a=b"), **changes)).delivered  # type: ignore[arg-type]
    [received] = endpoint.received
    return received


class TestACallback:
    @pytest.mark.parametrize("secret", [OLD, NEW])
    def test_is_signed_with_every_live_secret(self, calls: CallbackCalls, secret: str) -> None:
        received = sent_to_an_endpoint(calls)

        assert Webhook(secret).verify(received.body, received.headers) == json.loads(BODY)

    def test_is_signed_with_no_other_secret(self, calls: CallbackCalls) -> None:
        received = sent_to_an_endpoint(calls)

        with pytest.raises(WebhookVerificationError):
            Webhook(ANOTHER).verify(received.body, received.headers)

    def test_goes_out_as_the_specification_says(self, calls: CallbackCalls) -> None:
        received = sent_to_an_endpoint(calls)

        assert (received.method, received.path, received.body) == ("POST", "/hook?a=b", BODY)
        assert received.headers["content-type"] == "application/json"
        assert received.headers["webhook-id"] == "evt_1"
        assert abs(int(received.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < PATIENCE

    @pytest.mark.parametrize("secrets", [(), ("whsec_",), ("whsec_!", OLD), ("whsec_ü",)])
    def test_is_not_sent_where_it_cannot_be_signed(self, calls: CallbackCalls, secrets: tuple[str, ...]) -> None:
        answer = deliver(calls, replace(a_delivery("http://127.0.0.1:1"), secrets=secrets))

        assert not answer.delivered
        assert "cannot be signed" in str(answer.why)


class TestAnEndpoint:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_has_it_if_it_says_so(self, calls: CallbackCalls, status: int) -> None:
        with serving(an_answer(status)) as endpoint:
            answer = deliver(calls, a_delivery(endpoint.url))

        assert (answer.delivered, answer.status) == (True, status)

    @pytest.mark.parametrize("size", [10, 64 * 1024, 10_000_000])
    def test_may_say_so_at_any_length(self, calls: CallbackCalls, size: int) -> None:
        with serving(an_answer(200, b"x" * size)) as endpoint:
            assert deliver(calls, a_delivery(endpoint.url)).delivered

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (an_answer(302, Location="/elsewhere"), DeliveryAnswer(delivered=False, status=302)),
            (an_answer(400), DeliveryAnswer(delivered=False, status=400)),
            (an_answer(410), DeliveryAnswer(delivered=False, status=410, gone=True)),
            (an_answer(500, Retry_After="5"), DeliveryAnswer(delivered=False, status=500)),
            (an_answer(500, b"x" * 100_000), DeliveryAnswer(delivered=False, status=500)),
            (
                an_answer(429, Retry_After="3600"),
                DeliveryAnswer(delivered=False, status=429, retry_after=timedelta(hours=1)),
            ),
            (
                an_answer(429, Retry_After="99999999999"),
                DeliveryAnswer(delivered=False, status=429, retry_after=timedelta(days=30)),
            ),
            (
                an_answer(503, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT"),
                DeliveryAnswer(delivered=False, status=503, retry_after=timedelta(days=30)),
            ),
            (
                an_answer(503, Retry_After="Wed, 01 Jan 2020 00:00:00 GMT"),
                DeliveryAnswer(delivered=False, status=503),
            ),
            (SILENCE, DeliveryAnswer(delivered=False)),
            (DROPPED, DeliveryAnswer(delivered=False)),
            (CUT, DeliveryAnswer(delivered=False, status=200, whole=False)),
        ],
    )
    def test_has_not_got_it_otherwise(self, calls: CallbackCalls, reply: Reply, expected: DeliveryAnswer) -> None:
        with serving(reply) as endpoint:
            answer = deliver(calls, a_delivery(endpoint.url))

        assert answer.why
        assert replace(answer, why=None, milliseconds=0) == expected
        assert len(endpoint.received) == 1

    def test_is_told_how_long_it_took(self, calls: CallbackCalls) -> None:
        with serving(SILENCE) as endpoint:
            assert 450 <= deliver(calls, a_delivery(endpoint.url)).milliseconds < PATIENCE * 1000

    def test_delays_nobody_else_by_its_silence(self, calls: CallbackCalls) -> None:
        with serving(SILENCE) as silent, serving(an_answer(200)) as prompt:
            calls.deliver(replace(a_delivery(silent.url), lane=1))
            calls.deliver(replace(a_delivery(prompt.url), lane=2))
            [(first, _)] = calls.collect(PATIENCE)

            assert first.lane == 2
            assert (calls.under_way(1), calls.under_way(2)) == (1, 0)


class TestAnAddressInOurOwnNetwork:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "[::1]", "127.0.0.1.nip.invalid"])
    def test_is_never_spoken_to(self, host: str) -> None:
        with serving(an_answer(200)) as endpoint:
            calls = CallbackCalls(timeout_seconds=PATIENCE)
            answer = deliver(calls, a_delivery(f"https://{host}:{endpoint.port}/"))
            calls.close()

        assert not answer.delivered
        assert answer.status is None
        assert endpoint.connections == 0

    def test_is_found_out_even_if_only_its_name_leads_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapters.notifications.callback._refusal_of", lambda _url, _allow: None)

        with serving(an_answer(200)) as endpoint:
            calls = CallbackCalls(timeout_seconds=PATIENCE)
            answer = deliver(calls, a_delivery(f"https://localhost:{endpoint.port}/"))
            calls.close()

        assert "may not be connected to" in str(answer.why)
        assert endpoint.connections == 0


class TestAnAddress:
    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
    def test_is_public(self, address: str) -> None:
        assert is_public(address)

    @pytest.mark.parametrize("address", NOT_PUBLIC.split())
    def test_is_not_public(self, address: str) -> None:
        assert not is_public(address)


class TestAUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://a.example",
            "HTTPS://A.Example:8443/x?y=%C3%BC",
            "https://a.example:/",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]:8443/",
            "http://127.0.0.1:80",
            "https://xn--tda.example/",
            "https://xn--fa-hia.example/",
            "https://163.example/",
            "https://a-b_c.example/",
            f"https://{'a' * 63}.example/",
        ],
    )
    def test_may_be_called(self, url: str) -> None:
        assert refusal_of(url, LOOPBACK) is None

    @pytest.mark.parametrize(
        "url",
        [
            "http://a.example",
            "ftp://127.0.0.1",
            "a.example",
            "",
            "https://",
            "https://user@a.example",
            "https://user:word@127.0.0.1",
            "https://127.0.0.1\\@a.example",
            "https://a.example/\r\nX: y",
            "https://a.example:99999",
            "https://[::1",
            "https://[::1]",
            "https://[fe80::1%25eth0]",
            "https://10.0.0.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0177.0.0.1",
            "https://127.1",
            "https://127.0.0.2.",
            "https://localhost",
            "https://a.localhost.",
            "https://a%2eexample",
            "https://-/",
            "https://a-.example/",
            "https://-a.example/",
            "https://a..example/",
            "https://.example/",
            "https://a.example./",
            "https://1.1.1.1./",
            "https://shop/",
            "https://123/",
            "https://a.123/",
            "https://*.example/",
            "https://a,b.example/",
            f"https://{'a' * 64}.example/",
            f"https://{'a.' * 124}example/",
            "https://ü.example/",
            "https://\uff11\uff12\uff17.0.0.1/",
            "https://127。0。0。1/",
            "https://a\u00ad.example/",
            "https://a.example/ü",
            "https://xn--.example/",
            "https://xn--a.example/",
            "https://xn--a-.example/",
            "https://xn--99999999.example/",
            "https://@a.example/",
            "https://a.example/#part",
            "http://127.0.0.1/#",
            "https://a.example:0/",
            "http://127.0.0.1:0/",
            "https://a.example:\uff18\uff10/",
            "https://a.internal/",
            "https://printer.local/",
            f"https://a.example/{'x' * 2000}",
        ],
    )
    def test_may_not_be_called(self, url: str) -> None:
        assert refusal_of(url, LOOPBACK) is not None
