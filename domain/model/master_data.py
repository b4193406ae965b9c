"""Master data: what a merchant's bills may name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class MasterKind(StrEnum):
    """What of a bill is known by master data; each is also a check that its merchant may switch on."""

    LINE_ITEMS = "line_items"
    PAYMENT_METHODS = "payment_methods"
    STORES = "stores"
    TRANSACTION_FIELDS = "transaction_fields"
    CUSTOMER_FIELDS = "customer_fields"


class FieldType(StrEnum):
    ENUM = "enum"
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that bills may name. Only fields have a type, and only enums have options."""

    key: str
    type: FieldType | None = None
    options: tuple[str, ...] = ()


# (merchant, kind, key): where an entry stands.
Place: TypeAlias = tuple[str, MasterKind, str]
