"""Settlement calendars: when a provider really moves the money, as a value."""

from dataclasses import dataclass
from datetime import date, time, tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementCalendar:
    """A provider settles at its cut-off, so many working days after a payment's day.

    `days_off` are weekend days and holidays, written out from `first` to `last`. A day outside of these may be either,
    so it is not to be taken for a working day.
    """

    zone: tzinfo
    cut_off: time  # by the clocks of `zone`
    days: int
    days_off: frozenset[date]
    first: date
    last: date
