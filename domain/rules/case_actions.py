"""What each kind of case means, and what a person can do about it. One row for each kind, one for each action."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from domain.model.case import CaseKind
from domain.model.order import OrderStatus
from domain.rules.order_lifecycle import OPEN


class Action(StrEnum):
    RESOLVE = "resolve"
    ASK = "ask"
    CANCEL = "cancel"
    RETRY = "retry"
    REFUSE = "refuse"
    REDELIVER = "redeliver"
    ENABLE = "enable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of a case's subject when a person looks at it."""

    kind: CaseKind
    status: OrderStatus | None = None  # of its order
    is_order: bool = False  # the subject is the order itself
    cancel_requested: bool = False
    open_reversal: bool = False
    stream: bool = False
    given_up: bool = False  # it is an endpoint's, where events were given up that are not on their way again
    command: bool = False  # one that waits
    parked: bool = False  # other work that was taken out and can be planned again
    disabled_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTerms:
    """What has happened, what can be done by command, and what else may close the case."""

    meaning: str
    actions: tuple[Action, ...]
    closed_by_facts: str | None = None


TERMS: Final[Mapping[CaseKind, CaseTerms]] = MappingProxyType({
    CaseKind.LATE_PAYMENT: CaseTerms(
        meaning="money came for an order that was closed or past its deadline",
        actions=(Action.RESOLVE, Action.ASK),
        closed_by_facts="its merchant resolves the order",
    ),
    CaseKind.AMOUNT_MISMATCH: CaseTerms(
        meaning="more or less was received than was asked for",
        actions=(Action.RESOLVE, Action.ASK),
        closed_by_facts="its merchant resolves the order",
    ),
    CaseKind.CANCEL_IN_DOUBT: CaseTerms(
        meaning="the provider has neither canceled the payment nor called it final",
        actions=(Action.ASK, Action.CANCEL),
        closed_by_facts="the order reaches an end",
    ),
    CaseKind.REVERSAL_EXHAUSTED: CaseTerms(
        meaning="a transaction that timed out was not undone, and the attempts are used up; until the deadline it can "
        "be voided at the provider, after it only be given back",
        actions=(),
    ),
    CaseKind.SETTLED_UNREVERSED: CaseTerms(
        meaning="a transaction that timed out was settled before it was undone; it can only be given back",
        actions=(),
    ),
    CaseKind.CONTRADICTION: CaseTerms(
        meaning="the provider says what cannot be after what it said before",
        actions=(Action.ASK,),
        closed_by_facts="the provider says again what it had said",
    ),
    CaseKind.POLLING_EXHAUSTED: CaseTerms(
        meaning="nothing final was learnt in all the time that there was",
        actions=(Action.ASK, Action.CANCEL),
        closed_by_facts="the order reaches an end",
    ),
    CaseKind.UNDELIVERABLE: CaseTerms(
        meaning="callbacks, or a mail, do not arrive",
        actions=(Action.REDELIVER, Action.ENABLE),
        closed_by_facts="what it is about is delivered",
    ),
    CaseKind.STUCK: CaseTerms(
        meaning="the same work was begun again and again, and never came to an end",
        actions=(Action.RETRY, Action.REFUSE),
        closed_by_facts="the work is done; a command that is stuck is refused at the deadline",
    ),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Option:
    effect: str
    is_possible: Callable[[Circumstances], bool]
    otherwise: str  # why it is not


OPTIONS: Final[Mapping[Action, _Option]] = MappingProxyType({
    Action.RESOLVE: _Option(
        "the order is settled: mark it RESOLVED",
        lambda case: case.status is OrderStatus.UNRESOLVED,
        "it is for the case of an UNRESOLVED order",
    ),
    Action.ASK: _Option(
        "ask the provider again now",
        lambda case: case.is_order or case.open_reversal,
        "the case stands for nothing that could go on",
    ),
    Action.CANCEL: _Option(
        "cancel the payment at the provider, or void what is authorized, and close the order",
        lambda case: case.is_order and case.status in OPEN and not case.cancel_requested,
        "the order is not open, or is being canceled: ask again instead",
    ),
    Action.RETRY: _Option(
        "do now what was given up",
        lambda case: case.is_order or case.open_reversal or case.stream or case.command or case.parked,
        "the case stands for nothing that could go on",
    ),
    Action.REFUSE: _Option(
        "refuse the command that waits, and tell its merchant",
        lambda case: case.command,
        "the case stands for no command that waits",
    ),
    Action.REDELIVER: _Option(
        "deliver once more what was given up",
        lambda case: case.given_up,
        "the case is about no event that was given up",
    ),
    Action.ENABLE: _Option(
        "enable the endpoint, so that what waits goes",
        lambda case: case.disabled_endpoint,
        "the case is about no endpoint that is disabled",
    ),
})  # fmt: skip


# While one of these is possible, nothing else closes the case: what it stands for would go dark, or stay as it is.
NEEDED: Final[Mapping[Action, str]] = MappingProxyType({
    Action.RESOLVE: "the order is UNRESOLVED; `resolve` it once it is settled",
    Action.ENABLE: "the endpoint is disabled and keeps what waits; `enable` lets it go",
})  # fmt: skip


def actions_for(case: Circumstances) -> Mapping[Action, str]:
    """Return what can be done now, with what it does."""
    return {action: OPTIONS[action].effect for action in TERMS[case.kind].actions if refusal_of(case, action) is None}


def refusal_of(case: Circumstances, action: Action) -> str | None:
    """Return why this cannot be done about the case; None if it can."""
    option = OPTIONS[action]
    if not option.is_possible(case):
        return option.otherwise
    if action not in TERMS[case.kind].actions:
        return f"it is not for a case of the kind {case.kind}"
    needed = needed_for(case)
    return None if needed in {None, action} else NEEDED[needed]


def needed_for(case: Circumstances) -> Action | None:
    """Return the one action that the case cannot be closed without, if there is one."""
    listed = TERMS[case.kind].actions
    return next((action for action in NEEDED if action in listed and OPTIONS[action].is_possible(case)), None)


def again(kind: CaseKind) -> Action:
    """Return what "take it up again" means for this kind of case."""
    return Action.RETRY if kind is CaseKind.STUCK else Action.ASK
