"""Amounts of rows, written as every face shows them."""

from collections.abc import Mapping
from typing import Any, Final

from domain.model.money import Currency

# How many decimals the amount of a case has: those of the transaction or the order that it is about. `c` is the case.
DIGITS_OF_CASE: Final = """
coalesce((SELECT v.digits FROM reversals v WHERE v.id = c.subject),
         (SELECT o.digits FROM orders o WHERE o.id = c.order_id), 0)
"""


def written(row: Mapping[str, Any], *amounts: str) -> dict[str, Any]:
    """Return a row with these amounts as texts, and without the `digits` of the `currency` that they are in."""
    currency = Currency(row["currency"], row["digits"])
    texts = {name: None if row[name] is None else currency.render(row[name]) for name in amounts}
    return {name: texts.get(name, value) for name, value in row.items() if name != "digits"}
