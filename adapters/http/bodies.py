"""The body of a request: JSON in UTF-8, of bounded size, depth and duration, and an object."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request

from adapters.http.problems import MALFORMED, TOO_LARGE, TOO_SLOW, UNSUPPORTED, Problem, invalid
from domain.model.command import FieldError

# A thousand orders of 4 KiB each; a single order with its bill may be 256 KiB.
LARGEST: Final = 4 * 1024 * 1024
# As deep as a message may be.
DEEPEST: Final = 16
_PATIENCE_SECONDS: Final = 30.0
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


async def raw_body(request: Request) -> bytes:
    """Return the body, as long as it is neither too large nor too slow."""
    too_large = Problem(TOO_LARGE, f"More than {LARGEST // 1024} KiB came.", headers={"Connection": "close"})
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LARGEST:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Problem(TOO_SLOW, headers={"Connection": "close"}) from None
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
        Problem: it is no JSON in UTF-8, names a field twice, or is too deep.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python reads no integer of more than some thousand digits
        raise _malformed("holds a number that is too long") from None
    _check_depth(value)
    return value


def check_media_type(content_type: str | None) -> None:
    """Let only JSON in UTF-8 in.

    Raises:
        Problem: the header says anything else, or nothing.
    """
    kind, *parameters = (content_type or "").lower().split(";")
    charsets = [one.strip().removeprefix("charset=").strip('"') for one in parameters if "charset=" in one]
    if kind.strip() != "application/json" or not _UTF_8.issuperset(charsets):
        raise Problem(UNSUPPORTED, headers={"Accept-Post": "application/json"})


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(ascii(twice)[1:-1][:80], "is there twice")
    return made


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


def _malformed(reason: str) -> Problem:
    return Problem(MALFORMED, errors=(FieldError(field="body", reason=reason),))
