"""A broker that takes connections and never answers, as one that is frozen: what is kept is answered all the same."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.integration.http.server import an_order, serving, until


class SilentBroker:
    """Counts who has come, and who has given it up."""

    def __init__(self) -> None:
        self.taken = self.given_up = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._waking, self._ending = socket.socketpair()
        self._thread = threading.Thread(target=self._listen)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ending.close()
        self._thread.join()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as sockets, self._listening, self._waking:
            sockets.register(self._listening, selectors.EVENT_READ)
            sockets.register(self._waking, selectors.EVENT_READ)
            while True:
                for key, _ in sockets.select():
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._waking:
                        return
                    if one is self._listening:
                        sockets.register(one.accept()[0], selectors.EVENT_READ)
                        self.taken += 1
                    elif not self._said(one):
                        sockets.unregister(one)
                        one.close()
                        self.given_up += 1

    def _said(self, one: socket.socket) -> bool:
        try:
            return bool(one.recv(65536))
        except ConnectionResetError:
            return False


@contextmanager
def silent_broker() -> Iterator[SilentBroker]:
    broker = SilentBroker()
    broker.start()
    try:
        yield broker
    finally:
        broker.end()


class TestABrokerThatIsFrozen:
    @pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "amqp://guest:guest@127.0.0.1:{port}//"])
    def test_holds_no_answer_up(self, engine: Engine, database_url: str, tmp_path: Path, url: str) -> None:
        with (
            silent_broker() as broker,
            serving(engine, database_url, url.format(port=broker.port), tmp_path / "home") as server,
        ):
            answer = server.register("A1")
            given_up = broker.given_up
            until(lambda: broker.taken > 0, server)
            more = server.post("/v1/orders", {"orders": [an_order("A2"), an_order("A3")]})

            # The answer came while the hint was still waiting for the broker.
            assert (answer.status_code, given_up, more.status_code) == (202, 0, 202)
            assert server.ask("SELECT count(*) FROM orders") == [(3,)]
            server.process.terminate()
            assert server.process.wait(30) == 0
