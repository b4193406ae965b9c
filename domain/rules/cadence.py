"""When to ask next: cadences are data, and so is their jitter."""

from datetime import timedelta

from domain.model.policy import Cadence

_SPREAD = 2**32


def delay_at(cadence: Cadence, step: int, *, seed: int) -> timedelta | None:
    """Return the wait before inquiry number `step` (from 0), or None past the last stage.

    The jitter is drawn from `seed` and `step` alone, so that a plan can be explained after the fact,
    and orders that were registered together drift apart.
    """
    left = step
    for stage in cadence.stages:
        if left < stage.times:
            return _jittered(stage.delay, cadence.jitter, seed=seed, step=step)
        left -= stage.times
    if cadence.repeats:
        return _jittered(cadence.stages[-1].delay, cadence.jitter, seed=seed, step=step)
    return None


def length(cadence: Cadence) -> timedelta:
    """How long the stages last without jitter."""
    return sum((stage.delay * stage.times for stage in cadence.stages), timedelta())


def _jittered(delay: timedelta, jitter: float, *, seed: int, step: int) -> timedelta:
    if not jitter:
        return delay
    draw = (seed * 2654435761 + step * 40503 * 65537 + (seed >> 7) * 97) % _SPREAD / _SPREAD
    return delay * (1 + jitter * (2 * draw - 1))
