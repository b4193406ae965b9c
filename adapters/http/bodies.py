"""The body of a request: JSON in UTF-8, of bounded size, depth and duration, and an object."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import Request

from adapters.http.problems import INVALID, MALFORMED, TOO_LARGE, TOO_SLOW, UNSUPPORTED, Problem, invalid, wrong
from adapters.messages.reasons import path_of
from domain.model.command import FieldError

# A thousand orders of 4 KiB each; a single order with its bill may be 256 KiB.
LARGEST: Final = 4 * 1024 * 1024
# As deep as a message may be.
DEEPEST: Final = 16
# No field takes a number of so many digits, and Python reads none of some thousand.
_MOST_DIGITS: Final = 1000
_PATIENCE_SECONDS: Final = 30.0
_MOST_ERRORS: Final = 100
_HANGING_UP: Final = MappingProxyType({"Connection": "close"})
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


async def raw_body(request: Request) -> bytes:
    """Return the body, as long as it is neither too large nor too slow, and not packed.

    Raises:
        Problem: it is one of these.
    """
    _check_encoding(request.headers.getlist("content-encoding"))
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LARGEST:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        reason = f"did not arrive within {_PATIENCE_SECONDS:g} seconds"
        raise wrong(TOO_SLOW, "body", reason, headers=_HANGING_UP) from None
    return b"".join(parts)


async def json_body(request: Request) -> Mapping[str, Any]:
    """Return the object that the body holds; no body at all is an object without fields."""
    raw = await raw_body(request)
    if not raw:
        return {}
    check_media_type(request.headers.get("content-type"))
    value = read_json(raw)
    if not isinstance(value, dict):
        raise invalid("body", "should be an object")
    return value


def read_json(raw: bytes) -> Any:
    """Return the JSON value; what pydantic's models refuse later (NaN, 1e400) still passes here.

    Raises:
        Problem: it is no JSON in UTF-8, names a field twice, holds an endless number, or is too deep.
    """
    reader = _Reader()
    try:
        value = json.loads(raw.decode(), object_pairs_hook=reader.object, parse_int=reader.whole)
    except UnicodeDecodeError as error:
        raise wrong(MALFORMED, "body", f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise wrong(MALFORMED, "body", f"is not JSON at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    if reader.found_odd:
        raise Problem(INVALID, errors=tuple(islice(_oddities(value), _MOST_ERRORS)))
    return value


def check_media_type(content_type: str | None) -> None:
    """Let only JSON in UTF-8 in.

    Raises:
        Problem: the header says anything else, or nothing.
    """
    kind, *parameters = (content_type or "").lower().split(";")
    charsets = [one.strip().removeprefix("charset=").strip('"') for one in parameters if "charset=" in one]
    if kind.strip() != "application/json" or not _UTF_8.issuperset(charsets):
        reason = "should be application/json, in UTF-8 if it names a charset"
        raise wrong(UNSUPPORTED, "Content-Type", reason, headers={"Accept-Post": "application/json"})


def _check_encoding(headers: Sequence[str]) -> None:
    """Let nothing packed in: it is unpacked nowhere, and what it holds has no bounds."""
    codings = {one.strip().lower() for header in headers for one in header.split(",")}
    if codings - {"", "identity"}:
        reason = "should be left out, or identity: the body is taken as it is"
        raise wrong(UNSUPPORTED, "Content-Encoding", reason, headers={"Accept-Encoding": "identity"})


class _Twice(dict[str, Any]):
    """An object that names fields twice."""

    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Endless:
    """Stands for a number of too many digits."""

    digits: int


class _Reader:
    """Marks what is odd while JSON is read: where it stands is known when all of it is read."""

    def __init__(self) -> None:
        self.found_odd = False

    def object(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.found_odd = True
        twice = _Twice(made)
        twice.fields = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        return twice

    def whole(self, digits: str) -> int | _Endless:
        if len(digits) <= _MOST_DIGITS:
            return int(digits)
        self.found_odd = True
        return _Endless(len(digits))


def _oddities(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[FieldError]:
    """Name everything that the reader marked; the value is not too deep to be walked."""
    if isinstance(value, _Endless):
        yield FieldError(field=path_of(path) or "body", reason=f"is a number of {value.digits:,} digits")
    if isinstance(value, _Twice):
        yield from (FieldError(field=path_of((*path, name)), reason="is there twice") for name in value.fields)
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _oddities(part, (*path, name))


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> Problem:
    return invalid("body", f"is nested deeper than {DEEPEST} levels")


def _too_large() -> Problem:
    return wrong(TOO_LARGE, "body", f"is larger than {LARGEST:,} bytes", headers=_HANGING_UP)
