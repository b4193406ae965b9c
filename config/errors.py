"""How an unusable setting is said: on one line, by its name, and never with its value."""

import re
from collections.abc import Callable, Sequence

from pydantic import ValidationError

Location = tuple[int | str, ...]

# pydantic speaks to programmers; an operator reads these instead.
_WORDS = {
    "extra_forbidden": "is not a known setting",
    "missing": "is needed and was left out",
    "named_tuple_type": "should be [delay in seconds, how many times]",
    "too_long": "has too many items",
    "string_pattern_mismatch": "has characters that are not allowed here, or too many of them",
}


# "Input should be ...": the name of the setting is the better subject.
_SUBJECT = re.compile(r"^(Input|String|Tuple|Dictionary|URL) (?=should)")


class UnusableSettings(Exception):
    """A setting is unknown, unreadable, out of range or at odds with another one."""


def on_one_line(text: str) -> str:
    """Return the text without line breaks, whatever a name or a library put into it."""
    return " ".join(text.split())


def unusable(error: ValidationError, name: Callable[[Location], str]) -> UnusableSettings:
    """Turn pydantic's errors into one line; `name` says what a location is called."""
    return UnusableSettings("; ".join(_sentences(error, name)))


def _sentences(error: ValidationError, name: Callable[[Location], str]) -> Sequence[str]:
    # The input is left out on purpose: it may be a secret.
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        _sentence(name(one["loc"]), _reason(one["type"], one["msg"]))
        for one in found
        if one["type"] != "default_factory_not_called"  # it only follows from another one
    ]


def _sentence(name: str, reason: str) -> str:
    # A check of a whole table names the field in it, with a leading dot; one of all settings names the variable itself.
    if not name:
        return on_one_line(reason)
    return on_one_line(f"{name}{reason}" if reason.startswith(".") else f"{name}: {reason}")


def _reason(kind: str, message: str) -> str:
    return _SUBJECT.sub("", _WORDS.get(kind, message.removeprefix("Value error, ")))
