"""Which currencies there are: ISO 4217's, and those that a provider's table adds."""

from collections.abc import Mapping
from functools import cache

import iso4217

from domain.model.money import Currency


@cache
def of_iso_4217() -> Mapping[str, Currency]:
    """Return {code: currency} of every currency that has a smallest unit; metals and funds have none."""
    known = ((str(currency.code), currency.exponent) for currency in iso4217.Currency)
    return {code: Currency(code, int(digits)) for code, digits in known if digits is not None}


def with_own(digits: Mapping[str, int]) -> Mapping[str, Currency]:
    """Return ISO 4217's table with a provider's own {code: digits} beside it; ISO's digits are not overruled."""
    own = {code: Currency(code, number) for code, number in digits.items()}
    return {**own, **of_iso_4217()}
