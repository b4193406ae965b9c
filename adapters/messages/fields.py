"""The kinds of field that producers send, strict in form: a number is no text, and a text is no number."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from domain.model.money import AMOUNT

# RFC 3339; Python's own reader takes much else that is ISO 8601.
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Deadlines are sums; far from both ends of what a date can be, none of them overflows.
_YEARS: Final = range(1970, 2201)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

MOST_SECONDS: Final = 10 * 366 * 24 * 3600
# What a message holds free of form, and the levels around it, stay within the 16 that are allowed.
_FREE_DEPTH: Final = 12
# The database keeps a number by its digits: 1e22 comes back as an integer, so both have the same bound.
_LARGEST_NUMBER: Final = 10**18
# What clients make of an address that holds one of these is another address.
_STEPS_OF_PATHS: Final = frozenset({".", ".."})


def storable(text: str) -> str:
    """Return the text if PostgreSQL can keep it: JSON can write two kinds of character that it cannot."""
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    if _SURROGATES.search(text):
        raise ValueError("holds half of a character (a lone surrogate)")
    return text


def said(text: str) -> str:
    """Return the text if there is anything to read in it."""
    storable(text)
    if not any(one.isprintable() and not one.isspace() for one in text):
        raise ValueError("is blank")
    return text


def identifier(text: str) -> str:
    storable(text)
    if not text.isprintable():
        raise ValueError("holds a control character")
    if not text.strip():
        raise ValueError("is blank")
    return text


def _name(text: str) -> str:
    identifier(text)
    if text in _STEPS_OF_PATHS:
        raise ValueError("should be neither . nor .., which no address can hold")
    return text


def _amount(text: str) -> str:
    if not AMOUNT.fullmatch(text):
        raise ValueError(
            'should be a plain decimal in a string, like "12.30": up to 15 digits before the point and 18 behind it'
        )
    if not text.strip("0."):
        raise ValueError("should be greater than zero")
    return text


def instant(text: str) -> datetime:
    """Return the instant that an RFC 3339 text names, in UTC.

    Raises:
        ValueError: it is none, or has no offset, or lies outside 1970 to 2200.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("should be a time with an offset (RFC 3339), like 2026-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("names a day or time that does not exist") from None
    if moment.year not in _YEARS:
        raise ValueError(f"should lie between {_YEARS[0]} and {_YEARS[-1]}")
    return moment.astimezone(UTC)


def _is_instant(text: str) -> str:
    instant(text)
    return text


def _is_day(text: str) -> str:
    if not _DAY.fullmatch(text):
        return _is_instant(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("names a day that does not exist") from None
    return text


def plain(value: Any) -> Any:
    """Return a value free of form if it is JSON that PostgreSQL can keep, and not too deep.

    Celery's decoder makes dates, decimals and bytes of marked objects; those are no JSON any more.
    """
    level: list[Any] = [value]
    for _depth in range(_FREE_DEPTH):
        for one in level:
            _check_scalar(one)
        level = [part for one in level if isinstance(one, dict | list) for part in _parts(one)]
        if not level:
            return value
    raise ValueError(f"is nested deeper than {_FREE_DEPTH} levels")


def _parts(value: Mapping[Any, Any] | list[Any]) -> list[Any]:
    if isinstance(value, list):
        return value
    return [*value.keys(), *value.values()]


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    elif isinstance(value, int | float) and abs(value) > _LARGEST_NUMBER:
        raise ValueError("holds a number that is too large")
    elif not (value is None or isinstance(value, str | int | float | dict | list)):
        raise ValueError(f"holds a {type(value).__name__}, which is not JSON")


Identifier = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_name)]
Reference = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_name)]
Customer = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(identifier)]
Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(identifier)]
Prose = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(storable)]
# What a person decides by it stands in the record, so it has to say something.
Grounds = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(said)]
Amount = Annotated[
    str,
    AfterValidator(_amount),
    WithJsonSchema({"type": "string", "pattern": f"^{AMOUNT.pattern}$", "description": "Greater than zero."}),
]
Instant = Annotated[
    str,
    AfterValidator(_is_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339, with an offset."}),
]
Day = Annotated[
    str,
    AfterValidator(_is_day),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]
Seconds = Annotated[int, Field(ge=1, le=MOST_SECONDS)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Free = Annotated[Any, AfterValidator(plain)]
