from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from domain.model.case import CaseKind, CaseOpening
from domain.model.due_work import LaneFamily
from domain.model.mail import Correspondent, Mail, MailAnswer, MailEnd
from domain.model.order import OrderStatus
from domain.usecases.send_mails import SendMails
from tests.builders import MINUTES, NOON, limits
from tests.contract.test_apply import apply, moved
from tests.fakes.bench import Bench
from tests.fakes.calls import Watched
from tests.unit.usecases.yard import Yard

ACCEPTED = MailAnswer(end=MailEnd.ACCEPTED, status=250)
LATER = MailAnswer(end=MailEnd.LATER, status=451, why="451 later")
REFUSED = MailAnswer(end=MailEnd.REFUSED, status=550, why="550 no such mailbox")
SILENCE = MailAnswer(end=MailEnd.UNREACHED, why="nobody listens")
ODD = CaseOpening(kind=CaseKind.LATE_PAYMENT, known="paid after the end")


@dataclass(slots=True)
class ScriptedMails:
    """Answers tries by script, for each order; what has none is accepted."""

    units: Watched
    answers: dict[int | None, list[MailAnswer]] = field(default_factory=lambda: defaultdict(list))
    tries: list[Mail] = field(default_factory=list)
    _begun: list[Mail] = field(default_factory=list)

    def send(self, mail: Mail) -> None:
        assert not self.units.open, "a unit of work is open while a mail is sent"
        self.tries.append(mail)
        self._begun.append(mail)

    def collect(self, timeout: float) -> Sequence[tuple[Mail, MailAnswer]]:
        assert timeout >= 0
        begun, self._begun = self._begun, []
        return [(mail, self._answer(mail)) for mail in begun]

    def under_way(self) -> int:
        return len(self._begun)

    def _answer(self, mail: Mail) -> MailAnswer:
        script = self.answers.get(mail.order_id)
        return script.pop(0) if script else ACCEPTED


@dataclass(slots=True)
class Office:
    yard: Yard
    calls: ScriptedMails

    def open_case(self, *answers: MailAnswer) -> int:
        """Open the case of a new order, whose mail will be answered like this."""
        bench = self.yard.bench
        order = bench.register()
        apply(bench, moved(order, OrderStatus.PENDING, openings=(ODD,)))
        self.calls.answers[order.id] = list(answers)
        return order.id

    def send(self) -> int:
        return self.yard.drain(SendMails(calls=self.calls, lane_limits=limits()))

    def states(self) -> list[str]:
        return [mail.state for mail in self.yard.bench.mails()]


@pytest.fixture
def office(bench: Bench) -> Office:
    bench.correspond(Correspondent(merchant="shop", name="The Shop", email="ops@shop.example"))
    return Office(Yard(bench), ScriptedMails(bench.units))


class TestAMail:
    def test_is_sent_once(self, office: Office) -> None:
        office.open_case()

        assert (office.send(), office.send()) == (1, 0)

        assert office.states() == ["sent"]
        assert len(office.calls.tries) == 1

    def test_is_the_same_on_every_try(self, office: Office) -> None:
        office.open_case(LATER, SILENCE)

        for _ in range(3):
            office.send()
            office.yard.bench.clock.wait(2 * MINUTES)

        first, second, third = office.calls.tries
        assert {(mail.message_id, mail.subject, mail.text, mail.html) for mail in (second, third)} == {
            (first.message_id, first.subject, first.text, first.html)
        }
        assert [mail.tries for mail in office.calls.tries] == [0, 1, 1]
        assert office.states() == ["sent"]

    def test_that_is_refused_is_given_up_alone(self, office: Office) -> None:
        office.open_case(REFUSED)

        office.send()
        office.send()

        assert office.states() == ["failed"]
        assert [case.kind for case in office.yard.bench.cases()] == ["LATE_PAYMENT", "UNDELIVERABLE"]
        assert len(office.calls.tries) == 1


class TestTheMailServer:
    def test_is_left_alone_while_it_says_nothing(self, bench: Bench, office: Office) -> None:
        bench.clock.now = NOON
        order = office.open_case(*[SILENCE] * 9)
        lane = bench.lane("smtp", LaneFamily.MAIL)
        for _ in range(5):
            office.send()
            bench.clock.wait(1 * MINUTES)

        failures = bench.tables().lanes[lane].failures
        office.calls.answers[order] = []
        office.send()

        assert failures == 5
        assert bench.tables().lanes[lane].failures == 0
        assert office.states() == ["sent"]

    def test_that_refuses_mails_is_well(self, bench: Bench, office: Office) -> None:
        office.open_case(REFUSED)

        office.send()

        assert bench.tables().lanes[bench.lane("smtp", LaneFamily.MAIL)].failures == 0
