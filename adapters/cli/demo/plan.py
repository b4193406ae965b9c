"""What a run will do and how it must end, made from a seed before anything is started."""

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from math import ceil
from typing import Any, Final

from adapters.cli.demo.scenario import CRYPTO, IN_LISTS, LIST_SECONDS, Fields, Scenario
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
_EARLY: Final = 0.1


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
        """The simulator's script."""
        if self.scenario.script is None:
            return None
        network = {"network": NETWORKS[self.currency]} if self.currency in CRYPTO else {}
        return {
            "provider": self.provider,
            "reference": self.reference,
            "amount": self.amounts["whole"],
            "currency": self.currency,
            **network,
            "script": [self.priced(step) for step in self.scenario.script],
        }

    def priced(self, fields: Fields) -> dict[str, Any]:
        """Return the fields with an amount in place of its name."""
        return {key: self._priced(key, value) for key, value in fields.items()}

    def _priced(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.priced(value)
        return self.amounts[value] if key.startswith("amount") and value in _NAMED else value


def make_plan(*, orders: int, seed: int, seconds: float) -> Sequence[DemoOrder]:
    """Return the orders of a run, in the order of their beginning, spread over so many seconds."""
    dice = random.Random(seed)  # noqa: S311 - a run that can be repeated, no secret
    drawn = [_draw(dice, scenario, seconds) for scenario in _kinds(orders)]
    drawn.sort(key=lambda draw: draw[0])
    return [
        DemoOrder(
            number=number,
            scenario=scenario,
            merchant=merchant,
            provider=provider,
            currency=currency,
            amounts=_amounts(dice, currency),
            starts_at=starts_at,
        )
        for number, (starts_at, scenario, merchant, provider, currency) in enumerate(drawn, start=1)
    ]


def _draw(dice: random.Random, scenario: Scenario, seconds: float) -> tuple[float, Scenario, str, str, str]:
    currency = dice.choice(scenario.currencies)
    card = "acme" if dice.random() < _FROM_ACME else "bolt"
    within = seconds * _EARLY if scenario.starts_early else seconds
    provider = "coin" if currency in CRYPTO else card
    merchant, starts_at = dice.choice(scenario.merchants), dice.uniform(0, within)
    if merchant in IN_LISTS:
        starts_at = min(ceil(starts_at / LIST_SECONDS) * LIST_SECONDS, seconds)
    return starts_at, scenario, merchant, provider, currency


def _kinds(orders: int) -> Iterator[Scenario]:
    """Yield as many scenarios as there are orders: every one once, as far as there is room, and the rest by weight."""
    yield from SCENARIOS[:orders]
    weights = list(accumulate(scenario.weight for scenario in SCENARIOS))
    more = max(orders - len(SCENARIOS), 0)
    for number in range(more):
        yield SCENARIOS[bisect(weights, number * weights[-1] // more)]


def _amounts(dice: random.Random, currency: str) -> Mapping[str, str]:
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
