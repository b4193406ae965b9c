"""What a run is to come to, written down before it: an order, its payment's script, and how both must end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MERCHANT = "shop"
AMOUNT = "12.30"
CURRENCY = "EUR"
QUICK = "quick"
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`story` is every status that the merchant ever sees; `effects` is how often our effect is really done."""

    name: str
    story: tuple[str, ...]
    provider: str = QUICK
    script: Sequence[Mapping[str, object]] = ()
    effects: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> dict[str, Any]:
        return {
            "merchant": MERCHANT,
            "order": self.name,
            "provider": self.provider,
            "reference": self.name,
            "amount": AMOUNT,
            "currency": CURRENCY,
            **self.options,
        }

    @property
    def payment(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "reference": self.name,
            "amount": AMOUNT,
            "currency": CURRENCY,
            "script": list(self.script),
        }


def paying(count: int, *, after: float = 1.0, name: str = "paying", provider: str = QUICK) -> list[Plan]:
    """Customers who pay so many seconds after they came."""
    script = [{"after": after, "status": "paid"}]
    return [
        Plan(name=f"{name}-{number}", script=script, story=("NEW", "PAID"), provider=provider)
        for number in range(count)
    ]


def waiting(count: int, *, name: str = "waiting", provider: str = QUICK) -> list[Plan]:
    """Customers who pay when the test tells them to."""
    return [Plan(name=f"{name}-{number}", story=("NEW", "PAID"), provider=provider) for number in range(count)]


def leaving(count: int, *, after: int = 1, name: str = "leaving") -> list[Plan]:
    """Customers who never pay: their payments are canceled at their deadline, each once."""
    return [
        Plan(
            name=f"{name}-{number}",
            story=("NEW", "CANCELED"),
            effects=1,
            options={"cancellation_timeout": after},
        )
        for number in range(count)
    ]
