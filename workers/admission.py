"""What may reach a task. A message comes from anybody who can write to the broker, so nothing of it is believed.

Whatever cannot be read becomes the argument of a task that keeps it, under the acknowledgement of the message itself:
so it is stored by a child, whose application is open, and leaves the broker only when it is.
"""

# mypy: allow-untyped-calls

import base64
import json
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kombu.message import Message

from config.messaging import PRODUCER_QUEUES

KEEP: Final = "intake.keep_unreadable"

_CARRIED: Final = 64 * 1024
_LONGEST_ID: Final = 128
_MOST_RETRIES: Final = 100
# Clocks differ, and libraries set a time of now; what is really ahead belongs into no broker (design, 1).
_AHEAD: Final = timedelta(minutes=1)
_JSON: Final = "application/json"
# What Flower and the log show of a message's fields: enough to know it by, nothing of a customer, no megabytes.
_PRIVATE: Final = frozenset({"customer", "bill", "body"})
_SHOWN_FIELDS: Final = 20
_SHOWN_CHARACTERS: Final = 80


class Unreadable(Exception):
    """Why no task can be given this message."""


def admit(message: Message, known: Collection[str]) -> Message:
    """Return the message as the pool may have it: itself, made clean, or wrapped to be kept."""
    try:
        return _clean(message, known)
    except Unreadable as why:
        return wrapped(message, str(why))


def wrapped(message: Message, why: str) -> Message:
    """Return a message for the keeping task that has the other one's place at the broker."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    name = headers.get("task")
    body = message.body.encode(errors="backslashreplace") if isinstance(message.body, str) else message.body or b""
    called = name if isinstance(name, str) else "unreadable"
    fields = keeping(called, body, why)
    return _renewed(message, KEEP, _id(headers), _body([], fields), _shown([], fields))


def envelope(queue: str, raw: bytes, why: str) -> dict[str, Any]:
    """Return what kombu would have written to Redis, had it been asked to carry these bytes to the keeping task."""
    id_ = str(uuid.uuid4())
    return {
        "body": base64.b64encode(_body([], keeping(queue, raw, why))).decode(),
        "content-encoding": "utf-8",
        "content-type": _JSON,
        "headers": {"task": KEEP, "id": id_},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": id_,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_mode": 2,
            "delivery_tag": id_,
        },
    }


def keeping(name: str, body: bytes, why: str) -> dict[str, str]:
    """Return the fields of the keeping task's message."""
    if len(body) > _CARRIED:
        why = f"{why} (the first {_CARRIED} of its {len(body)} bytes are kept)"
    return {"name": name, "body": base64.b64encode(body[:_CARRIED]).decode(), "why": why}


def _body(args: list[Any], fields: Mapping[str, Any]) -> bytes:
    return json.dumps([args, fields, None]).encode()


def _clean(message: Message, known: Collection[str]) -> Message:
    headers = message.headers
    if not isinstance(headers, Mapping):
        raise Unreadable("its headers are no object")
    payload = _payload(message)
    if isinstance(payload, Mapping) and "kwargs" in payload:  # Celery's first protocol: all of it stands in the body
        headers = {**payload, **headers}
        payload = [payload.get("args") or [], payload["kwargs"], None]
    args, fields, embedded = _parts(payload)
    name = headers.get("task")
    # Celery's own tasks run whatever their arguments name.
    if not isinstance(name, str) or name.startswith("celery.") or name not in known:
        raise Unreadable(f"no task is called {name!r}")
    # Callbacks, chains and time limits of the sender's are not ours to obey.
    asks = any(embedded.values()) if isinstance(embedded, Mapping) else embedded
    same = not asks and payload is message.payload
    body = message.body if same else _body(args, fields)
    clean = _renewed(message, name, _id(headers), body, _shown(args, fields))
    if name.partition(".")[0] in PRODUCER_QUEUES:
        _check_times(headers)
    elif isinstance(headers.get("expires"), str):
        _instant("expires", headers["expires"])
        clean.headers["expires"] = headers["expires"]
    return clean


def _payload(message: Message) -> Any:
    try:
        return message.payload
    except Exception as error:  # noqa: BLE001 - bytes fail to be JSON in any way; the sender needs the sentence
        raise Unreadable(f"its body is not JSON: {error}"[:500]) from None


def _parts(payload: Any) -> tuple[list[Any], dict[str, Any], Any]:
    match payload:
        case [list() as args, dict() as fields, embedded]:
            return args, fields, embedded
        case [_, _, _]:
            raise Unreadable("its arguments are not a list and an object")
    raise Unreadable("its body is not [args, kwargs, embed], as Celery's protocol has it")


def _check_times(headers: Mapping[str, Any]) -> None:
    """Refuse what its sender wants to happen later, or not any more: silence would be a loss."""
    now = datetime.now(UTC)
    expires, eta = headers.get("expires"), headers.get("eta")
    if expires is not None and _instant("expires", expires) < now:
        raise Unreadable(f"it expired at {expires}, before it was read")
    if eta is not None and _instant("eta", eta) > now + _AHEAD:
        raise Unreadable(f"eta: {eta} is more than a minute ahead; a message is sent when it is due")


def _instant(header: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unreadable(f"{header}: {value!r} is no time"[:500]) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _id(headers: Mapping[str, Any]) -> str:
    given = headers.get("id")
    usable = isinstance(given, str) and 0 < len(given) <= _LONGEST_ID and given.isprintable()
    return str(given) if usable else str(uuid.uuid4())


def _shown(args: list[Any], fields: Mapping[str, Any]) -> dict[str, str]:
    """Return how the arguments are shown to operators: each on its own, and cut."""
    several = {name: _glimpse(name, fields[name]) for name in list(fields)[:_SHOWN_FIELDS]}
    more = ", ..." if len(fields) > _SHOWN_FIELDS else ""
    kwargs = ", ".join(f"{name[:_SHOWN_CHARACTERS]}: {value}" for name, value in several.items())
    return {"argsrepr": f"({len(args)} of them)" if args else "()", "kwargsrepr": f"{{{kwargs}{more}}}"}


def _glimpse(name: str, value: object) -> str:
    if name in _PRIVATE:
        return "..."
    match value:
        case dict():
            return f"{{{len(value)} fields}}"
        case list():
            return f"[{len(value)} entries]"
        case str() if len(value) > _SHOWN_CHARACTERS:
            return f"{value[:_SHOWN_CHARACTERS]!r}..."
        case _:
            return repr(value)[:_SHOWN_CHARACTERS]


def _renewed(message: Message, name: str, id_: str, body: bytes | str, shown: Mapping[str, str]) -> Message:
    """Return a message of ours in the place of the other: acknowledging it acknowledges that one."""
    # Celery counts there how often a worker has died of the message.
    retries = message.headers.get("retries") if isinstance(message.headers, Mapping) else 0
    counted = retries if isinstance(retries, int) and 0 <= retries <= _MOST_RETRIES else 0
    renewed = Message(
        body=body,
        channel=message.channel,
        delivery_tag=message.delivery_tag,
        delivery_info=message.delivery_info,
        properties={"correlation_id": id_},
        headers={"task": name, "id": id_, "root_id": id_, "lang": "py", "retries": counted, **shown},
        content_type=_JSON,
        content_encoding="utf-8",
    )
    renewed.accept = message.accept
    return renewed
