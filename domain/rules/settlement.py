"""When a payment settles; after it the money is given back by a refund, and no longer by a void."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.model.errors import DomainError
from domain.model.settlement import SettlementCalendar

WITHOUT_CALENDAR: Final = timedelta(hours=24)
_DAY: Final = timedelta(days=1)


class BeyondHorizon(DomainError):
    """The calendar does not say whether this is a working day."""

    def __init__(self, day: date, calendar: SettlementCalendar) -> None:
        super().__init__(f"the settlement calendar covers {calendar.first} to {calendar.last}, and not {day}")
        self.day = day


def settlement_of(calendar: SettlementCalendar | None, occurred_at: datetime) -> datetime:
    """Return the moment (in UTC) at which what occurred then is settled, always later than it occurred.

    Raises:
        BeyondHorizon: a day that has to be looked at lies before or after what the calendar covers.
    """
    # Hours that pass, not hours on a clock: only in UTC are the two the same.
    occurred = occurred_at.astimezone(UTC)
    if calendar is None:
        return occurred + WITHOUT_CALENDAR
    day = _day_of(calendar, occurred)
    for _ in range(calendar.days):
        day = _working_day(calendar, day + _DAY)
    return _cut_off(calendar, day)


def _day_of(calendar: SettlementCalendar, occurred: datetime) -> date:
    """Return the first working day, from the local one on, whose cut-off is still to come."""
    day = _working_day(calendar, occurred.astimezone(calendar.zone).date())
    # More than once only where clocks skip midnight: the next day's cut-off can then fall into this day's last hour.
    while _cut_off(calendar, day) <= occurred:
        day = _working_day(calendar, day + _DAY)
    return day


def _working_day(calendar: SettlementCalendar, day: date) -> date:
    """Return the day itself, or the next one that is not off."""
    while True:
        if not calendar.first <= day <= calendar.last:
            raise BeyondHorizon(day, calendar)
        if day not in calendar.days_off:
            return day
        day += _DAY


def _cut_off(calendar: SettlementCalendar, day: date) -> datetime:
    """Return the day's cut-off in UTC: the earlier moment where clocks show that time twice, or skip it.

    Too early costs a refund in place of a void; too late would have us void what is settled.
    """
    local = datetime.combine(day, calendar.cut_off, tzinfo=calendar.zone)
    return min(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
