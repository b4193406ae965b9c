"""What HTTP answers with about endpoints."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.model.event import EventType


class Endpoint(BaseModel):
    id: int
    merchant: str
    url: str
    types: Sequence[EventType] | None = Field(description="The types of event that it hears of; null for all.")
    waits: Sequence[int] | None = Field(description="Seconds between tries; null for the usual ones.")
    enabled: bool
    failing_since: datetime | None = Field(description="The first failure since anything was delivered there.")
    secrets: int = Field(description="How many are live: two while one replaces the other.")
    streams_waiting: int = Field(description="Orders, and events of no order, of which something is to be delivered.")
    open_case: int | None
    created_at: datetime


class EndpointStep(BaseModel):
    at: datetime
    step: str = Field(description="`added`, `changed`, `enabled`, `disabled`, `rotated`, `finished`, `tested`, ...")
    actor: str
    trace: str | None
    details: Mapping[str, Any]


class EndpointDetail(Endpoint):
    entries: Sequence[EndpointStep] = Field(description="The last thousand steps, the youngest first.")


class EndpointMade(BaseModel):
    """The secret is shown this once: it is null where the answer is given again."""

    endpoint: int
    callback_secret: str | None


class SecretMade(EndpointMade):
    """The new secret, which is shown this once."""


class EndpointTried(BaseModel):
    """What became of a test event."""

    model_config = ConfigDict(from_attributes=True)

    delivered: bool
    status: int | None = Field(description="What the endpoint answered; null where nothing came.")
    why: str | None = Field(description="Why it was not taken.")
    milliseconds: int
