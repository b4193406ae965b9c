from datetime import timedelta

import pytest

from domain.rules.cadence import delay_at, length
from tests.builders import MINUTES, SECONDS, a_cadence

STAGES = a_cadence((10 * SECONDS, 3), (30 * SECONDS, 2))


class TestACadence:
    def test_goes_through_its_stages(self) -> None:
        delays = [delay_at(STAGES, step, seed=1) for step in range(6)]

        assert delays == [10 * SECONDS] * 3 + [30 * SECONDS] * 2 + [None]

    def test_repeats_its_last_delay_if_it_is_to(self) -> None:
        repeating = a_cadence((60 * SECONDS, 2), (5 * MINUTES, 1), repeats=True)

        assert delay_at(repeating, 500, seed=1) == 5 * MINUTES

    def test_says_how_long_it_lasts(self) -> None:
        assert length(STAGES) == 90 * SECONDS

    @pytest.mark.parametrize("seed", range(0, 5000, 37))
    def test_keeps_its_jitter_within_its_bounds(self, seed: int) -> None:
        jittered = a_cadence((100 * SECONDS, 50), jitter=0.2)

        delays = [delay_at(jittered, step, seed=seed) or timedelta() for step in range(50)]

        assert min(delays) >= 80 * SECONDS
        assert max(delays) <= 120 * SECONDS

    def test_draws_the_same_jitter_for_the_same_step(self) -> None:
        jittered = a_cadence((100 * SECONDS, 5), jitter=0.2)

        assert delay_at(jittered, 3, seed=9) == delay_at(jittered, 3, seed=9)

    def test_lets_orders_of_the_same_second_drift_apart(self) -> None:
        jittered = a_cadence((100 * SECONDS, 5), jitter=0.2)

        assert len({delay_at(jittered, 0, seed=seed) for seed in range(1000)}) > 900
