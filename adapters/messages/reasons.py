"""What is wrong with a message, field by field, in words that its sender can act on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from adapters.messages.refusing import showable
from domain.model.command import FieldError

_MOST_ERRORS: Final = 100
_LONGEST_PART: Final = 80

# pydantic speaks to programmers of Python; a producer may be written in anything. Unlisted kinds keep its words.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "is required",
        "string_type": "should be a string",
        "string_unicode": "holds half of a character (a lone surrogate)",
        "int_type": "should be a whole number",
        "int_parsing": "should be a whole number",
        "int_parsing_size": "should be a whole number of fewer digits",
        "bool_parsing": "should be true or false",
        "enum": "should be {expected}",
        "string_pattern_mismatch": "should match {pattern}",
        "list_type": "should be a list",
        "dict_type": "should be an object",
        "model_type": "should be an object",
        "string_too_short": "is empty",
        "bool_type": "should be true or false",
        "too_short": "is empty",
        "string_too_long": "is longer than {max_length} characters",
        "too_long": "has more than {max_length} entries",
        "greater_than_equal": "should be {ge} or more",
        "less_than_equal": "should be {le} or less",
        "literal_error": "should be {expected}",
        "extra_forbidden": "is not a field of this request",
    }
)


def field_errors(
    error: ValidationError, *, prefix: str = "", model: type[BaseModel] | None = None
) -> tuple[FieldError, ...]:
    """Return one (field, reason) for each thing that is wrong, up to a hundred.

    With `model`, whose fields stand beside one another, what is not a field of it hears what the fields are.
    """
    known = "" if model is None else f"; there are: {', '.join(_names_of(model))}"
    found = error.errors(include_url=False, include_input=False)
    listed = [
        FieldError(
            field=path_of(one["loc"], prefix=prefix),
            reason=reason_of(one) + (known if one["type"] == "extra_forbidden" else ""),
        )
        for one in found[:_MOST_ERRORS]
    ]
    if len(found) > _MOST_ERRORS:
        listed.append(FieldError(field=prefix, reason=f"and {len(found) - _MOST_ERRORS} more fields are wrong"))
    return tuple(listed)


def path_of(location: Sequence[int | str], *, prefix: str = "") -> str:
    """Write where a field stands, as `orders[0].amount`."""
    path = prefix
    for part in location:
        if part == "[key]":  # what is wrong is the name before it
            continue
        name = showable(str(part))[:_LONGEST_PART]
        path = f"{path}[{part}]" if isinstance(part, int) else f"{path}.{name}" if path else name
    return path


def _names_of(model: type[BaseModel]) -> Sequence[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def reason_of(one: Mapping[str, Any]) -> str:
    """Return pydantic's error in words that need no Python."""
    context = one.get("ctx", {})
    if one["type"] == "value_error":
        return str(context["error"])
    words: str = _WORDS.get(one["type"], one["msg"])
    return words.format_map(context)
