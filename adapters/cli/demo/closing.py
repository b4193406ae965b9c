"""Orders that end unpaid, and those that a person must decide. Moments are as in `scenarios.py`."""

from typing import Final

from adapters.cli.demo.scenario import FIAT, FIRST_FAILED, LONG, WITHOUT_TIMEOUT, Expected, Said, Scenario, attempt

_LATE: Final = frozenset({"LATE_PAYMENT"})
_MISMATCH: Final = frozenset({"AMOUNT_MISMATCH"})


def _canceled_by_us(reason: str, by: str) -> Expected:
    return Expected(status="CANCELED", reason=reason, canceled_by=by, at_provider="canceled", effect="cancel")


_TIMED_OUT: Final = _canceled_by_us("cancellation_timeout", "system")
_CHECKOUT_TIMED_OUT: Final = _canceled_by_us("checkout_timeout", "system")
_DELAYED: Final = Expected(status="UNRESOLVED", reason="delayed", cases=_LATE, at_provider="paid")
_OVERPAID: Final = Expected(status="UNRESOLVED", reason="overpaid", cases=_MISMATCH, at_provider="paid")

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
        script=[FIRST_FAILED, {"after": 4, "attempt": {"id": "2", "state": "failed", "reason": "expired card"}}],
        said=[Said(task="record_attempt", at=1.5, fields=attempt("1", "failed"))],
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
