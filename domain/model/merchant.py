"""Merchants, and where they hear of things."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from domain.model.master_data import MasterKind
from domain.model.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    id: str
    name: str
    email: str | None = None
    cancellation_timeout: timedelta | None = None
    checkout_timeout: timedelta | None = None
    tolerance: Decimal = ZERO
    checks: frozenset[MasterKind] = frozenset()  # of bills against master data
    sanity_queue: bool = False  # what is rejected and can be mended waits; else it ends there
    auto_retrigger: bool = False  # new master data tries again what waited for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a merchant's callbacks go. `secrets` are live at once while one replaces another."""

    id: int
    merchant: str
    url: str
    secrets: tuple[str, ...]
    enabled: bool
    types: frozenset[str] | None  # None: every type of event
    waits: tuple[timedelta, ...] | None = None  # between tries, where they are not the usual ones
