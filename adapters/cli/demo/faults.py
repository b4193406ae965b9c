"""How the providers misbehave, and what producers send that nobody can take."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

DEAD_PROVIDER: Final = "acme"
_DEAD_FROM: Final = 8.0
DEAD_SECONDS: Final = 15.0
SILENT_PROVIDER: Final = "dusk"

# Two seconds are adequate to these providers (`providers.toml`), so four are a timeout.
_PAST_THE_TIMEOUT: Final = 4.0


def rules() -> list[dict[str, Any]]:
    """Return the simulator's rules. The first that matches decides; slowness lets the ones after it speak."""
    return [
        {"provider": DEAD_PROVIDER, "fault": "refuse_connection", "between": [_DEAD_FROM, _DEAD_FROM + DEAD_SECONDS]},
        {"provider": "*", "reference": "stubborn*", "operation": "cancel", "fault": "refused"},
        {"provider": SILENT_PROVIDER, "fault": "refuse_connection"},
        *({"provider": "*", **rule} for rule in _OF_TIMEOUTS),
        *({"provider": "*", "operation": "inquiry", **rule} for rule in _OF_INQUIRIES),
        *({"provider": "*", "operation": "effect", **rule} for rule in _OF_EFFECTS),
    ]


# The share is of calls; of `nonsense`, `status_word` and `unanswered`, of the records within them.
_OF_INQUIRIES: Final[tuple[dict[str, Any], ...]] = (
    {"fault": "slow", "seconds": 0.7, "share": 0.05},
    {"fault": "silent", "seconds": _PAST_THE_TIMEOUT, "share": 0.01},
    {"fault": "drop", "share": 0.01},
    {"fault": "cut", "share": 0.01},
    {"fault": "garbled", "share": 0.01},
    {"fault": "status", "code": 500, "share": 0.01},
    {"fault": "status", "code": 503, "problem": True, "share": 0.01},
    {"fault": "slow_down", "retry_after": 1, "share": 0.003},
    {"fault": "nonsense", "variant": "not_a_payment", "share": 0.004},
    {"fault": "nonsense", "variant": "missing_fields", "share": 0.004},
    {"fault": "nonsense", "variant": "wrong_currency", "share": 0.004},
    {"fault": "nonsense", "variant": "other_reference", "share": 0.004},
    {"fault": "nonsense", "variant": "no_amount_received", "share": 0.004},
    {"fault": "nonsense", "variant": "bad_amount", "share": 0.004},
    {"fault": "nonsense", "variant": "bad_time", "share": 0.004},
    {"fault": "status_word", "share": 0.004},
    {"fault": "unanswered", "share": 0.004},
)
_OF_EFFECTS: Final[tuple[dict[str, Any], ...]] = (
    {"fault": "slow", "seconds": 0.7, "share": 0.05},
    {"fault": "silent", "point": "before", "seconds": _PAST_THE_TIMEOUT, "share": 0.02},
    {"fault": "silent", "point": "after", "seconds": _PAST_THE_TIMEOUT, "share": 0.03},
    {"fault": "drop", "point": "before", "share": 0.03},
    {"fault": "drop", "point": "after", "share": 0.04},
    {"fault": "cut", "point": "after", "share": 0.03},
    {"fault": "garbled", "point": "before", "share": 0.02},
    {"fault": "garbled", "point": "after", "share": 0.03},
    {"fault": "status", "code": 500, "point": "before", "share": 0.02},
    {"fault": "status", "code": 502, "point": "after", "share": 0.03},
    {"fault": "nonsense", "variant": "not_a_payment", "point": "after", "share": 0.02},
    {"fault": "slow_down", "retry_after": 1, "share": 0.004},
)


# A dropped connection would be opened anew, and the void sent again, before anybody of ours hears of it.
_SILENCE: Final[dict[str, Any]] = {"fault": "silent", "seconds": _PAST_THE_TIMEOUT}
# By the names in `reversing.py`.
_OF_TIMEOUTS: Final[tuple[dict[str, Any], ...]] = (
    {"reference": "void_answer_lost*", "operation": "void", "calls": [1], "point": "after", **_SILENCE},
    {"reference": "void_not_arrived*", "operation": "void", "calls": [1], "point": "before", **_SILENCE},
    # Its order is polled meanwhile, and must not take for its own what is about to be given back.
    {"reference": "own_taken*", "operation": "void", "calls": [1, 2], "fault": "garbled", "point": "before"},
    {"reference": "own_taken*", "operation": "void", "calls": [3], "fault": "slow", "seconds": 1.5},
    {"reference": "never_voided*", "operation": "void", "fault": "refused"},
    {
        "reference": "voided_at_the_second_try*",
        "operation": "void",
        "calls": [1],
        "fault": "refused",
        "payment_status": "authorized",
    },
    {"reference": "unreadable*", "operation": "inquiry", "fault": "nonsense", "variant": "not_a_payment"},
)


@dataclass(frozen=True, slots=True)
class BadMessage:
    """`merchant` is who must be told that it was refused; None where nobody can be."""

    task: str
    fields: dict[str, Any]
    merchant: str | None


def bad_messages(count: int) -> Iterator[BadMessage]:
    """Yield messages that must be refused and kept, each for a reason of its own."""
    for number in range(count):
        good = {
            "merchant": "hotel",
            "order": f"bad-{number:04d}",
            "provider": "acme",
            "reference": f"bad-{number:04d}",
            "amount": "12.30",
            "currency": "EUR",
        }
        task, wrong = _WRONG_MESSAGES[number % len(_WRONG_MESSAGES)]
        known = wrong.get("merchant") is None
        yield BadMessage(task, good | wrong, "hotel" if known else None)


_WRONG: Final[tuple[dict[str, Any], ...]] = (
    {"amount": "12.345"},
    {"amount": 12.30},
    {"amount": "-1"},
    {"amount": "0"},
    {"currency": "XXQ"},
    {"currency": "JPY"},
    {"provider": "nobody"},
    {"kind": "barter"},
    {"cancellation_timeout": "soon"},
    {"created_at": "2026-02-30T12:00:00Z"},
    {"merchant": "stranger"},
)
_WRONG_REPORTS: Final[tuple[dict[str, Any], ...]] = (
    {"response_code": "00"},  # an answer, and no timeout
    {"response_code": "798", "settles_at": "2026-01-01T12:00:00Z"},
    {"response_code": "99", "amount": "12.345"},
    {"response_code": "797", "provider": "nobody"},
    {"response_code": 799},
)
# In turns, so that the first few hold both.
_WRONG_MESSAGES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    *(("intake.register_order", wrong) for wrong in _WRONG[:1]),
    *(("intake.report_timeout", {"occurred_at": "2026-01-01T12:00:00Z", **wrong}) for wrong in _WRONG_REPORTS),
    *(("intake.register_order", wrong) for wrong in _WRONG[1:]),
)
