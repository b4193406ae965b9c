"""Merchants as operators make and change them."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from sqlalchemy import Engine

from adapters.messages.fields import Identifier, Seconds
from adapters.messages.reasons import field_errors
from adapters.notifications.addresses import refusal_of
from adapters.persistence import merchants
from adapters.persistence.merchants import MerchantExists, UnknownMerchant
from config.mail import checked_address
from domain.model.command import FieldError
from domain.model.money import AMOUNT
from domain.model.order import OrderStatus

__all__ = [
    "CHECKS",
    "MerchantChange",
    "MerchantExists",
    "NewMerchant",
    "UnknownMerchant",
    "Unusable",
    "add_merchant",
    "change_merchant",
]

CheckName = Literal["line_items", "payment_methods", "stores", "transaction_fields", "customer_fields"]
CHECKS: Final[tuple[str, ...]] = get_args(CheckName)
# What two of them were called before there was master data to check against.
_OLD_NAMES: Final = {"transaction_extended_fields": "transaction_fields", "customer_extended_fields": "customer_fields"}
_BRACES: Final = re.compile(r"\{[^{}]*\}?|\}")
_LINK: Final = re.compile(r"https://[^\s<>\"']+")


class Unusable(Exception):
    """What was asked for cannot be used; every field has its reason."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = errors


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("is blank or holds a control character")
    return text


def _link(text: str) -> str:
    if not _LINK.fullmatch(_line(text)):
        raise ValueError("is no address like https://shop.example/orders/{order}")
    odd = _BRACES.search(text.replace("{order}", ""))
    if odd is not None:
        raise ValueError(f"holds {odd[0]}: what becomes the order is written {{order}}, and nothing else is replaced")
    return text


def _tolerance(text: str) -> str:
    if not AMOUNT.fullmatch(text):
        raise ValueError('is no amount like "0.50"')
    return text


def _check_name(name: object) -> object:
    return _OLD_NAMES.get(name, name) if isinstance(name, str) else name


Line = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_line)]
Mail = Annotated[str, Field(min_length=1, max_length=254), AfterValidator(checked_address)]
SenderName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_line)]
Link = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_link)]
Tolerance = Annotated[
    str, AfterValidator(_tolerance), WithJsonSchema({"type": "string", "pattern": f"^{AMOUNT.pattern}$"})
]


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


# No value of its own: what is left out is not looked at.
_LEFT_OUT: Final[str] = Field(default="", json_schema_extra=_without_default)


class _Terms(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    cancellation_timeout: Seconds | None = None
    checkout_timeout: Seconds | None = None
    checks: list[Annotated[CheckName, BeforeValidator(_check_name)]] = []
    sanity_queue: bool = False
    auto_retrigger: bool = False
    tolerance: Tolerance = "0"
    mail_name: SenderName | None = None
    mail_sender: Mail | None = None
    mail_link: Link | None = None
    mail_statuses: list[Annotated[OrderStatus, Field(strict=False)]] = []


class NewMerchant(_Terms):
    """A merchant to be made: whose it is, where cases are mailed to, and where callbacks go."""

    merchant: Identifier
    name: Line
    email: Mail
    callback_url: Line


class MerchantChange(_Terms):
    """What is named is changed; a timeout, or a part of how mails look, that is null is taken away."""

    name: Line = _LEFT_OUT
    email: Mail = _LEFT_OUT
    callback_url: Line = _LEFT_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new merchant's key and callback secret, which are shown this once."""

    merchant: str
    api_key: str
    callback_secret: str


def add_merchant(engine: Engine, fields: Mapping[str, object], *, allow_hosts: Collection[str]) -> Made:
    """Make a merchant with its endpoint and its first key.

    Raises:
        Unusable: a field cannot be used.
        MerchantExists: the id is taken.
    """
    terms = _checked(NewMerchant, fields)
    url = _reachable(terms.callback_url, allow_hosts)
    with engine.begin() as connection:
        key, secret = merchants.add(connection, terms.merchant, _columns(terms), url=url)
    return Made(merchant=terms.merchant, api_key=key.token, callback_secret=secret)


def change_merchant(
    engine: Engine, merchant: str, fields: Mapping[str, object], *, allow_hosts: Collection[str]
) -> str | None:
    """Change what is named; return the secret of the endpoint if the merchant had none before.

    Raises:
        Unusable: a field cannot be used.
        UnknownMerchant: nobody has this id.
    """
    terms = _checked(MerchantChange, fields)
    url = _reachable(terms.callback_url, allow_hosts) if "callback_url" in terms.model_fields_set else None
    with engine.begin() as connection:
        merchants.change(connection, merchant, _columns(terms), url=url)
        if url is not None and not merchants.has_endpoint(connection, merchant):
            return merchants.add_endpoint(connection, merchant, url)
    return None


_T = TypeVar("_T", bound=_Terms)


def _checked(model: type[_T], fields: Mapping[str, object]) -> _T:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise Unusable(*field_errors(error, model=model)) from None


def _reachable(url: str, allow_hosts: Collection[str]) -> str:
    why = refusal_of(url, frozenset(host.lower() for host in allow_hosts))
    if why is not None:
        raise Unusable(FieldError(field="callback_url", reason=why))
    return url


def _columns(terms: _Terms) -> Mapping[str, Any]:
    """Return what was named, under the store's names."""
    given = terms.model_dump(exclude_unset=True, exclude={"merchant", "callback_url"})
    if "tolerance" in given:
        given["tolerance"] = Decimal(given["tolerance"])
    if "checks" in given:
        given["checks"] = [one for one in CHECKS if one in given["checks"]]
    if "mail_statuses" in given:
        given["mail_statuses"] = sorted({str(status) for status in given["mail_statuses"]})
    return given
