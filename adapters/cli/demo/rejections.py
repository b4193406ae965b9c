"""The transactions of a run whose bills are checked, made from the seed."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.cli.demo.plan import DemoOrder, amounts_of, kinds, provider_of
from adapters.cli.demo.rejecting import SCREENED
from adapters.cli.demo.scenario import EVERY, Expected, Fields, Mend, Scenario, Screened

# Numbers beside those of all other orders.
_FIRST: Final = 80_001
_NUMBER: Final = "#"
# Of what never becomes an order nothing of this is looked at.
_NO_END: Final = Expected(status="", at_provider=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRejection:
    """One transaction whose bill is checked; `told` is what producers tell of it, and the order if it becomes one."""

    scenario: Screened
    told: DemoOrder

    @property
    def merchant(self) -> str:
        return self.told.merchant

    @property
    def order(self) -> str:
        return self.told.order

    def words(self, mend: Mend, rejection: str) -> dict[str, Any]:
        """Return what its merchant sends; `rejection` is what the callback has called it."""
        fields: dict[str, Any] = {"merchant": self.merchant, **numbered(mend.fields, self.told.number)}
        return fields | {"transactions": [rejection]} if mend.task.startswith("sanity.") else fields


def numbered(value: Any, number: int) -> Any:
    """Return the value with the number wherever `#` stands for it."""
    match value:
        case str():
            return value.replace(_NUMBER, str(number))
        case Mapping():
            return {numbered(key, number): numbered(part, number) for key, part in value.items()}
        case Sequence():
            return [numbered(part, number) for part in value]
        case _:
            return value


def make_rejections(*, count: int, seed: int, seconds: float) -> Sequence[DemoRejection]:
    """Return the screened transactions of a run, in the order of their beginning, spread over so many seconds."""
    dice = random.Random(f"rejections {seed}")  # noqa: S311 - a run that can be repeated, no secret
    drawn = [(dice.uniform(0, seconds), screened) for screened in kinds(SCREENED, count)]
    drawn.sort(key=lambda draw: draw[0])
    return [_make(dice, screened, number, starts_at) for number, (starts_at, screened) in enumerate(drawn, _FIRST)]


def known_before(screened: Sequence[DemoRejection]) -> Mapping[tuple[str, str], Sequence[Fields]]:
    """Return {(merchant, kind): entries} of the master data that is there before the first bill, each key once."""
    known: dict[tuple[str, str], dict[str, Fields]] = defaultdict(dict)
    for one in screened:
        for kind, entries in one.scenario.known.items():
            for entry in numbered(entries, one.told.number):
                known[one.merchant, kind][entry["key"]] = entry
    return {place: list(entries.values()) for place, entries in known.items()}


def _make(dice: random.Random, screened: Screened, number: int, starts_at: float) -> DemoRejection:
    currency = dice.choice(EVERY)
    scenario = Scenario(
        name=screened.name,
        why=screened.why,
        order={**screened.order, "bill": {"number": f"B-{number}", **numbered(screened.bill, number)}},
        script=screened.script,
        said=screened.said,
        expected=screened.expected or _NO_END,
    )
    told = DemoOrder(
        number=number,
        scenario=scenario,
        merchant=screened.merchant,
        provider=provider_of(dice, currency),
        currency=currency,
        amounts=amounts_of(dice, currency),
        starts_at=starts_at,
    )
    return DemoRejection(scenario=screened, told=told)
