"""Callbacks to where they must not go, through the real transport: the address that is used is the one that counts."""

from collections.abc import Iterator
from typing import Any

import pycurl
import pytest

from adapters.notifications.callback import CallbackCalls
from adapters.transport import Request, Transport
from domain.model.delivery import DeliveryAnswer
from tests.integration.test_callback import LOOPBACK, a_delivery
from tests.integration.test_transport import PATIENCE, an_answer, serving

HOSTILE = [
    "http://shop.example/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://10.0.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::1]/",
    "https://[2001:0:1::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://localhost/",
    "https://localhost./",
    "https://a.localhost/",
    "https://user@shop.example/",
    "https://shop.example\\@127.0.0.1/",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "gopher://shop.example/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
]
BEHIND_A_NAME = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
]


class Rebinding(Transport):
    """The real transport, with a resolver that says something else at every look."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self._addresses = iter(addresses)

    def start(self, request: Request, tag: Any) -> None:
        super().start(request, tag)
        curl = next(reversed(self._live))
        port = request.url.rpartition(":")[2].partition("/")[0]
        curl.setopt(pycurl.RESOLVE, [f"-shop.example:{port}", f"shop.example:{port}:{next(self._addresses)}"])


@pytest.fixture
def calls() -> Iterator[CallbackCalls]:
    calls = CallbackCalls(timeout_seconds=PATIENCE)
    yield calls
    calls.close()


def tried(calls: CallbackCalls, url: str) -> DeliveryAnswer:
    calls.deliver(a_delivery(url))
    [(_, answer)] = calls.collect(2 * PATIENCE)
    return answer


class TestAHostileTarget:
    @pytest.mark.parametrize("url", HOSTILE)
    def test_is_refused(self, calls: CallbackCalls, url: str) -> None:
        answer = tried(calls, url)

        assert (answer.delivered, answer.status) == (False, None)
        assert answer.why

    @pytest.mark.parametrize("address", BEHIND_A_NAME)
    def test_is_refused_behind_a_name_that_is_well(self, address: str) -> None:
        calls = CallbackCalls(timeout_seconds=PATIENCE, transport=Rebinding(address))

        answer = tried(calls, "https://shop.example:8443/hooks")
        calls.close()

        assert (answer.delivered, answer.status) == (False, None)
        assert "may not be connected to" in str(answer.why)


class TestANameThatLeadsElsewhereAtTheSecondLook:
    def test_is_refused_then(self) -> None:
        with serving(an_answer(200)) as inside:
            # The first address is public and belongs to nobody who answers.
            rebinding = Rebinding("203.0.114.1", "127.0.0.1")
            calls = CallbackCalls(timeout_seconds=0.3, transport=rebinding)

            first = tried(calls, f"https://shop.example:{inside.port}/")
            second = tried(calls, f"https://shop.example:{inside.port}/")
            calls.close()

        assert "may not be connected to" not in str(first.why)
        assert "the address 127.0.0.1 may not be connected to" in str(second.why)
        assert inside.connections == 0


class TestARedirect:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_is_not_followed_to_what_must_not_be_reached(self, status: int) -> None:
        calls = CallbackCalls(allow_hosts=LOOPBACK, timeout_seconds=PATIENCE)
        with serving(an_answer(200)) as metadata:
            with serving(an_answer(status, Location=f"{metadata.url}/latest/meta-data/")) as shop:
                answer = tried(calls, shop.url)
            calls.close()

        assert (answer.delivered, answer.status) == (False, status)
        assert len(shop.received) == 1
        assert metadata.connections == 0
