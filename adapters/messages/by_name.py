"""Every message by its name: one row for each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

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
from adapters.messages.sanity import MarkFailed, PutMasterData, RetriggerRejected
from domain.model.command import Command

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
        ValueError: the body does not hold what this version of the message needs.
    """
    return BY_NAME[name].model_validate(dict(body)).command()
