"""Messages about master data and rejected transactions."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from adapters.messages.fields import Grounds, Identifier, identifier
from adapters.messages.models import Message, Part
from domain.model import command as commands
from domain.model.command import Command
from domain.model.master_data import Entry, FieldType, MasterKind
from domain.model.rejection import OWN_NAMES
from domain.rules.sanity import LONGEST_OPTION

MOST: Final = 10_000
_LARGEST_ID: Final = 2**63 - 1


def _rejection(value: object) -> object:
    """Take an id as the callback says it, or as a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or not 0 < int(text[:20]) <= _LARGEST_ID:
        raise ValueError("is no id of a rejected transaction")
    return int(text)


def _retrigger(text: str) -> str:
    if text.startswith(OWN_NAMES):
        raise ValueError(f"should not begin with {OWN_NAMES!r}, which is ours")
    return text


RejectionId = Annotated[
    int,
    BeforeValidator(_rejection),
    WithJsonSchema({"type": ["string", "integer"], "description": "`rejection` of the callback."}),
]
Option = Annotated[str, Field(min_length=1, max_length=LONGEST_OPTION), AfterValidator(identifier)]


class MasterEntry(Part):
    key: Identifier
    type: Literal["enum", "string", "number", "boolean", "date"] | None = None
    options: list[Option] | None = Field(default=None, max_length=MOST)

    @model_validator(mode="after")
    def _only_enums_have_options(self) -> "MasterEntry":
        if self.options is not None and self.type not in {None, "enum"}:
            raise ValueError("only an enum has options")
        return self

    def entry(self) -> Entry:
        kind = "enum" if self.type is None and self.options is not None else self.type
        return Entry(
            key=self.key,
            type=None if kind is None else FieldType(kind),
            options=tuple(dict.fromkeys(self.options or ())),
        )


class PutMasterData(Message):
    name: ClassVar[str] = commands.PutMasterData.name
    last_stands: ClassVar[bool] = True

    kind: Literal["line_items", "payment_methods", "stores", "transaction_fields", "customer_fields"]
    entries: list[MasterEntry] = Field(min_length=1, max_length=MOST)

    def command(self) -> Command:
        return commands.PutMasterData(
            merchant=self.merchant,
            kind=MasterKind(self.kind),
            entries=tuple(entry.entry() for entry in self.entries),
        )


class RetriggerRejected(Message):
    name: ClassVar[str] = commands.RetriggerRejected.name

    retrigger: Annotated[Identifier, AfterValidator(_retrigger)]
    transactions: list[RejectionId] | None = Field(default=None, min_length=1, max_length=MOST)
    dry_run: bool = False

    @property
    def key(self) -> str:
        return self.retrigger

    def command(self) -> Command:
        return commands.RetriggerRejected(
            merchant=self.merchant,
            retrigger=self.retrigger,
            transactions=_each_once(self.transactions),
            dry_run=self.dry_run,
        )


class MarkFailed(Message):
    name: ClassVar[str] = commands.MarkFailed.name

    transactions: list[RejectionId] = Field(min_length=1, max_length=MOST)
    note: Grounds | None = None

    def command(self) -> Command:
        return commands.MarkFailed(
            merchant=self.merchant, transactions=_each_once(self.transactions) or (), note=self.note
        )


def _each_once(ids: list[int] | None) -> tuple[int, ...] | None:
    return None if ids is None else tuple(sorted(set(ids)))
