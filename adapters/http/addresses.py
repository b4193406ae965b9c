"""Where things are found: the addresses that answers point at."""

from typing import Final
from urllib.parse import quote, urlencode

PREFIX: Final = "/v1"


def address_of(order: str) -> str:
    return f"{PREFIX}/orders/{_part(order)}"


def address_of_timeout(provider: str, reference: str) -> str:
    return f"{PREFIX}/timeouts/{_part(reference)}?{urlencode({'provider': provider})}"


def address_of_rejected(rejection: int | str) -> str:
    return f"{PREFIX}/rejected-transactions/{rejection}"


def address_of_retrigger(name: str) -> str:
    return f"{PREFIX}/retriggers/{_part(name)}"


def address_of_master_data(kind: str) -> str:
    return f"{PREFIX}/master-data/{kind}"


def named(address: str, merchant: str) -> str:
    """Return the address as an operator has to ask it: with whose thing it is."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({'merchant': merchant})}"


def _part(name: str) -> str:
    """Return a name as it stands in an address."""
    return quote(name, safe="")
