from domain.rules.waiting import next_try
from tests.builders import HOURS, MINUTES, NOON, SECONDS


class TestACommandThatWaitsForItsOrder:
    def test_is_tried_again_within_seconds_at_first(self) -> None:
        due = next_try(NOON, NOON, step=0)

        assert due is not None
        assert due.at == NOON + 5 * SECONDS

    def test_is_tried_less_often_later(self) -> None:
        due = next_try(NOON, NOON + HOURS, step=40)

        assert due is not None
        assert due.at == NOON + HOURS + 15 * MINUTES

    def test_is_tried_once_more_at_the_end_of_its_day(self) -> None:
        due = next_try(NOON, NOON + 23 * HOURS + 55 * MINUTES, step=90)

        assert due is not None
        assert due.at == NOON + 24 * HOURS

    def test_is_refused_after_a_day(self) -> None:
        assert next_try(NOON, NOON + 24 * HOURS, step=91) is None
