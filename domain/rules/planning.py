"""When an order is looked at next, and as what."""

from datetime import timedelta
from typing import Final

from domain.model.case import CaseKind, CaseOpening
from domain.model.decision import EntryKind
from domain.model.due_work import Due, Work
from domain.model.order import Order, OrderStatus, PaymentKind
from domain.model.policy import Cadence, ProviderPolicy
from domain.rules.cadence import delay_at
from domain.rules.deadlines import live_deadline
from domain.rules.draft import Draft
from domain.rules.order_lifecycle import OPEN

POLLED: Final = OPEN | {OrderStatus.REFUND_PENDING}
# A provider may ask for patience, but not for more than this.
LONGEST_RETRY_AFTER: Final = timedelta(minutes=15)


def is_closing(order: Order, draft: Draft) -> bool:
    """Whether the order is to be closed: a deadline has passed, or somebody asked to cancel."""
    if order.status not in OPEN:
        return False
    deadline = live_deadline(order)
    return order.cancel_request is not None or (deadline is not None and deadline.at <= draft.now)


def plan(draft: Draft, policy: ProviderPolicy, *, step: int) -> None:
    """Plan the next look at an order that is not being closed; `step` counts the looks of this phase so far."""
    order = draft.order
    if order.status in POLLED:
        draft.due = next_poll(order, policy, draft, step=step)
        if draft.due is None:
            give_up(
                draft,
                CaseKind.POLLING_EXHAUSTED,
                "the provider was asked as often as is planned, and said nothing final; it is asked no more",
            )
    elif order.watching:
        _plan_watch(draft, policy, step=step)
    else:
        draft.due = None


def next_poll(order: Order, policy: ProviderPolicy, draft: Draft, *, step: int) -> Due | None:
    """Return the next poll, or the deadline where that comes first; None where the plan is used up.

    A deadline is asked about whatever the stages say, so an order with a live one never runs out of plan.
    """
    cadence = polling_of(order, policy)
    delay = delay_at(cadence, step, seed=order.id)
    at = None if delay is None else draft.now + delay
    began = max(order.created_at, order.changed_at)
    if at is not None and cadence.max_age is not None and at - began > cadence.max_age:
        at = None
    deadline = live_deadline(order) if order.status in OPEN else None
    if deadline is not None and (at is None or deadline.at <= at):
        return Due(work=Work.CLOSE, at=max(deadline.at, draft.now))
    return None if at is None else Due(work=Work.POLL, at=at, step=step)


def polling_of(order: Order, policy: ProviderPolicy) -> Cadence:
    """Most specific first: the order's network, else the provider's."""
    return policy.networks.get(order.network or "", policy.polling)


def watch_of(order: Order, policy: ProviderPolicy) -> Cadence:
    return policy.watch_crypto if order.kind is PaymentKind.CRYPTO else policy.watch


def give_up(draft: Draft, kind: CaseKind, known: str) -> None:
    """Stop planning, loudly: the case owes the order from now on."""
    order = draft.order
    draft.due = None
    draft.openings.append(
        CaseOpening(
            kind=kind, known=known, provider_says=order.transaction.provider_status, amount_at_risk=order.amount
        )
    )


def patience(retry_after: timedelta | None) -> timedelta:
    """How long a provider that named a time is left alone."""
    return min(retry_after or timedelta(), LONGEST_RETRY_AFTER)


def could_not_ask(
    draft: Draft, policy: ProviderPolicy, *, work: Work, step: int, retry_after: timedelta | None
) -> None:
    """Plan to ask again without counting the failed call; nothing else follows from it (I4)."""
    order = draft.order
    delay = delay_at(polling_of(order, policy), step, seed=order.id) or policy.could_not_ask
    wait = max(min(delay, policy.could_not_ask), patience(retry_after))
    at = draft.now + wait
    deadline = live_deadline(order) if order.status in OPEN else None
    if deadline is not None and draft.now < deadline.at < at:
        draft.due = Due(work=Work.CLOSE, at=deadline.at)
    elif work is Work.POLL and is_closing(order, draft):
        draft.due = Due(work=Work.CLOSE, at=at)
    else:
        draft.due = Due(work=work, at=at, step=step)
    if _asked_in_vain_for_too_long(draft, policy):
        draft.openings.append(
            CaseOpening(
                kind=CaseKind.POLLING_EXHAUSTED,
                known="the provider does not answer, and the order is long past its time; it is asked on",
                provider_says=order.transaction.provider_status,
                amount_at_risk=order.amount,
            )
        )


def _asked_in_vain_for_too_long(draft: Draft, policy: ProviderPolicy) -> bool:
    """A provider that cannot be asked closes nothing, but it must not go unnoticed either."""
    order = draft.order
    if order.status not in POLLED:
        return False
    deadline = live_deadline(order) if order.status in OPEN else None
    request = order.cancel_request
    begins = [one.at for one in (deadline, request) if one is not None]
    if begins:
        return draft.now - min(begins) > policy.unreachable_case_after
    longest = polling_of(order, policy).max_age
    return longest is not None and draft.now - max(order.created_at, order.changed_at) > longest


def _plan_watch(draft: Draft, policy: ProviderPolicy, *, step: int) -> None:
    cadence = watch_of(draft.order, policy)
    delay = delay_at(cadence, step, seed=draft.order.id)
    if delay is None:
        draft.end_watch()
        draft.note(EntryKind.WATCH_ENDED)
    else:
        draft.due = Due(work=Work.WATCH, at=draft.now + delay, step=step)
