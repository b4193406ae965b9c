"""Every message by its name: one row for each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from adapters.messages.models import (
    CancelOrder,
    CheckoutCompleted,
    Message,
    PollOrder,
    RecordAttempt,
    RecordOperation,
    RegisterOrder,
    ReportTimeout,
    ResolveOrder,
    ReverseNow,
)
from adapters.messages.reasons import field_errors
from adapters.messages.sanity import MarkFailed, PutMasterData, RetriggerRejected
from domain.model.command import Command, UnreadableBody

BY_NAME: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {
        model.name: model
        for model in (
            RegisterOrder,
            CheckoutCompleted,
            CancelOrder,
            RecordAttempt,
            RecordOperation,
            ResolveOrder,
            PollOrder,
            ReportTimeout,
            ReverseNow,
            PutMasterData,
            RetriggerRejected,
            MarkFailed,
        )
    }
)


def command_of(name: str, body: Mapping[str, Any]) -> Command:
    """Return the command that a kept body says.

    Raises:
        KeyError: no message has this name.
        UnreadableBody: the body does not hold what this version of the message needs.
    """
    try:
        return BY_NAME[name].model_validate(dict(body)).command()
    except ValidationError as error:
        raise UnreadableBody(field_errors(error)) from None
