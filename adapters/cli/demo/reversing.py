"""Transactions that timed out, in every state in which they can be found at the provider, and by every way out.

Each is reported as a timeout while it is what its script says. Where time decides, the settlement is far enough
away for a slow machine, and what must not end by it settles a day later.
"""

from typing import Final

from adapters.cli.demo.scenario import EVERY, LONG, Expected, OwnOrder, Timeout, Turn, Undone

# So long after the report that it was asked about before, whatever a dead provider and a slow machine take.
_SOON: Final = 40.0
# The last attempt is planned a minute and three call timeouts before settlement, so this many seconds before it.
_LAST_ATTEMPT_SOON: Final = 66.0 + 25.0

_VOIDED: Final = Undone(outcome="VOIDED", at_provider="voided", effect="void")
_REVERSED: Final = Expected(
    status="CANCELED", reason="reversed", canceled_by="system", at_provider="voided", effect="void"
)
_CLOSED_IN_SILENCE: Final = Undone(outcome="SETTLEMENT_PASSED", at_provider=None)


def _declined(at_provider: str) -> Undone:
    return Undone(outcome="DECLINED", at_provider=at_provider)


def _already(at_provider: str) -> Undone:
    return Undone(outcome="ALREADY_REVERSED", at_provider=at_provider)


def _settled(at_provider: str) -> Undone:
    return Undone(outcome="SETTLEMENT_PASSED", case="SETTLED_UNREVERSED", at_provider=at_provider)


def _exhausted(at_provider: str) -> Undone:
    return Undone(outcome="EXHAUSTED", case="REVERSAL_EXHAUSTED", at_provider=at_provider)


