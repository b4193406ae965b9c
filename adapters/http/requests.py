"""How the document describes the bodies that we read ourselves: by the messages' own models."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from adapters.messages import BY_NAME
from adapters.messages.parsing import MOST_ORDERS

_SCHEMAS: Final = "#/components/schemas"
# It keeps what is sent apart from what is answered under the same name.
_SUFFIX: Final = "Body"
_described: dict[type[BaseModel], tuple[str, ...]] = {}  # {model: fields that are named elsewhere}


def body_of(name: str) -> dict[str, Any]:
    """Return how a route describes its body: a message's fields, without the merchant and the order."""
    return body_with(BY_NAME[name], without=("merchant", "order"))


def body_with(model: type[BaseModel], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return how a route describes its body: this model, without what the key and the address name."""
    _described[model] = without
    needed = {name for name, field in model.model_fields.items() if field.is_required()} - set(without)
    return _body([_reference(model)], required=bool(needed))


def _one_of_many() -> dict[str, Any]:
    """One order that is wrong keeps none of the others out, so the document allows what the answer then tells of."""
    any_object = {
        "type": "object",
        "description": "One that is not such an order is not kept, and the answer says why.",
    }
    return {"anyOf": [_reference(_ONE), any_object]}


def schemas() -> Mapping[str, Any]:
    """Return {name: schema} of every body that a route has described."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in _described]
    _, together = models_json_schema(models, ref_template=f"{_SCHEMAS}/{{model}}{_SUFFIX}")
    made: dict[str, Any] = together["$defs"]
    made["Item"] = {"anyOf": [{"type": "string", "description": "Its key alone."}, made["Item"]]}
    for model, without in _described.items():
        made[model.__name__] = _less(made[model.__name__], without)
    made["RegisterOrders"] = {
        "type": "object",
        "title": "RegisterOrders",
        "required": ["orders"],
        "properties": {"orders": {"type": "array", "minItems": 1, "maxItems": MOST_ORDERS, "items": _one_of_many()}},
    }
    return {f"{name}{_SUFFIX}": schema for name, schema in made.items()}


def _less(schema: Mapping[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    properties = {name: one for name, one in schema.get("properties", {}).items() if name not in without}
    required = [name for name in schema.get("required", []) if name not in without]
    return {**schema, "properties": properties, "required": required}


def _reference(model: type[BaseModel]) -> Mapping[str, str]:
    return {"$ref": f"{_SCHEMAS}/{model.__name__}{_SUFFIX}"}


def _body(schemas: list[Mapping[str, Any]], *, required: bool) -> dict[str, Any]:
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


_ONE: Final = BY_NAME["intake.register_order"]
_described[_ONE] = ("merchant",)
ONE_OR_MANY: Final = _body([_reference(_ONE), {"$ref": f"{_SCHEMAS}/RegisterOrders{_SUFFIX}"}], required=True)
NO_FIELDS: Final = _body([{"type": "object", "additionalProperties": False}], required=False)
