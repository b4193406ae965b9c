"""When something is to happen over and over, as cron says it: minute, hour, day, month, day of the week, in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

# In place of an expression: it does not happen at all.
NEVER: Final = "never"

_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART: Final = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?", re.ASCII)
# The longest that an expression which matches at all may lie behind: a 29th of February, over the year 2100.
_LONGEST: Final = timedelta(days=8 * 366)


@dataclass(frozen=True, slots=True)
class Cron:
    """A plan like `17 3 * * *`: every day at 3:17."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read an expression of five fields.

        Raises:
            ValueError: it is none, or names a day that never comes.
        """
        fields = text.split()
        if len(fields) != len(_RANGES):
            raise ValueError("should have five fields like cron's, as in 17 3 * * *")
        minutes, hours, days, months, weekdays = (
            _numbers(field, *bounds) for field, bounds in zip(fields, _RANGES, strict=True)
        )
        cron = cls(text, minutes, hours, days, months, frozenset(day % 7 for day in weekdays))
        cron.latest(datetime(2400, 12, 31, tzinfo=UTC))
        return cron

    def latest(self, now: datetime) -> datetime:
        """Return the last moment up to `now` at which it happens.

        Raises:
            ValueError: there was none for years.
        """
        now = now.astimezone(UTC)
        day = now.replace(hour=23, minute=59, second=0, microsecond=0)
        while day > now - _LONGEST:
            if self._is_on(day):
                for moment in self._moments_of(day):
                    if moment <= now:
                        return moment
            day -= timedelta(days=1)
        raise ValueError("names a day that never comes")

    def _is_on(self, day: datetime) -> bool:
        # As cron has it: where both are given, either will do.
        on_date, on_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fields = self.text.split()
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        return day.month in self.months and (on_date or on_weekday if either else on_date and on_weekday)

    def _moments_of(self, day: datetime) -> list[datetime]:
        return [
            day.replace(hour=hour, minute=minute)
            for hour in sorted(self.hours, reverse=True)
            for minute in sorted(self.minutes, reverse=True)
        ]


def _numbers(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        read = _PART.fullmatch(part)
        if read is None:
            raise ValueError(f"{part!r} is no number, range or step of cron's")
        span, step = read[1], int(read[2] or 1)
        first, _, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = int(last) if last else high if span == "*" or read[2] else start
        if not (low <= start <= end <= high and step):
            raise ValueError(f"{part!r} does not lie within {low} to {high}")
        found.update(range(start, end + 1, step))
    return frozenset(found)
