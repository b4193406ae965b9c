"""Every kind of order of the demo, each with its one right end, written down before anything runs.

Times are seconds after the order began. `LONG` is a timeout that plays no part. All moments that decide lie more
than a second apart at the provider, where faults cannot move them; what faults delay is only when we learn of it.
"""

from typing import Final

from adapters.cli.demo.scenario import CRYPTO, FIAT, WITHOUT_TIMEOUT, Expected, Said, Scenario, Turn

LONG: Final = 600
_LATE: Final = frozenset({"LATE_PAYMENT"})
_MISMATCH: Final = frozenset({"AMOUNT_MISMATCH"})


def _canceled_by_us(reason: str, by: str) -> Expected:
    return Expected(status="CANCELED", reason=reason, canceled_by=by, at_provider="canceled", effect="cancel")


_PAID: Final = Expected(status="PAID", at_provider="paid")
_TIMED_OUT: Final = _canceled_by_us("cancellation_timeout", "system")
_CHECKOUT_TIMED_OUT: Final = _canceled_by_us("checkout_timeout", "system")
_DELAYED: Final = Expected(status="UNRESOLVED", reason="delayed", cases=_LATE, at_provider="paid")
_OVERPAID: Final = Expected(status="UNRESOLVED", reason="overpaid", cases=_MISMATCH, at_provider="paid")
_FIRST_FAILED: Final = {
    "after": 1,
    "status": "attempted",
    "attempt": {"id": "1", "state": "failed", "reason": "insufficient funds"},
}


def _operation(state: str, amount: str) -> dict[str, object]:
    return {"operation": {"id": "refund-1", "kind": "refund", "state": state, "amount": amount}}


def _attempt(key: str, state: str) -> dict[str, object]:
    return {"attempt": {"id": key, "state": state}}


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
        script=[_FIRST_FAILED, {"after": 4, "status": "paid", "attempt": {"id": "2", "state": "success"}}],
        said=[
            Said(task="record_attempt", at=1.5, fields=_attempt("1", "failed")),
            Said(task="record_attempt", at=4.5, fields=_attempt("2", "success")),
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

CLOSED: Final = (
    Scenario(
        name="declined",
        why="a single attempt was allowed, and it failed",
        weight=6,
        script=[{"after": 2, "status": "declined", "attempt": {"id": "1", "state": "failed", "reason": "declined"}}],
        currencies=FIAT,
        expected=Expected(status="FAILED", reason="declined", at_provider="declined"),
    ),
    Scenario(
        name="never_paid",
        why="nobody paid within the order's own timeout",
        weight=10,
        order={"cancellation_timeout": 6},
        expected=_TIMED_OUT,
    ),
    Scenario(
        name="never_paid_by_the_merchants_timeout",
        why="nobody paid within the timeout that the merchant set for all",
        merchants=("books",),
        expected=_TIMED_OUT,
    ),
    Scenario(
        name="left_at_the_checkout",
        why="the customer completed the checkout, and did not pay within the order's checkout timeout",
        weight=6,
        order={"cancellation_timeout": LONG, "checkout_timeout": 4},
        said=[Said(task="checkout_completed", at=2)],
        expected=_CHECKOUT_TIMED_OUT,
    ),
    Scenario(
        name="left_at_the_checkout_by_the_merchants_timeout",
        why="likewise, by the merchant's",
        weight=3,
        order={"cancellation_timeout": LONG},
        said=[Said(task="checkout_completed", at=1)],
        merchants=("games",),
        expected=_CHECKOUT_TIMED_OUT,
    ),
    Scenario(
        name="both_timeouts",
        why="of both timeouts the earlier counts, here the cancellation's",
        order={"cancellation_timeout": 6, "checkout_timeout": 30},
        said=[Said(task="checkout_completed", at=2)],
        expected=_TIMED_OUT,
    ),
    Scenario(
        name="every_attempt_failed",
        why="a failed attempt of several leaves the order open until its timeout",
        weight=5,
        order={"attempts_allowed": 0, "cancellation_timeout": 7},
        script=[_FIRST_FAILED, {"after": 4, "attempt": {"id": "2", "state": "failed", "reason": "expired card"}}],
        said=[Said(task="record_attempt", at=1.5, fields=_attempt("1", "failed"))],
        currencies=FIAT,
        expected=_TIMED_OUT,
    ),
    Scenario(
        name="declined_though_several_are_allowed",
        why="the order waits for another attempt; at its timeout the provider has nothing left to cancel",
        weight=3,
        order={"attempts_allowed": 2, "cancellation_timeout": 6},
        script=[{"after": 1, "status": "declined", "attempt": {"id": "1", "state": "failed"}}],
        currencies=FIAT,
        expected=Expected(
            status="CANCELED", reason="cancellation_timeout", canceled_by="system", at_provider="declined"
        ),
    ),
    Scenario(
        name="canceled_by_the_user",
        why="nothing was paid",
        weight=6,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "pending"}],
        said=[Said(task="cancel_order", at=3, fields={"by": "user", "reason": "changed my mind"})],
        expected=_canceled_by_us("changed my mind", "user"),
    ),
    Scenario(
        name="canceled_before_it_was_known",
        why="a command may come before its order, and waits for it",
        order={"cancellation_timeout": LONG},
        said=[Said(task="cancel_order", at=-1.5, fields={"by": "merchant", "reason": "out of stock"})],
        expected=_canceled_by_us("out of stock", "merchant"),
    ),
    Scenario(
        name="voided",
        why="what is authorized is voided when its merchant cancels",
        order={"cancellation_timeout": LONG},
        script=[{"after": 0.5, "status": "authorized"}],
        said=[Said(task="cancel_order", at=4, fields={"by": "merchant", "reason": "out of stock"})],
        currencies=FIAT,
        expected=Expected(
            status="CANCELED", reason="out of stock", canceled_by="merchant", at_provider="voided", effect="void"
        ),
    ),
    Scenario(
        name="no_record_ever",
        why="several answers `no record` after the deadline are nothing to cancel",
        order={"cancellation_timeout": 5},
        script=None,
        expected=Expected(status="CANCELED", reason="cancellation_timeout", canceled_by="system", at_provider=None),
    ),
    Scenario(
        name="canceled_at_the_provider",
        why="the customer canceled there, without our asking",
        weight=5,
        order={"cancellation_timeout": LONG},
        script=[{"after": 2, "status": "canceled"}],
        expected=Expected(status="CANCELED", reason="provider_canceled", canceled_by="user", at_provider="canceled"),
    ),
    Scenario(
        name="invalid",
        why="the provider calls the payment invalid",
        weight=3,
        order={"cancellation_timeout": LONG},
        script=[{"after": 2, "status": "invalid"}],
        expected=Expected(status="CANCELED", reason="invalid", canceled_by="system", at_provider="invalid"),
    ),
    Scenario(
        name="never_paid_without_a_timeout",
        why="where no timeout is set, the payment window ends the order as expired",
        weight=10,
        merchants=WITHOUT_TIMEOUT,
        expected=Expected(status="EXPIRED", reason="payment_window", at_provider="canceled", effect="cancel"),
    ),
    Scenario(
        name="expired_at_the_provider",
        why="its own window ended first",
        order={"cancellation_timeout": LONG},
        script=[{"after": 3, "status": "expired"}],
        expected=Expected(status="EXPIRED", at_provider="expired"),
    ),
    Scenario(
        name="authorization_lapsed",
        why="a hold that lapses leaves nothing to collect",
        weight=2,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "authorized"}, {"after": 6, "status": "expired"}],
        currencies=FIAT,
        expected=Expected(status="EXPIRED", at_provider="expired"),
    ),
)

