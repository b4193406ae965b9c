"""Orders that are paid, and what comes of refunds. Moments are as in `scenarios.py`."""

from typing import Final

from adapters.cli.demo.scenario import CRYPTO, FIAT, FIRST_FAILED, LONG, Expected, Said, Scenario, Turn, attempt

_PAID: Final = Expected(status="PAID", at_provider="paid")


def _operation(state: str, amount: str) -> dict[str, object]:
    return {"operation": {"id": "refund-1", "kind": "refund", "state": state, "amount": amount}}


PAID: Final = (
    Scenario(
        name="paid_at_once",
        why="the plain one",
        weight=20,
        script=[{"after": 0.2, "status": "paid"}],
        expected=_PAID,
    ),
    Scenario(
        name="paid_later",
        why="it takes some polls, and is seen as pending first",
        weight=12,
        script=[{"after": 1, "status": "pending"}, {"after": 4, "status": "paid"}],
        expected=_PAID,
    ),
    Scenario(
        name="paid_just_in_time",
        why="paid before the deadline, however late we learn of it",
        weight=6,
        order={"cancellation_timeout": 6},
        script=[{"after": 4.5, "status": "paid"}],
        expected=_PAID,
    ),
    Scenario(
        name="second_attempt",
        why="one failed attempt of several closes nothing, and a late word of it does not touch what the second paid",
        weight=8,
        order={"attempts_allowed": 3, "cancellation_timeout": LONG},
        script=[FIRST_FAILED, {"after": 4, "status": "paid", "attempt": {"id": "2", "state": "success"}}],
        said=[
            Said(task="record_attempt", at=1.5, fields=attempt("1", "failed")),
            Said(task="record_attempt", at=4.5, fields=attempt("2", "success")),
        ],
        currencies=FIAT,
        expected=_PAID,
    ),
    Scenario(
        name="authorized_then_paid",
        why="an authorization is captured",
        weight=8,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "authorized"}, {"after": 5, "status": "paid"}],
        currencies=FIAT,
        expected=_PAID,
    ),
    Scenario(
        name="authorized_in_time",
        why="the customer had done their part before the deadline; the capture after it makes nothing late",
        order={"cancellation_timeout": 5},
        script=[{"after": 2, "status": "authorized"}, {"after": 9, "status": "paid", "paid_at": -7}],
        currencies=FIAT,
        expected=_PAID,
    ),
    Scenario(
        name="cash_on_delivery",
        why="it has no deadline, and is paid at the door",
        weight=5,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "cod"}, {"after": 7, "status": "paid"}],
        currencies=FIAT,
        expected=_PAID,
    ),
    Scenario(
        name="within_tolerance",
        why="this merchant takes a cent too little for enough",
        script=[{"after": 1, "status": "paid", "amount_received": "near"}],
        currencies=("EUR", "USDT"),
        merchants=("market",),
        expected=_PAID,
    ),
    Scenario(
        name="block_by_block",
        why="the provider says paid at the first block; our own rule wants two",
        weight=6,
        script=[{"after": 1, "confirm": {"every": 2, "count": 4, "status_at": 1}}],
        currencies=("BTC",),
        expected=_PAID,
    ),
    Scenario(
        name="confirmed_after_the_deadline",
        why="seen on its network in time is in time whenever it is confirmed",
        order={"cancellation_timeout": 6},
        script=[{"after": 2, "confirm": {"every": 4, "count": 3, "status_at": 3}}],
        currencies=CRYPTO,
        expected=_PAID,
    ),
    Scenario(
        name="late_record",
        why="no record yet is not no payment",
        weight=5,
        script=[{"after": 1, "status": "paid"}, {"after": 4, "appears": True}],
        expected=_PAID,
    ),
    Scenario(
        name="wavering",
        why="a provider that takes back what it said moves nothing back",
        weight=5,
        order={"cancellation_timeout": LONG},
        script=[
            {"after": 1, "status": "authorized"},
            {"after": 3, "report": {"seconds": 2, "status": "pending"}},
            {"after": 6, "status": "paid"},
        ],
        currencies=FIAT,
        expected=_PAID,
    ),
    Scenario(
        name="canceled_too_late",
        why="what is paid is not canceled: the command is refused",
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "paid"}],
        said=[Said(task="cancel_order", on="PAID", fields={"by": "user"}, is_refused=True)],
        expected=_PAID,
    ),
    Scenario(
        name="paid_while_the_user_cancels",
        why="the customer pays in the instant before our cancel; the provider refuses it, and we the command",
        order={"cancellation_timeout": LONG},
        script=[{"when": {"operation": "cancel", "nth": 1, "point": "before"}, "status": "paid"}],
        said=[Said(task="cancel_order", at=2, fields={"by": "user"}, is_refused=True)],
        expected=_PAID,
    ),
    Scenario(
        name="reported_too_late",
        why="what its merchant was told is paid is not undone as timed out: the report is refused",
        weight=2,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "paid"}],
        said=[Said(task="report_timeout", on="PAID", is_refused=True)],
        expected=_PAID,
    ),
    Scenario(
        name="said_twice",
        why="the same message twice has the effect of once",
        script=[{"after": 2, "status": "paid"}],
        said=[Said(task="register_order", at=1), Said(task="register_order", at=5)],
        expected=_PAID,
    ),
    Scenario(
        name="said_otherwise",
        why="other content under a known order is refused, and the first stands",
        weight=2,
        script=[{"after": 3, "status": "paid"}],
        said=[Said(task="register_order", on="NEW", fields={"amount": "over"}, is_refused=True)],
        expected=_PAID,
    ),
)

REFUNDS: Final = (
    Scenario(
        name="refunded",
        why="the merchant asks for a refund, and the provider gives all of it back",
        weight=5,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "paid"}],
        said=[Said(task="record_operation", on="PAID", fields=_operation("queued", "whole"))],
        turns=[Turn(on="PAID", after=0, status="refund_pending"), Turn(on="PAID", after=4, status="refunded")],
        expected=Expected(status="REFUNDED", at_provider="refunded"),
    ),
    Scenario(
        name="refund_rejected",
        why="a rejected refund leaves the order paid",
        weight=3,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "paid"}],
        said=[Said(task="record_operation", on="PAID", fields=_operation("queued", "whole"))],
        turns=[Turn(on="PAID", after=0, status="refund_pending"), Turn(on="PAID", after=4, status="refund_rejected")],
        expected=Expected(status="PAID", reason="refund_rejected", at_provider="refund_rejected"),
    ),
    Scenario(
        name="refunded_in_part",
        why="a refund of a part leaves the order paid, and says so",
        weight=3,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "paid"}],
        said=[
            Said(task="record_operation", on="PAID", fields=_operation("queued", "part")),
            Said(task="record_operation", on="REFUND_PENDING", fields=_operation("done", "part")),
        ],
        expected=Expected(status="PAID", reason="refunded_in_part", at_provider="paid"),
    ),
)
