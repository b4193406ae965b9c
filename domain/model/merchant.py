"""Merchants, and where they hear of things."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from domain.model.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    id: str
    name: str
    email: str | None = None
    cancellation_timeout: timedelta | None = None
    checkout_timeout: timedelta | None = None
    tolerance: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a merchant's callbacks go. `secrets` are live at once while one replaces another."""

    id: int
    merchant: str
    url: str
    secrets: tuple[str, ...]
    enabled: bool
    types: frozenset[str] | None  # None: every type of event
