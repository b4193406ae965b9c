"""These moments were worked out by hand, from zone offsets, weekdays and holidays of the years 2026 to 2028."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.model.settlement import SettlementCalendar
from domain.rules.settlement import BeyondHorizon, settlement_of

FIRST, LAST = date(2026, 1, 1), date(2028, 12, 31)
ALL_DAYS: Final = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
SATURDAY_AND_SUNDAY: Final = (5, 6)
FRIDAY_AND_SATURDAY: Final = (4, 5)


def a_calendar(
    zone: str,
    cut_off: str,
    *,
    days: int = 1,
    weekend: Iterable[int] = SATURDAY_AND_SUNDAY,
    holidays: Iterable[str] = (),
) -> SettlementCalendar:
    weekend_days = {day for day in ALL_DAYS if day.weekday() in set(weekend)}
    return SettlementCalendar(
        zone=ZoneInfo(zone),
        cut_off=time.fromisoformat(cut_off),
        days=days,
        days_off=frozenset(weekend_days | {date.fromisoformat(day) for day in holidays}),
        first=FIRST,
        last=LAST,
    )


def utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment + "Z")


NEW_YORK = a_calendar(
    "America/New_York",
    "17:00",
    holidays=["2026-07-03", "2026-11-26", "2026-12-25", "2027-01-01"],
)
LONDON = a_calendar(
    "Europe/London",
    "23:00",
    holidays=["2026-04-03", "2026-04-06", "2026-12-25", "2026-12-28", "2027-01-01"],
)
KOLKATA = a_calendar("Asia/Kolkata", "18:00", holidays=["2026-01-26", "2026-03-03", "2026-10-02"])
AUCKLAND = a_calendar(
    "Pacific/Auckland",
    "16:30",
    holidays=["2026-04-03", "2026-04-06", "2026-12-25", "2026-12-28", "2027-01-01", "2027-01-04"],
)
RIYADH = a_calendar("Asia/Riyadh", "17:00", weekend=FRIDAY_AND_SATURDAY, holidays=["2026-09-23"])


class TestAPaymentSettlesADayLater:
    @pytest.mark.parametrize(
        ("calendar", "occurred_at", "settles_at"),
        [
            pytest.param(NEW_YORK, "2026-06-10T15:00", "2026-06-11T21:00", id="New York, before the cut-off"),
            pytest.param(NEW_YORK, "2026-06-10T20:59:59.999999", "2026-06-11T21:00", id="a microsecond before it"),
            pytest.param(NEW_YORK, "2026-06-10T21:00", "2026-06-12T21:00", id="exactly at it"),
            pytest.param(NEW_YORK, "2026-06-11T02:00", "2026-06-12T21:00", id="in the evening, in UTC the next day"),
            pytest.param(NEW_YORK, "2026-06-12T20:00", "2026-06-15T21:00", id="on a Friday"),
            pytest.param(NEW_YORK, "2026-06-12T22:00", "2026-06-16T21:00", id="late on a Friday"),
            pytest.param(NEW_YORK, "2026-06-13T12:00", "2026-06-16T21:00", id="on a Saturday"),
            pytest.param(NEW_YORK, "2026-06-14T23:00", "2026-06-16T21:00", id="on a Sunday"),
            pytest.param(LONDON, "2026-01-14T12:00", "2026-01-15T23:00", id="London in winter"),
            pytest.param(LONDON, "2026-07-15T12:00", "2026-07-16T22:00", id="London in summer"),
            pytest.param(LONDON, "2026-07-15T22:00", "2026-07-17T22:00", id="in summer, exactly at the cut-off"),
            pytest.param(LONDON, "2026-07-15T23:30", "2026-07-17T22:00", id="in summer, past midnight"),
            pytest.param(KOLKATA, "2026-06-08T12:29:59.999999", "2026-06-09T12:30", id="Kolkata, just before"),
            pytest.param(KOLKATA, "2026-06-08T12:30", "2026-06-10T12:30", id="Kolkata, exactly at the cut-off"),
            pytest.param(KOLKATA, "2026-06-07T18:45", "2026-06-09T12:30", id="Kolkata, Monday, in UTC a Sunday"),
            pytest.param(AUCKLAND, "2026-06-14T20:00", "2026-06-16T04:30", id="Auckland, Monday, in UTC a Sunday"),
            pytest.param(RIYADH, "2026-06-11T13:00", "2026-06-14T14:00", id="Riyadh, on a Thursday"),
            pytest.param(RIYADH, "2026-06-11T14:00", "2026-06-15T14:00", id="Riyadh, late on a Thursday"),
            pytest.param(RIYADH, "2026-06-12T10:00", "2026-06-15T14:00", id="Riyadh, on a Friday"),
            pytest.param(RIYADH, "2026-06-13T10:00", "2026-06-15T14:00", id="Riyadh, on a Saturday"),
            pytest.param(RIYADH, "2026-06-14T10:00", "2026-06-15T14:00", id="Riyadh, on a Sunday"),
        ],
    )
    def test_at_the_cut_off(self, calendar: SettlementCalendar, occurred_at: str, settles_at: str) -> None:
        assert settlement_of(calendar, utc(occurred_at)) == utc(settles_at)

    @pytest.mark.parametrize(
        ("calendar", "occurred_at", "settles_at"),
        [
            pytest.param(NEW_YORK, "2026-07-02T20:00", "2026-07-06T21:00", id="a holiday that makes a long weekend"),
            pytest.param(NEW_YORK, "2026-07-03T15:00", "2026-07-07T21:00", id="on that holiday"),
            pytest.param(NEW_YORK, "2026-11-25T21:00", "2026-11-27T22:00", id="a holiday on the day of settling"),
            pytest.param(NEW_YORK, "2026-07-31T20:00", "2026-08-03T21:00", id="a month's end"),
            pytest.param(NEW_YORK, "2026-12-31T21:00", "2027-01-04T22:00", id="a year's end"),
            pytest.param(NEW_YORK, "2026-12-31T22:00", "2027-01-05T22:00", id="a year's end, at the cut-off"),
            pytest.param(LONDON, "2026-04-02T12:00", "2026-04-07T22:00", id="Easter"),
            pytest.param(LONDON, "2028-02-28T12:00", "2028-02-29T23:00", id="a leap day"),
            pytest.param(LONDON, "2028-02-29T12:00", "2028-03-01T23:00", id="from a leap day on"),
            pytest.param(KOLKATA, "2026-10-01T10:00", "2026-10-05T12:30", id="Gandhi's birthday"),
            pytest.param(KOLKATA, "2026-01-24T10:00", "2026-01-28T12:30", id="weekend and Republic Day"),
            pytest.param(AUCKLAND, "2026-12-31T03:00", "2027-01-05T03:30", id="New Year in Auckland"),
            pytest.param(RIYADH, "2026-09-22T10:00", "2026-09-24T14:00", id="National Day in Riyadh"),
        ],
    )
    def test_over_holidays_and_ends(self, calendar: SettlementCalendar, occurred_at: str, settles_at: str) -> None:
        assert settlement_of(calendar, utc(occurred_at)) == utc(settles_at)

    @pytest.mark.parametrize(
        ("calendar", "occurred_at", "settles_at"),
        [
            pytest.param(NEW_YORK, "2026-03-06T21:59", "2026-03-09T21:00", id="New York springs forward"),
            pytest.param(
                NEW_YORK, "2026-03-06T22:00", "2026-03-10T21:00", id="New York springs forward, at the cut-off"
            ),
            pytest.param(NEW_YORK, "2026-10-30T20:59", "2026-11-02T22:00", id="New York falls back"),
            pytest.param(NEW_YORK, "2026-10-30T21:00", "2026-11-03T22:00", id="New York falls back, at the cut-off"),
            pytest.param(LONDON, "2026-03-27T22:30", "2026-03-30T22:00", id="London springs forward"),
            pytest.param(LONDON, "2026-10-23T21:30", "2026-10-26T23:00", id="London falls back"),
            pytest.param(AUCKLAND, "2026-09-25T04:00", "2026-09-28T03:30", id="Auckland springs forward"),
            pytest.param(
                AUCKLAND, "2026-09-25T04:30", "2026-09-29T03:30", id="Auckland springs forward, at the cut-off"
            ),
            pytest.param(AUCKLAND, "2026-04-02T02:00", "2026-04-07T04:30", id="Auckland falls back, over Easter"),
        ],
    )
    def test_by_the_clocks_of_its_zone(self, calendar: SettlementCalendar, occurred_at: str, settles_at: str) -> None:
        assert settlement_of(calendar, utc(occurred_at)) == utc(settles_at)


class TestThePlacesDays:
    @pytest.mark.parametrize(
        ("calendar", "days", "occurred_at", "settles_at"),
        [
            pytest.param(LONDON, 0, "2026-07-15T12:00", "2026-07-15T22:00", id="none: the same evening"),
            pytest.param(LONDON, 0, "2026-07-18T12:00", "2026-07-20T22:00", id="none, on a Saturday"),
            pytest.param(LONDON, 0, "2026-07-17T22:00", "2026-07-20T22:00", id="none, late on a Friday"),
            pytest.param(LONDON, 2, "2026-12-23T12:00", "2026-12-29T23:00", id="two, over Christmas"),
            pytest.param(NEW_YORK, 2, "2028-02-25T20:00", "2028-02-29T22:00", id="two, to a leap day"),
            pytest.param(KOLKATA, 2, "2026-02-27T10:00", "2026-03-04T12:30", id="two, over a month's end and Holi"),
            pytest.param(LONDON, 5, "2026-12-30T12:00", "2027-01-07T23:00", id="five, over New Year"),
        ],
    )
    def test_are_working_days(self, calendar: SettlementCalendar, days: int, occurred_at: str, settles_at: str) -> None:
        assert settlement_of(replace(calendar, days=days), utc(occurred_at)) == utc(settles_at)


class TestACutOffThatClocksShowTwiceOrSkip:
    @pytest.mark.parametrize(
        ("zone", "cut_off", "occurred_at", "settles_at"),
        [
            pytest.param("America/New_York", "02:30", "2026-03-07T20:00", "2026-03-08T06:30", id="skipped"),
            pytest.param(
                "America/New_York", "02:30", "2026-03-08T06:29:59.999999", "2026-03-08T06:30", id="just before"
            ),
            pytest.param("America/New_York", "02:30", "2026-03-08T06:30", "2026-03-09T06:30", id="exactly then"),
            pytest.param("America/New_York", "02:30", "2026-03-08T06:45", "2026-03-09T06:30", id="then, at 01:45"),
            pytest.param("America/New_York", "01:30", "2026-11-01T05:29:59.999999", "2026-11-01T05:30", id="twice"),
            pytest.param("America/New_York", "01:30", "2026-11-01T05:30", "2026-11-02T06:30", id="the first time"),
            pytest.param("America/New_York", "01:30", "2026-11-01T06:15", "2026-11-02T06:30", id="at the second 01:15"),
            pytest.param("Europe/London", "01:30", "2026-03-29T00:15", "2026-03-29T00:30", id="skipped in London"),
            pytest.param("Europe/London", "01:30", "2026-03-29T00:30", "2026-03-30T00:30", id="London, exactly then"),
            pytest.param("Europe/London", "01:30", "2026-10-25T00:10", "2026-10-25T00:30", id="twice in London"),
            pytest.param("Europe/London", "01:30", "2026-10-25T01:10", "2026-10-26T01:30", id="London, second 01:10"),
            pytest.param("Pacific/Auckland", "02:30", "2026-09-26T13:00", "2026-09-26T13:30", id="skipped in Auckland"),
            pytest.param("Pacific/Auckland", "02:30", "2026-09-26T14:00", "2026-09-27T13:30", id="Auckland, after it"),
            pytest.param("Pacific/Auckland", "02:30", "2026-04-04T13:29", "2026-04-04T13:30", id="twice in Auckland"),
            pytest.param(
                "Pacific/Auckland", "02:30", "2026-04-04T14:15", "2026-04-05T14:30", id="Auckland, 02:15 again"
            ),
            # Egypt changes its clocks at midnight before a Friday, so that even days are involved.
            pytest.param("Africa/Cairo", "00:30", "2026-04-23T20:00", "2026-04-23T21:30", id="on the day before"),
            pytest.param(
                "Africa/Cairo", "00:30", "2026-04-23T21:45", "2026-04-24T21:30", id="after both days' cut-offs"
            ),
        ],
    )
    def test_is_the_earlier_moment(self, zone: str, cut_off: str, occurred_at: str, settles_at: str) -> None:
        calendar = a_calendar(zone, cut_off, days=0, weekend=())

        assert settlement_of(calendar, utc(occurred_at)) == utc(settles_at)

    @pytest.mark.parametrize(
        ("occurred_at", "settles_at"),
        [
            pytest.param("2026-10-29T20:00", "2026-10-29T20:30", id="before the first"),
            pytest.param("2026-10-29T20:45", "2026-11-01T21:30", id="after the first"),
            pytest.param("2026-10-29T21:15", "2026-11-01T21:30", id="between the two, at the second 23:15"),
        ],
    )
    def test_before_a_weekend(self, occurred_at: str, settles_at: str) -> None:
        cairo = a_calendar("Africa/Cairo", "23:30", days=0, weekend=FRIDAY_AND_SATURDAY)

        assert settlement_of(cairo, utc(occurred_at)) == utc(settles_at)


class TestBeyondTheHorizon:
    @pytest.mark.parametrize(
        ("occurred_at", "first_unknown"),
        [
            pytest.param("2028-12-29T20:00", date(2029, 1, 1), id="it settles after the last day"),
            pytest.param("2028-12-29T22:00", date(2029, 1, 1), id="its day is after the last"),
            pytest.param("2029-02-01T12:00", date(2029, 2, 1), id="it occurred after the last day"),
            pytest.param(
                "2026-01-01T04:00", date(2025, 12, 31), id="it occurred before the first day, by local clocks"
            ),
        ],
    )
    def test_nothing_is_taken_for_a_working_day(self, occurred_at: str, first_unknown: date) -> None:
        with pytest.raises(BeyondHorizon, match="covers 2026-01-01 to 2028-12-31") as refused:
            settlement_of(NEW_YORK, utc(occurred_at))

        assert refused.value.day == first_unknown

    def test_the_last_covered_day_still_settles(self) -> None:
        assert settlement_of(replace(NEW_YORK, days=0), utc("2028-12-29T20:00")) == utc("2028-12-29T22:00")

    def test_the_first_covered_day_is_one(self) -> None:
        assert settlement_of(NEW_YORK, utc("2026-01-01T05:00")) == utc("2026-01-02T22:00")


class TestWithoutACalendar:
    def test_a_payment_settles_a_day_after_it_occurred(self) -> None:
        assert settlement_of(None, utc("2026-06-12T20:00")) == utc("2026-06-13T20:00")

    def test_the_day_has_24_hours_even_where_clocks_change(self) -> None:
        spring = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/London"))

        settles_at = settlement_of(None, spring)

        assert (settles_at, settles_at.tzinfo) == (utc("2026-03-29T12:00"), UTC)


class TestTheZoneOfTheMoment:
    def test_changes_nothing(self) -> None:
        moment = utc("2026-06-10T21:00")

        assert settlement_of(NEW_YORK, moment.astimezone(NEW_YORK.zone)) == settlement_of(NEW_YORK, moment)

    def test_is_always_utc_in_what_comes_back(self) -> None:
        assert settlement_of(NEW_YORK, utc("2026-06-10T21:00")).tzinfo is UTC


# Where clocks skip an hour in the night, but never midnight: there a cut-off keeps to its day.
ZONES = st.sampled_from(
    [
        "America/New_York",
        "Europe/London",
        "Asia/Kolkata",
        "Pacific/Auckland",
        "Australia/Lord_Howe",
    ]
)
AROUND_MIDNIGHT = st.sampled_from(["Africa/Cairo", "Asia/Beirut", "America/Santiago"])
# Half of the moments lie within two days of a change of clocks somewhere.
CHANGES = st.sampled_from(
    [
        utc(moment)
        for moment in [
            "2026-03-08T07:00",
            "2026-11-01T06:00",
            "2026-03-29T01:00",
            "2026-10-25T01:00",
            "2026-04-04T14:00",
            "2026-09-26T14:00",
            "2026-04-23T22:00",
            "2026-10-29T21:00",
            "2026-09-06T04:00",
            "2026-04-05T03:00",
        ]
    ]
)
MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 1, 2), datetime(2028, 6, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as hypothesis takes them
    st.builds(lambda change, seconds: change + timedelta(seconds=seconds), CHANGES, st.integers(-2 * 86400, 2 * 86400)),
)


@st.composite
def calendars(draw: st.DrawFn, zones: st.SearchStrategy[str]) -> SettlementCalendar:
    weekend = draw(st.sampled_from([(), SATURDAY_AND_SUNDAY, FRIDAY_AND_SATURDAY, (6,)]))
    holidays = draw(st.sets(st.sampled_from(ALL_DAYS[:300]), max_size=40))
    quarter = draw(st.integers(0, 95))
    calendar = a_calendar(
        draw(zones), f"{quarter // 4:02}:{quarter % 4 * 15:02}", days=draw(st.integers(0, 5)), weekend=weekend
    )
    return replace(calendar, days_off=calendar.days_off | holidays)


def seen_there(calendar: SettlementCalendar, moment: datetime) -> datetime:
    return moment.astimezone(calendar.zone)


def skips_its_cut_off(calendar: SettlementCalendar, day: date) -> bool:
    local = datetime.combine(day, calendar.cut_off, tzinfo=calendar.zone)
    return seen_there(calendar, local.astimezone(UTC)).time() != calendar.cut_off


class TestWheneverSomethingOccurs:
    @settings(deadline=None)
    @given(calendar=calendars(st.one_of(ZONES, AROUND_MIDNIGHT)), occurred_at=MOMENTS)
    def test_it_settles_after_it_occurred(self, calendar: SettlementCalendar, occurred_at: datetime) -> None:
        assert settlement_of(calendar, occurred_at) > occurred_at

    @settings(deadline=None)
    @given(calendar=calendars(ZONES), occurred_at=MOMENTS)
    def test_it_settles_on_no_day_off(self, calendar: SettlementCalendar, occurred_at: datetime) -> None:
        assert seen_there(calendar, settlement_of(calendar, occurred_at)).date() not in calendar.days_off

    @settings(deadline=None)
    @given(calendar=calendars(ZONES), occurred_at=MOMENTS)
    def test_it_settles_at_the_first_cut_off_of_a_day(
        self, calendar: SettlementCalendar, occurred_at: datetime
    ) -> None:
        settles_at = seen_there(calendar, settlement_of(calendar, occurred_at))

        assert settles_at.time() == calendar.cut_off or skips_its_cut_off(calendar, settles_at.date())
        assert settles_at.fold == 0

    @settings(deadline=None)
    @given(calendar=calendars(st.one_of(ZONES, AROUND_MIDNIGHT)), moments=st.tuples(MOMENTS, MOMENTS))
    def test_what_occurs_later_settles_no_earlier(
        self, calendar: SettlementCalendar, moments: tuple[datetime, datetime]
    ) -> None:
        earlier, later = sorted(moments)

        assert settlement_of(calendar, earlier) <= settlement_of(calendar, later)

    @settings(deadline=None)
    @given(calendar=calendars(ZONES), occurred_at=MOMENTS)
    def test_a_day_more_is_the_next_working_day(self, calendar: SettlementCalendar, occurred_at: datetime) -> None:
        longer = replace(calendar, days=calendar.days + 1)

        before = seen_there(calendar, settlement_of(calendar, occurred_at)).date()
        after = seen_there(longer, settlement_of(longer, occurred_at)).date()

        between = {before + timedelta(days=number) for number in range(1, (after - before).days)}
        assert before < after
        assert between <= calendar.days_off
