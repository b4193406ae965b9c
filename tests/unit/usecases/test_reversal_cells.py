"""The table of cells: what is true there, what goes wrong, when it was reported; and what must come of it.

Every end is written down here beforehand. `brief` faults touch the first two calls, `lasting` ones all of them, and
`late` is a brief fault of a transaction that had settled when its timeout was reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest

from domain.model.answer import Answer, NoRecord, Refused, Unintelligible, Unreachable
from domain.model.order import OrderStatus
from tests.builders import HOURS, MINUTES, NOON, SECONDS, a_policy, a_record, a_report, limits
from tests.fakes.bench import Bench
from tests.unit.usecases.acquirer import FOR_EVER, Fault, Payment
from tests.unit.usecases.yard import Yard, a_registration

SETTLES: Final = NOON + 1 * HOURS
# When something is done: often at first, around the last attempt before settlement, and while the orders close.
MOMENTS: Final = [
    NOON + at * SECONDS
    for at in (*range(0, 360, 30), 900, 1800, 2700, *range(3300, 3690, 30), 4200, *range(5400, 7500, 450))
]


@dataclass(frozen=True, slots=True)
class End:
    """How the reversal ends, whether with a case, and what its order then is, if there is one."""

    outcome: str
    case: bool
    order: str


VOIDED = End("VOIDED", case=False, order="CANCELED")
ALREADY = End("ALREADY_REVERSED", case=False, order="CANCELED")
DECLINED = End("DECLINED", case=False, order="FAILED")
TAKEN = End("SETTLEMENT_PASSED", case=True, order="UNRESOLVED")
UNASKED = End("SETTLEMENT_PASSED", case=True, order="NEW")
NEVER = End("SETTLEMENT_PASSED", case=False, order="EXPIRED")
# Reported after settlement, and the one answer that would have told is lost: a person looks; the order finds out.
LOST_DECLINED = End("SETTLEMENT_PASSED", case=True, order="FAILED")
LOST_NEVER = End("SETTLEMENT_PASSED", case=True, order="EXPIRED")
# The record appears when all is over. Only an order, which is looked at longer, can learn of it.
TOO_LATE = End("SETTLEMENT_PASSED", case=False, order="UNRESOLVED")
TOO_LATE_DECLINED = End("SETTLEMENT_PASSED", case=False, order="FAILED")

NO_ANSWER = Unreachable(why="no answer in time")
DROPPED = Unreachable(why="reset")
CUT = Unintelligible(why="cut off")
GARBLED = Unintelligible(why="not JSON")
BROKEN = Unreachable(why="status 500")
BUSY = Unreachable(why="status 429", retry_after=2 * MINUTES)
ANOTHERS = a_record("paid", reference="somebody-else")


def asked(answer: Answer) -> Fault:
    return Fault(where="inquiry", answer=answer)


def not_done(answer: Answer) -> Fault:
    return Fault(where="void", answer=answer)


def done(answer: Answer) -> Fault:
    return Fault(where="void", answer=answer, after=True)


FAULTS: Final[Mapping[str, Fault]] = {
    "none": Fault(),
    "slow": Fault(slow=3 * SECONDS),
    "late record": Fault(late_record=True),
    "inquiry: silent": asked(NO_ANSWER),
    "inquiry: dropped": asked(DROPPED),
    "inquiry: cut": asked(CUT),
    "inquiry: garbled": asked(GARBLED),
    "inquiry: 5xx": asked(BROKEN),
    "inquiry: 429": asked(BUSY),
    "inquiry: of another": asked(ANOTHERS),
    "void: silent before": not_done(NO_ANSWER),
    "void: silent after": done(NO_ANSWER),
    "void: dropped before": not_done(DROPPED),
    "void: dropped after": done(DROPPED),
    "void: cut": done(CUT),
    "void: garbled": done(GARBLED),
    "void: 5xx before": not_done(BROKEN),
    "void: 5xx after": done(BROKEN),
    "void: 429": not_done(BUSY),
    "void: refused, settled": Fault(where="void", settles=True),
    "void: refused, voided": Fault(where="void", becomes="voided"),
    "void: refused, declined": Fault(where="void", becomes="declined"),
    "void: refused as it is": Fault(where="void", refuses=True),
    "void: refused for no reason": not_done(Refused(payment_status=None)),
    "void: refused in other words": not_done(Refused(payment_status="pending")),
    "void: no record": not_done(NoRecord()),
}

# fault, when: (authorized or paid, declined, never on record)
Row = tuple[End, End, End]
AS_EVER: Row = (VOIDED, DECLINED, NEVER)
SETTLED: Row = (TAKEN, DECLINED, NEVER)
LATE: Row = (TAKEN, DECLINED, LOST_NEVER)
NOBODY_SAID: Row = (UNASKED, UNASKED, UNASKED)
ONE_LOST: Row = (TAKEN, LOST_DECLINED, LOST_NEVER)
ALL_TOO_LATE: Row = (TOO_LATE, TOO_LATE_DECLINED, NEVER)
CELLS: Final[Mapping[str, tuple[Row, Row, Row]]] = {
    #                               brief                         lasting                       late
    "none":                         (AS_EVER,                     AS_EVER,                      LATE),
    "slow":                         (AS_EVER,                     AS_EVER,                      LATE),
    "late record":                  (AS_EVER,                     ALL_TOO_LATE,                 ONE_LOST),
    "inquiry: silent":              (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: dropped":             (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: cut":                 (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: garbled":             (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: 5xx":                 (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: 429":                 (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "inquiry: of another":          (AS_EVER,                     NOBODY_SAID,                  ONE_LOST),
    "void: silent before":          (AS_EVER,                     SETTLED,                      LATE),
    "void: silent after":           (AS_EVER,                     AS_EVER,                      LATE),
    "void: dropped before":         (AS_EVER,                     SETTLED,                      LATE),
    "void: dropped after":          (AS_EVER,                     AS_EVER,                      LATE),
    "void: cut":                    (AS_EVER,                     AS_EVER,                      LATE),
    "void: garbled":                (AS_EVER,                     AS_EVER,                      LATE),
    "void: 5xx before":             (AS_EVER,                     SETTLED,                      LATE),
    "void: 5xx after":              (AS_EVER,                     AS_EVER,                      LATE),
    "void: 429":                    (AS_EVER,                     SETTLED,                      LATE),
    "void: refused, settled":       (SETTLED,                     SETTLED,                      LATE),
    "void: refused, voided":        ((ALREADY, DECLINED, NEVER),  (ALREADY, DECLINED, NEVER),   LATE),
    "void: refused, declined":      ((DECLINED, DECLINED, NEVER), (DECLINED, DECLINED, NEVER),  LATE),
    "void: refused as it is":       (SETTLED,                     SETTLED,                      LATE),
    "void: refused for no reason":  (AS_EVER,                     SETTLED,                      LATE),
    "void: refused in other words": (AS_EVER,                     SETTLED,                      LATE),
    "void: no record":              (AS_EVER,                     SETTLED,                      LATE),
}  # fmt: skip
WHEN: Final = ("brief", "lasting", "late")
TRUTHS: Final[Mapping[str, str | None]] = {
    "authorized": "authorized", "paid": "paid", "declined": "declined", "never": None,
}  # fmt: skip
COLUMN: Final = {"authorized": 0, "paid": 0, "declined": 1, "never": 2}
# By its keys: a new one only after a refusal that says in which other status.
SEVERAL_KEYS: Final = frozenset({"void: refused in other words", "void: no record"})


class Cell:
    """One fault at one time, on every truth, each as a payment of its own and as an order's; and the retries."""

    def __init__(self, bench: Bench, fault: str, when: str) -> None:
        self.name = fault
        self.late = when == "late"
        self.yard = Yard(
            bench,
            policy=a_policy(window_fiat=timedelta(minutes=90)),
            lane=limits(requests_per_second=10_000.0, concurrency=1000, breaker_failures=FOR_EVER),
        )
        touched = FOR_EVER if when == "lasting" else 2
        appears = NOON + 40 * MINUTES if when == "brief" else SETTLES + 5 * MINUTES
        self.payments = {
            reference: Payment(
                yard=self.yard,
                reference=reference,
                status=status,
                settles_at=NOON - 1 * SECONDS if self.late else SETTLES,
                fault=FAULTS[fault],
                touched=touched,
                on_record_from=appears if FAULTS[fault].late_record else None,
            )
            for name, status in TRUTHS.items()
            for reference in (name, f"{name} order")
        }
        self.retry = Payment(yard=self.yard, reference="retry", status="paid", settles_at=SETTLES)

    def run(self) -> None:
        self.yard.receive(*(a_registration(order=name, reference=name) for name in self.payments if "order" in name))
        settles_at = NOON - 1 * SECONDS if self.late else SETTLES
        for name in self.payments:
            self.yard.receive(a_report(reference=name, occurred_at=NOON - 1 * HOURS, settles_at=settles_at))
        self.yard.receive(a_registration(order="retry", reference="retry"))
        for moment in MOMENTS:
            self.yard.bench.clock.now = max(self.yard.bench.clock.now, moment)
            self._work()

    def _work(self) -> None:
        """Do what is due, reversals first, as a worker of their own does."""
        for _ in range(4):  # they make one another due
            worked = self.yard.drain(self.yard.reversing())
            worked += self.yard.drain(self.yard.polling())
            if not worked:
                break

    def ends(self) -> dict[str, End]:
        tables = self.yard.bench.tables()
        cases = {case.subject for case in tables.cases.values()}
        orders = {order.reference: str(order.status) for order in tables.orders.values()}
        return {
            reversal.reference: End(
                str(reversal.outcome),
                case=reversal.id in cases,
                order=orders.get(reversal.reference, ""),
            )
            for reversal in tables.reversals.values()
        }


