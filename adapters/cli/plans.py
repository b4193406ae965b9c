"""What `why` says of any subject: what is planned for it, by which step of a cadence, and what is in its way."""

from typing import Any, Final

from adapters.cli.backlog import why_held
from adapters.cli.output import text
from domain.model.policy import Cadence

_MEANING: Final = {
    "void": "the payment is voided at the provider, under the recorded key",
    "cancel": "the payment is canceled at the provider, under the recorded key",
    "confirm": "the provider is asked what came of the cancel or void",
    "reverse": "the provider is asked about the transaction that timed out",
    "close": "the provider is asked, because the order is to be closed",
    "poll": "the provider is asked how the payment is doing",
    "watch": "the provider is asked whether money came late",
}


def next_of(due: Any) -> str:
    """Say what is done next, and when."""
    meaning = _MEANING.get(due["kind"], due["kind"])
    if due["leased"]:
        return f"a worker is at it now until {text(due['due_at'])} at the latest: {meaning}"
    when = "is due since" if due["is_due"] else "is due at"
    return f"next: {meaning}; it {when} {text(due['due_at'])}"


def stage_of(cadence: Cadence, step: int) -> str:
    """Say which stage of a cadence a step belongs to."""
    left = step
    for stage in cadence.stages:
        if left < stage.times:
            return f"every {stage.delay} for the {left + 1}. of {stage.times} times, ±{cadence.jitter:.0%}"
        left -= stage.times
    return f"every {cadence.stages[-1].delay}, repeated" if cadence.repeats else "past its last stage"


def obstacles_of(due: Any) -> list[str]:
    """Say what keeps it from being done, if anything does."""
    said = [f"its lane {due['family']} {due['lane']}: {held}" for held in [why_held(due)] if held]
    if due["claims"] and not due["leased"]:
        said.append(f"claimed {due['claims']} times in vain; the last error: {due['last_error'] or 'its worker died'}")
    return said
