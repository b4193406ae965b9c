from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.cron import Cron

MONDAY = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


def latest(text: str, now: datetime = MONDAY) -> str:
    return Cron.parse(text).latest(now).strftime("%Y-%m-%d %H:%M")


class TestTheLatestTimeOfAPlan:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("* * * * *", "2026-03-02 12:00"),
            ("17 3 * * *", "2026-03-02 03:17"),
            ("17 13 * * *", "2026-03-01 13:17"),
            ("*/15 * * * *", "2026-03-02 12:00"),
            ("5-50/20 11 * * *", "2026-03-02 11:45"),
            ("0,30 9-11 * * *", "2026-03-02 11:30"),
            ("0 0 1 * *", "2026-03-01 00:00"),
            ("0 0 * 1 *", "2026-01-31 00:00"),
            ("0 0 * * 0", "2026-03-01 00:00"),
            ("0 0 * * 7", "2026-03-01 00:00"),
            ("0 0 * * 5", "2026-02-27 00:00"),
            ("0 0 28 * 5", "2026-02-28 00:00"),
            ("0 0 29 2 *", "2024-02-29 00:00"),
        ],
    )
    def test_is_the_one_before_now(self, text: str, expected: str) -> None:
        assert latest(text) == expected

    def test_is_this_very_minute(self) -> None:
        assert latest("0 12 * * *", MONDAY.replace(second=0)) == "2026-03-02 12:00"

    def test_is_reckoned_in_utc(self) -> None:
        there = MONDAY.astimezone(timezone(timedelta(hours=9)))

        assert Cron.parse("0 12 * * *").latest(there) == MONDAY.replace(second=0)

    @given(st.integers(0, 2**32).map(lambda seconds: MONDAY + timedelta(seconds=seconds)))
    def test_never_lies_ahead_and_stays_until_the_next(self, now: datetime) -> None:
        cron = Cron.parse("17 3 * * *")

        before = cron.latest(now)

        assert timedelta() <= now - before < timedelta(days=1)
        assert (before.hour, before.minute, before.second) == (3, 17, 0)
        assert cron.latest(before) == before


class TestAnExpression:
    @pytest.mark.parametrize(
        "wrong",
        ["", "daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
         "5-3 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *", "0 0 30 2 *", "@daily"],
    )  # fmt: skip
    def test_is_refused_if_it_is_none(self, wrong: str) -> None:
        with pytest.raises(ValueError, match=r"five fields|no number|within|never comes"):
            Cron.parse(wrong)
