"""Refused input as it is kept: what came, as text that can be stored and read, and why it was not taken."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from domain.model.command import FieldError, RefusedMessage

LONGEST_BODY: Final = 64 * 1024
_LONGEST_NAME: Final = 200
_DEEPEST: Final = 32


def showable(text: str) -> str:
    """Return the text with what cannot be stored, or would disturb a terminal, written as an escape."""
    if text.isprintable():
        return text
    kept = (
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape", "backslashreplace") for one in text
    )
    return "".join(one if isinstance(one, str) else one.decode("ascii") for one in kept)


def cut(text: str) -> str:
    """Return the text, storable, and no longer than what is kept of a refused message."""
    raw = showable(text).encode()
    if len(raw) <= LONGEST_BODY:
        return raw.decode()
    note = f" ... cut here: {len(raw)} bytes came"
    return raw[: LONGEST_BODY - len(note)].decode(errors="ignore") + note


def as_text(value: Any) -> str:
    """Return what came as JSON, whatever it is."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(_pruned(value, _DEEPEST), ensure_ascii=False, default=str, separators=(",", ":"))
    return cut(text)


def refused(
    name: str,
    came: Any,
    errors: Iterable[FieldError],
    *,
    channel: str,
    merchant: str | None = None,
    order: str | None = None,
) -> RefusedMessage:
    """Return the message as it is kept. `merchant` and `order` are given only where they can be believed."""
    return RefusedMessage(
        name=showable(name)[:_LONGEST_NAME],
        merchant=merchant,
        order=order,
        body=as_text(came),
        errors=tuple(errors),
        channel=channel,
    )


def unreadable(name: str, body: bytes, why: str, *, channel: str = "message") -> RefusedMessage:
    """Return a message of which not even fields could be read."""
    return RefusedMessage(
        name=showable(name)[:_LONGEST_NAME],
        merchant=None,
        order=None,
        body=cut(body.decode(errors="backslashreplace")),
        errors=(FieldError(field="message", reason=showable(why)),),
        channel=channel,
    )


def _pruned(value: Any, levels: int) -> Any:
    """Return the value without what is too deep, or too large a number, to be written."""
    if isinstance(value, Mapping):
        return {str(key): _pruned(one, levels - 1) for key, one in value.items()} if levels else "..."
    if isinstance(value, list | tuple):
        return [_pruned(one, levels - 1) for one in value] if levels else "..."
    if isinstance(value, int) and value.bit_length() > LONGEST_BODY // 8:
        return f"a number of {value.bit_length()} bits"
    return value
