"""The timed-out transactions of a run, and the orders that have to do with them, made from the seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from adapters.cli.demo.plan import EARLY, DemoOrder, amounts_of, kinds, payment_of, provider_of
from adapters.cli.demo.reversing import TIMEOUTS
from adapters.cli.demo.scenario import EVERYBODY, LONG, Expected, OwnOrder, Scenario, Timeout

# Numbers beside those of all other orders; those of retries are beside these.
_FIRST: Final = 50_001
_FIRST_RETRY: Final = 20_000
_CODES: Final = ("99", "797", "798", "799")
_CAUSES: Final = (None, "no_response", "partial_response", "unintelligible_response")
# So long after the report comes an order whose payment was reported first.
_ORDER_COMES: Final = 3.0
# So long after the report comes the order by which the customer tries again.
_RETRY_COMES: Final = 0.3

_RETRY: Final = Scenario(
    name="paid_at_the_second_try",
    why="the first try timed out and is undone; this one is another payment",
    order={"cancellation_timeout": LONG},
    script=[{"after": 1, "status": "paid"}],
    expected=Expected(status="PAID", at_provider="paid"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTimeout:
    """One transaction that times out; `own` is the order that it was to pay, `retry` the one that is paid instead."""

    number: int
    scenario: Timeout
    merchant: str
    provider: str
    currency: str
    amounts: Mapping[str, str]
    starts_at: float
    own: DemoOrder | None = None
    retry: DemoOrder | None = None

    @property
    def reference(self) -> str:
        return f"{self.scenario.name}-{self.number:05d}"

    @property
    def orders(self) -> Sequence[DemoOrder]:
        return [order for order in (self.own, self.retry) if order is not None]

    @property
    def payment(self) -> dict[str, Any] | None:
        """The simulator's script; None also where it is the own order's, and comes with it."""
        return None if self.own is not None else payment_of(self, self.scenario.script)

    def report(self, occurred_at: float, *, times: int = 0) -> dict[str, Any]:
        """Return the producer's words, other ones of the same thing each time."""
        place = self.number + times
        settles = self.scenario.settles
        return {
            "merchant": self.merchant,
            **timeout_of(self, occurred_at, code=_CODES[place % len(_CODES)]),
            "cause": _CAUSES[place % len(_CAUSES)],
            "order": self.own.order if self.own else f"{self.number:05d}-{self.scenario.name}",
            **({} if settles is None else {"settles_at": rfc3339(occurred_at + settles)}),
        }


def timeout_of(planned: DemoOrder | DemoTimeout, occurred_at: float, *, code: str = _CODES[0]) -> dict[str, Any]:
    """Return what a report says of the payment."""
    return {
        "provider": planned.provider,
        "reference": planned.reference,
        "amount": planned.amounts["whole"],
        "currency": planned.currency,
        "response_code": code,
        "occurred_at": rfc3339(occurred_at),
    }


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def make_timeouts(*, count: int, seed: int, seconds: float) -> Sequence[DemoTimeout]:
    """Return the timeouts of a run, in the order of their reports, spread over so many seconds."""
    dice = random.Random(f"timeouts {seed}")  # noqa: S311 - a run that can be repeated, no secret
    drawn = [
        (dice.uniform(0, seconds * EARLY if scenario.starts_early else seconds), scenario)
        for scenario in kinds(TIMEOUTS, count)
    ]
    drawn.sort(key=lambda draw: draw[0])
    return [
        _make(dice, scenario, number, starts_at) for number, (starts_at, scenario) in enumerate(drawn, start=_FIRST)
    ]


def _make(dice: random.Random, scenario: Timeout, number: int, starts_at: float) -> DemoTimeout:
    currency = dice.choice(scenario.currencies)
    provider = provider_of(dice, currency)
    merchant = dice.choice(EVERYBODY)
    amounts = amounts_of(dice, currency)

    alike = DemoOrder(
        number=number,
        scenario=_RETRY,
        merchant=merchant,
        provider=provider,
        currency=currency,
        amounts=amounts,
        starts_at=starts_at,
    )
    return DemoTimeout(
        number=number,
        scenario=scenario,
        merchant=merchant,
        provider=scenario.provider or provider,
        currency=currency,
        amounts=amounts,
        starts_at=starts_at,
        own=None if scenario.of is None else _own(alike, scenario, scenario.of),
        retry=_retry(alike) if scenario.retried else None,
    )


def _own(alike: DemoOrder, scenario: Timeout, of: OwnOrder) -> DemoOrder:
    kind = Scenario(
        name=scenario.name,
        why=scenario.why,
        order=of.fields,
        script=scenario.script,
        turns=of.turns,
        expected=of.expected,
    )
    comes = 0.0 if of.reported_on else _ORDER_COMES
    return replace(alike, scenario=kind, starts_at=alike.starts_at + comes)


def _retry(alike: DemoOrder) -> DemoOrder:
    return replace(alike, number=_FIRST_RETRY + alike.number, starts_at=alike.starts_at + _RETRY_COMES)
