"""Deliveries asked for once more: of one event, of all that was given up, or of a part of what happened."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine

from adapters.administration.acting import Person, acting
from adapters.administration.endpoints import Types
from adapters.administration.merchants import Unusable
from adapters.messages.fields import Instant, instant
from adapters.messages.reasons import field_errors
from adapters.persistence import endpoints, keys, redeliveries
from adapters.persistence.keys import UnknownMerchant
from domain.model.command import FieldError


class Redelivering(BaseModel):
    """What is delivered once more; what is left out leaves nothing out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    endpoint: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="Only to this endpoint; to every one that gets it, if left out."
    )
    since: Instant | None = Field(default=None, alias="from", description="Only what happened then or later.")
    until: Instant | None = Field(default=None, alias="to", description="Only what happened before.")
    types: Types | None = None


class RangeRedelivering(Redelivering):
    """What is delivered once more, whatever became of it: from a time, or behind a cursor of the feed of events."""

    after: Annotated[str, Field(max_length=200, pattern="^[A-Za-z0-9_-]*$")] | None = Field(
        default=None, description="Only what stands behind this cursor of `GET /events`; empty for all there is."
    )


def wanted_of(
    engine: Engine, asked: Mapping[str, object], *, merchant: str | None, model: type[Redelivering] = Redelivering
) -> tuple[redeliveries.Wanted, Redelivering]:
    """Return what is asked for, of this merchant or of any, and as it was asked.

    Raises:
        Unusable: a field cannot be used; the merchant is the field `merchant`.
    """
    try:
        said = model.model_validate(dict(asked))
    except ValidationError as error:
        raise Unusable(*field_errors(error, model=model)) from None
    since, until = (None if text is None else instant(text) for text in (said.since, said.until))
    if since is not None and until is not None and since >= until:
        late, early = ("is later than", "is earlier than") if since > until else ("is the same as", "is the same as")
        raise Unusable(
            FieldError(field="from", reason=f"{late} `to`"), FieldError(field="to", reason=f"{early} `from`")
        )
    _check_whose(engine, said.endpoint, merchant)
    types = None if said.types is None else [str(one) for one in said.types]
    wanted = redeliveries.Wanted(merchant=merchant, endpoint=said.endpoint, types=types, since=since, until=until)
    return wanted, said


def _check_whose(engine: Engine, endpoint: int | None, merchant: str | None) -> None:
    with engine.begin() as connection:
        if merchant is not None:
            try:
                keys.lock(connection, merchant)
            except UnknownMerchant as error:
                raise Unusable(FieldError(field="merchant", reason=str(error))) from None
        if endpoint is not None and not endpoints.listed(connection, merchant=merchant, endpoint=endpoint):
            raise Unusable(FieldError(field="endpoint", reason=f"there is no endpoint {endpoint}"))


def note(engine: Engine, endpoint: int | None, person: Person, details: Mapping[str, Any]) -> None:
    """Keep with its endpoint that something is delivered there once more."""
    if endpoint is not None:
        with acting(engine, person) as connection:
            endpoints.keep_step(connection, endpoint, "redelivered", actor=person.actor, details=details)
