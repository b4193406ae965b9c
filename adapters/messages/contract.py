"""The machine-readable contract of what producers send: AsyncAPI 3, made from the models that check the messages.

`python -m adapters.messages.contract > docs/asyncapi.yaml` writes it; a test says when that is to be done.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from adapters.messages.by_name import BY_NAME
from adapters.messages.fields import Identifier
from adapters.messages.models import Message, RegisterOrder
from adapters.messages.parsing import MANY, MOST_ORDERS
from config.messaging import PRODUCER_QUEUES

_SCHEMAS: Final = "#/components/schemas"
_TITLES: Final[Mapping[str, str]] = {
    "intake.register_order": "An order, with the payment that pays it",
    MANY: "Many orders, each of which stands or falls by itself",
    "intake.checkout_completed": "The customer has completed the checkout; the first message stands",
    "intake.cancel_order": "Cancel the order, unless it turns out to be paid",
    "intake.record_attempt": "One try of the customer to pay, as the merchant saw it",
    "intake.record_operation": "A capture, a refund or a void under the order's transaction",
    "intake.resolve_order": "A person has settled an unresolved order",
    "intake.put_master_data": "What bills may name; of each key the last message stands",
    "sanity.retrigger": "Try rejected transactions again: the named ones, or all that are pending",
    "sanity.mark_failed": "Give rejected transactions up, all of them or none",
    "intake.report_timeout": "A transaction without an adequate answer in time; the first message of a payment stands",
}


def contract() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    models = {name: model for name, model in BY_NAME.items() if model.is_sent}
    names = sorted(_TITLES)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trueup: what producers send",
            "version": "1",
            "description": "Celery tasks by name, protocol 2, with JSON keyword arguments. Unknown fields are ignored.",
        },
        "defaultContentType": "application/json",
        "channels": {
            queue: {
                "address": queue,
                "description": "A queue of the anonymous exchange (RabbitMQ), or a list (Redis).",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in names if name.startswith(f"{queue}.")
                },
            }
            for queue in PRODUCER_QUEUES
        },
        "operations": {
            operation: {"action": "receive", "channel": {"$ref": f"#/channels/{queue}"}}
            for operation, queue in zip(("takeIn", "mend"), PRODUCER_QUEUES, strict=True)
        },
        "components": {
            "messages": {name: _message(name, models.get(name)) for name in names},
            "schemas": _schemas(list(models.values())),
        },
    }


def _message(name: str, model: type[Message] | None) -> dict[str, Any]:
    fields = "RegisterOrders" if model is None else model.__name__
    return {
        "name": name,
        "title": _TITLES[name],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": ["task", "id"],
            "properties": {"task": {"const": name}, "id": {"type": "string"}},
        },
        "payload": {
            "type": "array",
            "description": "Celery's body: no positional arguments, the fields, and nothing of callbacks.",
            "items": [
                {"type": "array", "maxItems": 0},
                {"$ref": f"{_SCHEMAS}/{fields}"},
                {"type": ["object", "null"]},
            ],
            "minItems": 3,
            "maxItems": 3,
        },
    }


def _schemas(models: list[type[Message]]) -> dict[str, Any]:
    _, together = models_json_schema([(model, "validation") for model in models], ref_template=f"{_SCHEMAS}/{{model}}")
    schemas: dict[str, Any] = together["$defs"]
    schemas["Item"] = {"anyOf": [{"type": "string", "description": "Its key alone."}, schemas["Item"]]}
    schemas["RegisterOrders"] = {
        "type": "object",
        "title": "RegisterOrders",
        "required": ["merchant", "orders"],
        "properties": {
            "merchant": TypeAdapter(Identifier).json_schema(),
            "orders": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_ORDERS,
                "description": "The message's merchant is that of every order, which need not repeat it.",
                "items": {"$ref": f"{_SCHEMAS}/{RegisterOrder.__name__}OfMany"},
            },
        },
    }
    alone = schemas[RegisterOrder.__name__]
    schemas[f"{RegisterOrder.__name__}OfMany"] = alone | {
        "required": [field for field in alone["required"] if field != "merchant"]
    }
    return dict(sorted(schemas.items()))


def main() -> None:
    import yaml  # noqa: PLC0415 - among the developer's packages only

    sys.stdout.write("# Made by `python -m adapters.messages.contract`; do not edit.\n")
    yaml.safe_dump(contract(), sys.stdout, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    main()
