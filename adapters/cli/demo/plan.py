"""What a run will do and how it must end, made from a seed before anything is started."""

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from math import ceil
from typing import Any, Final, Protocol, TypeVar

from adapters.cli.demo.scenario import CRYPTO, IN_LISTS, LIST_SECONDS, Fields, Scenario, Screened, Timeout
from adapters.cli.demo.scenarios import SCENARIOS

DIGITS: Final[Mapping[str, int]] = {"JPY": 0, "EUR": 2, "KWD": 3, "USDT": 6, "BTC": 8, "ETH": 18}
NETWORKS: Final[Mapping[str, str]] = {"USDT": "ethereum", "BTC": "bitcoin", "ETH": "ethereum"}
# What is dear in one currency is cheap in another: (least, most) in major units.
_PRICES: Final[Mapping[str, tuple[int, int]]] = {
    "JPY": (500, 90_000), "EUR": (5, 400), "KWD": (5, 90), "USDT": (5, 900), "BTC": (1, 3), "ETH": (1, 9),
}  # fmt: skip
_LESS_THAN_THE_TOLERANCE: Final = Decimal("0.01")
# Nobody is called by these names, and nothing is made of them.
_NAMED: Final = frozenset({"whole", "over", "under", "near", "part"})
_FROM_ACME: Final = 0.75
# The orders whose end takes longest come within this part of the time.
EARLY: Final = 0.1

_Kind = TypeVar("_Kind", Scenario, Timeout, Screened)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrder:
    """One order of the plan; it begins `starts_at` seconds after the run."""

    number: int
    scenario: Scenario
    merchant: str
    provider: str
    currency: str
    amounts: Mapping[str, str]
    starts_at: float

    @property
    def order(self) -> str:
        return f"{self.number:05d}-{self.scenario.name}"

    @property
    def reference(self) -> str:
        return f"{self.scenario.name}-{self.number:05d}"

    @property
    def registration(self) -> dict[str, Any]:
        """The producer's words, but for the time at which the order began."""
        crypto = {"kind": "crypto", "network": NETWORKS[self.currency]} if self.currency in CRYPTO else {}
        return {
            "merchant": self.merchant,
            "order": self.order,
            "provider": self.provider,
            "reference": self.reference,
            "amount": self.amounts["whole"],
            "currency": self.currency,
            **crypto,
            **self.scenario.order,
        }

    @property
    def payment(self) -> dict[str, Any] | None:
        return payment_of(self, self.scenario.script)

    def priced(self, fields: Fields) -> dict[str, Any]:
        return priced(fields, self.amounts)


class Paid(Protocol):
    """What a payment is made of."""

    @property
    def provider(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def amounts(self) -> Mapping[str, str]: ...


def payment_of(planned: Paid, script: Sequence[Fields] | None) -> dict[str, Any] | None:
    """Return what the simulator is told of a payment, None where it never has a record of it."""
    if script is None:
        return None
    network = {"network": NETWORKS[planned.currency]} if planned.currency in CRYPTO else {}
    return {
        "provider": planned.provider,
        "reference": planned.reference,
        "amount": planned.amounts["whole"],
        "currency": planned.currency,
        **network,
        "script": [priced(step, planned.amounts) for step in script],
    }


def priced(fields: Fields, amounts: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields with an amount in place of its name."""

    def value_of(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return priced(value, amounts)
        return amounts[value] if key.startswith("amount") and value in _NAMED else value

    return {key: value_of(key, value) for key, value in fields.items()}


def make_plan(*, orders: int, seed: int, seconds: float) -> Sequence[DemoOrder]:
    """Return the orders of a run, in the order of their beginning, spread over so many seconds."""
    dice = random.Random(seed)  # noqa: S311 - a run that can be repeated, no secret
    drawn = [_draw(dice, scenario, seconds) for scenario in kinds(SCENARIOS, orders)]
    drawn.sort(key=lambda draw: draw[0])
    return [
        DemoOrder(
            number=number,
            scenario=scenario,
            merchant=merchant,
            provider=provider,
            currency=currency,
            amounts=amounts_of(dice, currency),
            starts_at=starts_at,
        )
        for number, (starts_at, scenario, merchant, provider, currency) in enumerate(drawn, start=1)
    ]


def _draw(dice: random.Random, scenario: Scenario, seconds: float) -> tuple[float, Scenario, str, str, str]:
    currency = dice.choice(scenario.currencies)
    provider = provider_of(dice, currency)
    within = seconds * EARLY if scenario.starts_early else seconds
    merchant, starts_at = dice.choice(scenario.merchants), dice.uniform(0, within)
    if merchant in IN_LISTS:
        starts_at = min(ceil(starts_at / LIST_SECONDS) * LIST_SECONDS, seconds)
    return starts_at, scenario, merchant, provider, currency


def provider_of(dice: random.Random, currency: str) -> str:
    """Return who takes the currency; most cards are acme's."""
    card = "acme" if dice.random() < _FROM_ACME else "bolt"
    return "coin" if currency in CRYPTO else card


def kinds(scenarios: Sequence[_Kind], count: int) -> Iterator[_Kind]:
    """Yield so many: every scenario once, as far as there is room, and the rest by weight."""
    yield from scenarios[:count]
    weights = list(accumulate(scenario.weight for scenario in scenarios))
    more = max(count - len(scenarios), 0)
    for number in range(more):
        yield scenarios[bisect(weights, number * weights[-1] // more)]


def amounts_of(dice: random.Random, currency: str) -> Mapping[str, str]:
    """Return {name of an amount: the amount}, with all the digits that the currency has."""
    digits = DIGITS[currency]
    least, most = _PRICES[currency]
    smallest = Decimal(1).scaleb(-digits)
    whole = (Decimal(dice.randint(least * 10**digits, most * 10**digits)) * smallest).quantize(smallest)
    named = {
        "whole": whole,
        "over": whole * 3 / 2,
        "under": whole / 2,
        "near": whole - _LESS_THAN_THE_TOLERANCE,
        "part": whole / 4,
    }
    return {name: str(max(amount, smallest).quantize(smallest)) for name, amount in named.items()}
