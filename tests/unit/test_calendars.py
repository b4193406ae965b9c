from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.bootstrap import Application
from adapters.calendars import calendar_of
from config.providers import SettlementSettings
from config.settings import Settings
from domain.model.settlement import SettlementCalendar
from domain.rules.settlement import BeyondHorizon, settlement_of

TODAY = date(2026, 11, 21)
MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6


def calendar_named(name: str | None, *, today: date = TODAY, zone: str = "Europe/London") -> SettlementCalendar:
    return calendar_of(SettlementSettings(time_zone=zone, cut_off=time(17), calendar=name), today=today)


def days_off(calendar: SettlementCalendar, year: int, *, but: tuple[int, ...] = (SATURDAY, SUNDAY)) -> list[str]:
    """Return month and day of the year's days off that are none of these weekdays."""
    return [f"{day:%m-%d}" for day in sorted(calendar.days_off) if day.year == year and day.weekday() not in but]


def weekend(calendar: SettlementCalendar) -> set[int]:
    """Return the weekdays on which no day of next year works."""
    year = [date(2027, 1, 1) + timedelta(days=number) for number in range(365)]
    return {day.weekday() for day in year} - {day.weekday() for day in year if day not in calendar.days_off}


class TestACalendarOfAMarket:
    # As the exchanges and the Eurosystem announced them.
    @pytest.mark.parametrize(
        ("market", "holidays"),
        [
            ("XNYS", "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25"),
            ("XLON", "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
            ("TAR", "01-01 04-03 04-06 05-01 12-25"),
        ],
    )
    def test_has_its_holidays_off(self, market: str, holidays: str) -> None:
        assert days_off(calendar_named(market), 2026) == holidays.split()

    def test_knows_when_one_that_falls_on_a_weekend_is_kept(self) -> None:
        # Juneteenth 2027 is a Saturday, Independence Day a Sunday, Christmas a Saturday.
        assert {"06-18", "07-05", "12-24"} <= set(days_off(calendar_named("XNYS"), 2027))


class TestACalendarOfACountry:
    def test_has_its_holidays_off(self) -> None:
        expected = "01-01 01-02 02-06 04-03 04-06 04-27 06-01 07-10 10-26 12-25 12-28"

        assert days_off(calendar_named("NZ"), 2026) == expected.split()

    def test_leaves_out_what_only_a_part_of_it_keeps(self) -> None:
        # Scotland does not keep Easter Monday, nor this bank holiday of August.
        assert not {"04-06", "08-31"} & set(days_off(calendar_named("GB"), 2026))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("US", {SATURDAY, SUNDAY}), ("SA", {FRIDAY, SATURDAY}), ("HK", {SUNDAY}), ("XHKG", {SATURDAY, SUNDAY})],
    )
    def test_has_its_own_weekend(self, name: str, expected: set[int]) -> None:
        assert weekend(calendar_named(name)) == expected

    def test_works_on_weekend_days_that_make_up_for_others(self) -> None:
        china = calendar_named("CN")

        assert date(2025, 1, 26) not in china.days_off  # the Sunday before the Spring Festival of 2025
        assert date(2025, 1, 19) in china.days_off


class TestACalendarWithoutAName:
    def test_has_saturdays_and_sundays_off_and_nothing_else(self) -> None:
        calendar = calendar_named(None)

        assert weekend(calendar) == {SATURDAY, SUNDAY}
        assert days_off(calendar, 2026) == []


class TestWhatACalendarCovers:
    @pytest.mark.parametrize("name", [None, "GB", "XNYS"])
    def test_is_last_year_to_five_years_ahead(self, name: str | None) -> None:
        calendar = calendar_named(name)

        assert (calendar.first, calendar.last) == (date(2025, 1, 1), date(2031, 12, 31))
        assert {day.year for day in calendar.days_off} == set(range(2025, 2032))

    @pytest.mark.parametrize(
        ("name", "today", "first", "last"),
        [
            ("XNYS", date(2098, 6, 1), date(2097, 1, 1), date(2100, 12, 31)),
            ("XECB", date(1999, 1, 1), date(1999, 1, 1), date(2004, 12, 31)),
        ],
    )
    def test_ends_where_no_holidays_are_known(self, name: str, today: date, first: date, last: date) -> None:
        calendar = calendar_named(name, today=today)

        assert (calendar.first, calendar.last) == (first, last)

    def test_is_an_error_beyond(self) -> None:
        with pytest.raises(BeyondHorizon):
            settlement_of(calendar_named("XLON"), datetime(2031, 12, 31, 12, tzinfo=UTC))


class TestTheProvidersFile:
    def test_reaches_the_rules(self, tmp_path: Path) -> None:
        file = tmp_path / "providers.toml"
        file.write_text(
            '[providers.acme]\nbase_url = "https://pay.example"\n'
            '[providers.acme.settlement]\ntime_zone = "Europe/London"\ncut_off = "23:00"\ndays = 2\ncalendar = "XLON"\n'
            '[providers.plain]\nbase_url = "https://pay.example"\n'
        )
        settings = Settings(home=tmp_path, providers=file)

        application = Application(settings, database_url="postgresql://nowhere/", broker_url="redis://nowhere")
        acme, plain = application.policies["acme"].settlement, application.policies["plain"].settlement
        application.close()

        assert plain is None
        assert acme is not None
        assert (acme.zone, acme.cut_off, acme.days) == (ZoneInfo("Europe/London"), time(23), 2)
        assert acme.first < datetime.now(UTC).date() < acme.last
