"""Opaque cursors: where a page ended, in a form that nobody is tempted to make up."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.http.problems import invalid
from adapters.messages.fields import storable

MOST: Final = 200
USUAL: Final = 50
_LARGEST: Final = 2**63


def place_of(cursor: str | None, *, parts: int, field: str = "cursor") -> tuple[int, ...] | None:
    """Return the key that a cursor holds.

    Raises:
        Problem: it is none of this list's cursors.
    """
    if cursor is None:
        return None
    read = _read(cursor)
    if not isinstance(read, list) or len(read) != parts or not all(_is_part(part) for part in read):
        raise invalid(field, "is no cursor of this list")
    return tuple(read)


def word_of(cursor: str | None) -> str:
    """Return the word that a cursor of a list by names holds, the empty one for the first page.

    Raises:
        Problem: it is none of this list's cursors.
    """
    if cursor is None:
        return ""
    match _read(cursor):
        case [str(word)]:
            try:
                return storable(word)
            except ValueError:
                pass
    raise invalid("cursor", "is no cursor of this list")


def cursor_of(place: Sequence[int | str]) -> str:
    written = json.dumps(list(place), separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def page(
    rows: Sequence[Mapping[str, Any]],
    limit: int,
    *,
    key: Sequence[str],
    item: Callable[[Mapping[str, Any]], Any],
) -> dict[str, Any]:
    """Return a page of `limit` items; `rows` holds one more where there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {
        "items": [item(row) for row in shown],
        "next_cursor": cursor_of([row[part] for part in key]) if more and (row := shown[-1]) else None,
    }


def _read(cursor: str) -> Any:
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _is_part(part: object) -> bool:
    return isinstance(part, int) and not isinstance(part, bool) and 0 <= part < _LARGEST
