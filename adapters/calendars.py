"""Settlement calendars from the providers' file: the package `holidays` knows the days off."""

from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import holidays

from config.providers import SettlementSettings
from domain.model.settlement import SettlementCalendar

_YEARS_BACK: Final = 1
# Bootstrap makes a calendar once, so further than any process lives; but not so far that festivals by the moon are
# no longer known.
_YEARS_AHEAD: Final = 5
_SATURDAY: Final = 5


def calendar_of(settings: SettlementSettings, *, today: date) -> SettlementCalendar:
    """Return the provider's calendar, from last year on and to five years ahead."""
    first, last = today.year - _YEARS_BACK, today.year + _YEARS_AHEAD
    known = None if settings.calendar is None else _holidays_of(settings.calendar)
    if known is not None:
        # Of other years the package says "no holidays", and means that it does not know.
        first, last = max(first, known.start_year), min(last, known.end_year)
    covered = _days(first, last)
    return SettlementCalendar(
        zone=ZoneInfo(settings.time_zone),
        cut_off=settings.cut_off,
        days=settings.days,
        days_off=frozenset(day for day in covered if not _is_working_day(known, day)),
        first=date(first, 1, 1),
        last=date(last, 12, 31),
    )


def _holidays_of(name: str) -> holidays.HolidayBase:
    """Return the days off of a market, or of a country: those that hold in all its parts."""
    if name in holidays.list_supported_financial():
        return holidays.financial_holidays(name)
    return holidays.country_holidays(name)


def _is_working_day(known: holidays.HolidayBase | None, day: date) -> bool:
    """Whether it is one; a weekend day can be, where it makes up for a bridged one."""
    return day.weekday() < _SATURDAY if known is None else known.is_working_day(day)


def _days(first_year: int, last_year: int) -> list[date]:
    start = date(first_year, 1, 1)
    return [start + timedelta(days=number) for number in range((date(last_year + 1, 1, 1) - start).days)]
