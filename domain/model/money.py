"""Currencies and exact amounts."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from functools import reduce
from typing import Final

from domain.model.errors import DomainError

# What every face accepts: digits and at most one point; no sign, no exponent, no NaN, no white space.
AMOUNT: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
ZERO: Final = Decimal(0)
# Python's own context keeps 28 digits and rounds in silence; an amount has up to 38, and none is ever rounded.
_EXACT: Final = Context(prec=76, traps=[Inexact])


class UnknownCurrency(DomainError):
    def __init__(self, code: str) -> None:
        super().__init__(f"currency {code!r} is known neither to ISO 4217 nor to the provider")


class InvalidAmount(DomainError):
    """The text is no amount of this currency."""


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its code, with how many decimals its smallest unit has."""

    code: str
    digits: int

    def amount(self, text: str) -> Decimal:
        """Return the amount that `text` writes in major units; zero is an amount.

        Raises:
            InvalidAmount: it is not a plain decimal, or has more decimals than the currency. Never rounded.
        """
        if not AMOUNT.fullmatch(text):
            raise InvalidAmount(f"{text[:40]!r} is not a decimal of the form 12.30")
        _, _, decimals = text.partition(".")
        if len(decimals) > self.digits:
            raise InvalidAmount(f"{text!r} has more decimals than {self.code} has ({self.digits})")
        return Decimal(text)

    def render(self, amount: Decimal) -> str:
        """Write an amount with all the decimals of the currency, as every face shows it; none is cut off."""
        return f"{amount:.{max(self.digits, decimals_of(amount))}f}"


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts of one currency exactly."""
    return reduce(_EXACT.add, amounts, ZERO)


def difference(amount: Decimal, other: Decimal) -> Decimal:
    """Return `amount - other` exactly."""
    return _EXACT.subtract(amount, other)


def decimals_of(amount: Decimal) -> int:
    """Count the decimals that an amount really uses: 12.3000 uses one."""
    exponent = amount.normalize(_EXACT).as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def currency_of(code: str, known: Mapping[str, Currency]) -> Currency:
    """Return the currency of that code.

    Raises:
        UnknownCurrency: no table lists it.
    """
    try:
        return known[code]
    except KeyError:
        raise UnknownCurrency(code) from None
