"""From a message's fields to commands: what holds is accepted, what does not is refused with every field and reason."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from adapters.messages.by_name import BY_NAME
from adapters.messages.fields import Identifier
from adapters.messages.models import Message, RegisterOrder
from adapters.messages.reasons import field_errors
from adapters.messages.refusing import refused
from domain.model.command import Command, FieldError, Received, RefusedMessage

MANY: Final = "intake.register_orders"
# What a producer may send; the queue is the first part of the name.
NAMES: Final = frozenset(name for name, model in BY_NAME.items() if model.is_sent) | {MANY}

MOST_ORDERS: Final = 1000
_LARGEST: Final = 256 * 1024
_IDENTIFIER: Final = TypeAdapter[str](Identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What became of one message; one that holds many orders may be both."""

    accepted: tuple[Received, ...] = ()
    refused: tuple[RefusedMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """What is known of a message beside its fields."""

    actor: str | None
    trace: str
    channel: str
    key: str | None = None


def parse(
    name: str,
    fields: object,
    *,
    trace: str,
    channel: str,
    actor: str | None = None,
    key: str | None = None,
    args: Sequence[object] = (),
) -> Parsed:
    """Return the commands that a message holds, and what of it is refused; it never raises for what came.

    `key` replaces the message's own, where the face has one (`Idempotency-Key`). `args` are positional arguments,
    which no message has: whoever sends some believes that we know what they mean.
    """
    origin = _Origin(actor=actor, trace=trace, channel=channel, key=key)
    wrong = _wrong_form(name, fields, args)
    if wrong or not isinstance(fields, Mapping):
        came = [*args, fields] if args else fields
        return Parsed(refused=(_refused(name, came, wrong, origin, known=fields),))
    # A field that is null is one that was left out: many languages cannot say it otherwise.
    given = {field: value for field, value in fields.items() if value is not None}
    if name == MANY:
        return _many(given, origin)
    return _one(BY_NAME[name], given, origin)


def _wrong_form(name: str, fields: object, args: Sequence[object]) -> tuple[FieldError, ...]:
    if name not in BY_NAME and name != MANY:
        return (FieldError(field="task", reason="no message has this name"),)
    if args:
        return (FieldError(field="args", reason="fields are sent by name; positional arguments are not understood"),)
    if not isinstance(fields, Mapping):
        return (FieldError(field="kwargs", reason="the fields should be an object"),)
    return ()


def _one(
    model: type[Message], given: Mapping[str, Any], origin: _Origin, *, name: str | None = None, path: str = ""
) -> Parsed:
    """Take what is one order's; as a part of a larger message it is refused under `name`, with `path` in front."""
    wrong: Sequence[FieldError]
    try:
        received = _accepted(model, given, origin)
    except ValidationError as error:
        wrong = field_errors(error, prefix=path)
    else:
        if len(_canonical(received.body)) <= _LARGEST:
            return Parsed(accepted=(received,))
        wrong = (FieldError(field=path or "message", reason=f"is larger than {_LARGEST // 1024} KiB"),)
    return Parsed(refused=(_refused(name or model.name, given, wrong, origin),))


def _many(given: Mapping[str, Any], origin: _Origin) -> Parsed:
    orders = given.get("orders")
    wrong = [*_merchant_errors(given), *_orders_errors(orders)]
    if wrong or not isinstance(orders, list):
        return Parsed(refused=(_refused(MANY, given, wrong, origin),))
    accepted: list[Received] = []
    refusals: list[RefusedMessage] = []
    for position, order in enumerate(orders):
        one = _entry(given["merchant"], order, f"orders[{position}]", origin)
        accepted += one.accepted
        refusals += one.refused
    return Parsed(accepted=tuple(accepted), refused=tuple(refusals))


def _entry(merchant: str, order: object, path: str, origin: _Origin) -> Parsed:
    """Take one of many orders, which stands or falls by itself."""
    if not isinstance(order, Mapping):
        wrong = FieldError(field=path, reason="should be an object")
    elif order.get("merchant", merchant) != merchant:
        wrong = FieldError(field=f"{path}.merchant", reason="is not the merchant of the message")
    else:
        given = {field: value for field, value in order.items() if value is not None}
        return _one(RegisterOrder, given | {"merchant": merchant}, origin, name=MANY, path=path)
    known = {"merchant": merchant, "order": order.get("order") if isinstance(order, Mapping) else None}
    return Parsed(refused=(_refused(MANY, order, (wrong,), origin, known=known),))


def _accepted(model: type[Message], given: Mapping[str, Any], origin: _Origin) -> Received:
    message = model.model_validate(given)
    command = message.command()
    says = _digest(command)
    return Received(
        command=command,
        key=origin.key or message.key or (says if model.is_sent and not model.last_stands else origin.trace),
        content=message.name if message.first_stands else says,
        body=message.model_dump(exclude_unset=True),
        actor=origin.actor or f"merchant:{message.merchant}",
        trace=origin.trace,
    )


def _digest(command: Command) -> str:
    """Hash what a command says: `10` and `10.00` are the same, and so is one instant in two time zones.

    What a command leaves at its default is left out: a field that a later version adds changes no hash of today's.
    """
    said = {
        field.name: _same_however_written(field.name, value)
        for field in fields(command)
        if (value := getattr(command, field.name)) != field.default
    }
    return hashlib.sha256(_canonical(said)).hexdigest()


def _same_however_written(name: str, value: Any) -> Any:
    if name == "amount":
        return f"{Decimal(value).normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_same_however_written(name, one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.total_seconds() if isinstance(value, timedelta) else value


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _refused(
    name: str, came: object, errors: Sequence[FieldError], origin: _Origin, *, known: object = None
) -> RefusedMessage:
    source = came if known is None else known
    named = source if isinstance(source, Mapping) else {}
    return refused(
        name,
        came,
        errors,
        channel=origin.channel,
        merchant=_believable(named.get("merchant")),
        order=_believable(named.get("order")),
    )


def _believable(value: object) -> str | None:
    try:
        return _IDENTIFIER.validate_python(value, strict=True)
    except ValidationError:
        return None


def _merchant_errors(given: Mapping[str, Any]) -> Sequence[FieldError]:
    if "merchant" not in given:
        return (FieldError(field="merchant", reason="is required"),)
    try:
        _IDENTIFIER.validate_python(given["merchant"], strict=True)
    except ValidationError as error:
        return field_errors(error, prefix="merchant")
    return ()


def _orders_errors(orders: object) -> Sequence[FieldError]:
    if orders is None:
        reason = "is required"
    elif not isinstance(orders, list):
        reason = "should be a list"
    elif not orders:
        reason = "is empty"
    elif len(orders) > MOST_ORDERS:
        reason = f"has more than {MOST_ORDERS:,} entries"
    else:
        return ()
    return (FieldError(field="orders", reason=reason),)
