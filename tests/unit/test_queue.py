"""Hints beside an answer: whoever asks for one goes on at once, however long the broker takes."""

import threading
from collections import Counter

import pytest

from adapters.queue import BackgroundHints
from domain.model.due_work import Work

SOON = 30.0


class SlowBroker:
    """Takes hints and lets none pass before it may."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_pass = threading.Event()
        self.given: list[Work] = []

    def hint(self, work: Work) -> None:
        self.asked.set()
        assert self.may_pass.wait(SOON)
        self.given.append(work)


@pytest.fixture
def broker() -> SlowBroker:
    return SlowBroker()


class TestHintsInTheBackground:
    def test_hold_nobody_up_and_wait_once_for_each_kind_of_work(self, broker: SlowBroker) -> None:
        hints = BackgroundHints(broker)
        hints.hint(Work.CLOSE)
        assert broker.asked.wait(SOON)

        for _ in range(100):
            hints.hint(Work.POLL)
            hints.hint(Work.DELIVER)
            hints.hint(Work.CLOSE)  # what became due while the first of them is being given
        before = list(broker.given)
        broker.may_pass.set()
        hints._sender.shutdown()

        assert before == []
        assert Counter(broker.given) == {Work.CLOSE: 2, Work.POLL: 1, Work.DELIVER: 1}

    def test_that_wait_are_dropped_at_the_end(self, broker: SlowBroker) -> None:
        hints = BackgroundHints(broker)
        hints.hint(Work.CLOSE)
        assert broker.asked.wait(SOON)
        hints.hint(Work.POLL)

        ending = threading.Thread(target=hints.close)
        ending.start()
        while not hints._closed:
            assert ending.is_alive()
        broker.may_pass.set()
        ending.join(SOON)
        hints.hint(Work.DELIVER)

        assert broker.given == [Work.CLOSE]