def expected(fault: str, when: str) -> dict[str, End]:
    row = CELLS[fault][WHEN.index(when)]
    ends = {}
    for name in TRUTHS:
        end = row[COLUMN[name]]
        ends[name] = End(end.outcome, case=end.case, order="")
        ends[f"{name} order"] = end
    return ends


@pytest.fixture(params=[(fault, when) for fault in CELLS for when in WHEN], ids=lambda cell: f"{cell[0]}, {cell[1]}")
def named(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


class TestACell:
    def test_ends_as_it_is_written_and_nobody_pays_twice(self, bench: Bench, named: tuple[str, str]) -> None:
        fault, when = named
        cell = Cell(bench, fault, when)

        cell.run()

        assert cell.ends() == expected(fault, when)
        assert all(len(payment.voids) <= 1 for payment in cell.payments.values())
        assert all(fault in SEVERAL_KEYS or len(set(payment.sent)) <= 1 for payment in cell.payments.values())
        assert when != "late" or not any(payment.sent for payment in cell.payments.values())
        _assert_that_held_money_has_a_case(cell)
        _assert_that_the_retry_was_left_alone(cell)


def _assert_that_held_money_has_a_case(cell: Cell) -> None:
    tables = cell.yard.bench.tables()
    watched = {case.subject for case in tables.cases.values() if case.closed_at is None}
    subjects = {order.transaction.reference: order.id for order in tables.orders.values()}
    for reversal in tables.reversals.values():
        payment = cell.payments[reversal.reference]
        unseen = FAULTS[cell.name].late_record and reversal.reference not in subjects
        if payment.holds_money and not unseen:
            assert watched & {reversal.id, subjects.get(reversal.reference)}
    assert all(reversal.ended_at is not None for reversal in tables.reversals.values())


def _assert_that_the_retry_was_left_alone(cell: Cell) -> None:
    orders = {order.reference: order for order in cell.yard.bench.tables().orders.values()}
    assert orders["retry"].status is OrderStatus.PAID
    assert (cell.retry.sent, cell.retry.holds_money) == ([], True)