FOR_A_PERSON: Final = (
    Scenario(
        name="overpaid",
        why="more came than was asked for",
        script=[{"after": 1, "status": "paid", "amount_received": "over"}],
        expected=_OVERPAID,
    ),
    Scenario(
        name="underpaid",
        why="less came than was asked for",
        script=[{"after": 2, "status": "paid", "amount_received": "under"}],
        expected=Expected(status="UNRESOLVED", reason="underpaid", cases=_MISMATCH, at_provider="paid"),
    ),
    Scenario(
        name="resolved",
        why="a person settled the difference",
        script=[{"after": 1, "status": "paid", "amount_received": "over"}],
        said=[Said(task="resolve_order", on="UNRESOLVED", fields={"note": "the rest is sent back"})],
        expected=Expected(status="RESOLVED", reason="overpaid", at_provider="paid"),
    ),
    Scenario(
        name="paid_while_we_cancel",
        why="after its deadline, in the instant before our cancel: it is paid, and too late",
        order={"cancellation_timeout": 5},
        script=[{"when": {"operation": "cancel", "nth": 1, "point": "before"}, "status": "paid"}],
        expected=_DELAYED,
    ),
    Scenario(
        name="late_money",
        why="money that comes after our cancel is late, and is seen by the watch",
        weight=5,
        order={"cancellation_timeout": 5},
        script=[{"when": {"operation": "cancel", "nth": 1, "point": "after"}, "after": 3, "status": "paid"}],
        expected=Expected(status="UNRESOLVED", reason="delayed", cases=_LATE, at_provider="paid", effect="cancel"),
    ),
    Scenario(
        name="record_after_the_end",
        why="nothing was on record at the deadline; what appears later, paid, is late money",
        weight=3,
        order={"cancellation_timeout": 3},
        script=[{"after": 7, "status": "paid", "appears": True}],
        expected=_DELAYED,
    ),
    Scenario(
        name="stubborn",
        why="the provider will not cancel and does not say why: the plan is used up, and a person must ask there",
        weight=2,
        order={"cancellation_timeout": 4},
        starts_early=True,
        expected=Expected(status="NEW", cases=frozenset({"CANCEL_IN_DOUBT"}), at_provider="created"),
    ),
    Scenario(
        name="forgotten",
        why="authorized and never captured: giving up is loud",
        weight=2,
        order={"cancellation_timeout": LONG},
        script=[{"after": 1, "status": "authorized"}],
        starts_early=True,
        currencies=FIAT,
        expected=Expected(status="PENDING", cases=frozenset({"POLLING_EXHAUSTED"}), at_provider="authorized"),
    ),
)

SCENARIOS: Final = PAID + REFUNDS + CLOSED + FOR_A_PERSON