_VOIDS: Final = (
    Timeout(
        name="approved",
        why="the customer's money is held, and nobody will collect it: the hold is given back",
        weight=10,
        script=[{"status": "authorized"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="taken",
        why="paid and not settled is given back by a void too",
        weight=8,
        script=[{"status": "paid"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="approved_late",
        why="what is pending may be approved yet, so it is asked about again",
        script=[{"status": "pending"}, {"when": {"operation": "inquiry", "nth": 4}, "status": "authorized"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="recorded_late",
        why="no record yet is not no payment",
        script=[{"status": "authorized"}, {"after": 4, "appears": True}],
        expected=_VOIDED,
    ),
    Timeout(
        name="void_answer_lost",
        why="the void was done and its answer lost: asking shows that it was, and it is not done again",
        script=[{"status": "authorized"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="void_not_arrived",
        why="the void was lost before it was done: asking shows that it was not, and the same key is sent again",
        script=[{"status": "paid"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="voided_at_the_second_try",
        why="captured in the instant of our void, which is refused; in its new status it can be voided",
        script=[{"status": "authorized"}, {"when": {"operation": "void"}, "status": "paid"}],
        expected=_VOIDED,
    ),
    Timeout(
        name="reported_again",
        why="the same timeout three times has the effect of once, also when it is over",
        script=[{"status": "authorized"}],
        again=(0.5, 8),
        expected=_VOIDED,
    ),
    Timeout(
        name="retried",
        why="the customer pays at once by another order, whose payment nobody touches",
        weight=12,
        script=[{"status": "authorized"}],
        retried=True,
        expected=_VOIDED,
    ),
)

_NOTHING_TO_UNDO: Final = (
    *(
        Timeout(
            name=f"{status}_there",
            why="no money moved",
            script=[{"status": status}],
            currencies=EVERY,
            expected=_declined(status),
        )
        for status in ("declined", "expired", "invalid")
    ),
    Timeout(
        name="declined_late",
        why="what is pending is asked about again, and nothing is done while it may end by itself",
        script=[{"status": "pending"}, {"when": {"operation": "inquiry", "nth": 3}, "status": "declined"}],
        expected=_declined("declined"),
    ),
    *(
        Timeout(
            name=f"{status}_there",
            why="somebody has undone it already",
            script=[{"status": status}],
            expected=_already(status),
        )
        for status in ("voided", "canceled", "refunded")
    ),
    Timeout(
        name="refund_under_way",
        why="a refund under way is waited for",
        script=[
            {"status": "paid"},
            {"status": "refund_pending"},
            {"when": {"operation": "inquiry", "nth": 4}, "status": "refunded"},
        ],
        expected=_already("refunded"),
    ),
)

_FOR_A_PERSON: Final = (
    Timeout(
        name="settled",
        why="after settlement no void is possible: a person gives the money back",
        weight=6,
        script=[{"status": "paid", "settled": True}],
        currencies=EVERY,
        expected=_settled("paid"),
    ),
    Timeout(
        name="settled_meanwhile",
        why="likewise if it settles while we ask, before the time that the report named",
        script=[
            {"status": "pending"},
            {"when": {"operation": "inquiry", "nth": 3}, "status": "paid", "settled": True},
        ],
        expected=_settled("paid"),
    ),
    Timeout(
        name="pending_at_settlement",
        why="its settlement passes, and nobody knows whether it is taken yet",
        script=[{"status": "pending"}],
        settles=_SOON,
        starts_early=True,
        currencies=EVERY,
        expected=_settled("pending"),
    ),
    Timeout(
        name="never_voided",
        why="the provider refuses the void for good, and the money is kept",
        script=[{"status": "authorized"}],
        settles=_SOON,
        starts_early=True,
        expected=_settled("authorized"),
    ),
    Timeout(
        name="refund_rejected_there",
        why="what was paid stayed paid, and this provider does not void it",
        weight=2,
        script=[{"status": "paid"}, {"status": "refund_rejected"}],
        settles=_SOON,
        starts_early=True,
        expected=_settled("refund_rejected"),
    ),
    Timeout(
        name="unreadable",
        why="what cannot be understood is not no record: at settlement a person has to know",
        script=[{"status": "authorized"}],
        settles=_SOON,
        starts_early=True,
        expected=_settled("authorized"),
    ),
    Timeout(
        name="never_asked",
        why="likewise if the provider cannot be asked at all",
        script=[{"status": "paid"}],
        settles=_SOON,
        starts_early=True,
        provider="dusk",
        expected=_settled("paid"),
    ),
    Timeout(
        name="exhausted",
        why="attempts are used up before settlement, and it may be taken yet",
        script=[{"status": "pending"}],
        settles=_LAST_ATTEMPT_SOON,
        starts_early=True,
        provider="dime",
        expected=_exhausted("pending"),
    ),
    Timeout(
        name="never_voided_and_exhausted",
        why="likewise if it is held, and its void refused",
        script=[{"status": "authorized"}],
        settles=_LAST_ATTEMPT_SOON,
        starts_early=True,
        provider="dime",
        expected=_exhausted("authorized"),
    ),
)

_NEVER_THERE: Final = (
    Timeout(
        name="never_recorded",
        why="no record ever, asked to the last: there is nothing to undo and nobody to be asked",
        weight=8,
        script=None,
        settles=_SOON,
        starts_early=True,
        currencies=EVERY,
        expected=_CLOSED_IN_SILENCE,
    ),
    Timeout(
        name="never_recorded_and_retried",
        why="likewise, and the customer has paid by another order",
        script=None,
        settles=_SOON,
        starts_early=True,
        retried=True,
        expected=_CLOSED_IN_SILENCE,
    ),
)

_OF_ORDERS: Final = (
    Timeout(
        name="own_approved",
        why="the hold of an open order is given back, and the order ends",
        weight=8,
        script=[{"after": 0.5, "status": "authorized"}],
        of=OwnOrder(fields={"cancellation_timeout": LONG}, reported_on="PENDING", expected=_REVERSED),
        expected=_VOIDED,
    ),
    Timeout(
        name="own_taken",
        why="reported before its order came, which is never paid by what is given back",
        weight=6,
        script=[{"after": 2, "status": "paid"}],
        of=OwnOrder(fields={"cancellation_timeout": LONG}, expected=_REVERSED),
        expected=_VOIDED,
    ),
    Timeout(
        name="own_approved_late",
        why="approved while its reversal is open",
        script=[{"status": "pending"}],
        of=OwnOrder(
            fields={"cancellation_timeout": LONG},
            turns=[Turn(on="PENDING", after=4, status="authorized")],
            reported_on="PENDING",
            expected=_REVERSED,
        ),
        expected=_VOIDED,
    ),
    Timeout(
        name="own_retried",
        why="the order ends, and the one by which the customer tried again is paid",
        weight=6,
        script=[{"status": "authorized"}],
        retried=True,
        of=OwnOrder(fields={"cancellation_timeout": LONG}, reported_on="PENDING", expected=_REVERSED),
        expected=_VOIDED,
    ),
    Timeout(
        name="own_voided_there",
        why="somebody has voided it before us",
        script=[{"status": "pending"}, {"after": 3, "status": "voided"}],
        of=OwnOrder(
            fields={"cancellation_timeout": LONG},
            expected=Expected(status="CANCELED", reason="reversed", canceled_by="system", at_provider="voided"),
        ),
        expected=_already("voided"),
    ),
    Timeout(
        name="own_declined",
        why="a decline is nothing to undo, and ends the order as ever",
        script=[{"status": "pending"}],
        of=OwnOrder(
            fields={"cancellation_timeout": LONG},
            turns=[Turn(on="PENDING", after=3, status="declined")],
            reported_on="PENDING",
            expected=Expected(status="FAILED", reason="declined", at_provider="declined"),
        ),
        expected=_declined("declined"),
    ),
    Timeout(
        name="own_never_paid",
        why="a reversal does not keep an unpaid order from its timeout, and our cancel ends both",
        script=[{"status": "pending"}],
        of=OwnOrder(
            fields={"cancellation_timeout": 5},
            reported_on="PENDING",
            expected=Expected(
                status="CANCELED",
                reason="cancellation_timeout",
                canceled_by="system",
                at_provider="canceled",
                effect="cancel",
            ),
        ),
        expected=Undone(outcome="ALREADY_REVERSED", at_provider="canceled", effect="cancel"),
    ),
    Timeout(
        name="own_never_recorded",
        why="nothing was on record at the order's deadline, nor at settlement",
        script=None,
        settles=_SOON,
        starts_early=True,
        of=OwnOrder(
            fields={"cancellation_timeout": 5},
            reported_on="NEW",
            expected=Expected(status="CANCELED", reason="cancellation_timeout", canceled_by="system", at_provider=None),
        ),
        expected=_CLOSED_IN_SILENCE,
    ),
    Timeout(
        name="own_settled",
        why="the merchant was told that it failed, and the money is there for good: it pays nothing by itself",
        script=[{"status": "pending"}, {"after": 3, "status": "paid", "settled": True}],
        of=OwnOrder(
            fields={"cancellation_timeout": LONG},
            expected=Expected(
                status="UNRESOLVED", reason="delayed", cases=frozenset({"LATE_PAYMENT"}), at_provider="paid"
            ),
        ),
        expected=_settled("paid"),
    ),
)

TIMEOUTS: Final = _VOIDS + _OF_ORDERS + _NOTHING_TO_UNDO + _FOR_A_PERSON + _NEVER_THERE
