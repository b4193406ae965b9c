"""The three ways in which something happens to an order, with what a test usually leaves open."""

from datetime import datetime

from domain.model.answer import Answer
from domain.model.command import OrderCommand
from domain.model.decision import CommandState, Decision
from domain.model.due_work import Work
from domain.model.order import Order, Resolution
from domain.model.policy import ProviderPolicy
from domain.model.transaction import Effect
from domain.rules.closing import settle_effect
from domain.rules.commands import apply_command
from domain.rules.draft import Draft
from domain.rules.reconciliation import reconcile
from tests.builders import MINUTES, NOON, a_policy, a_row

SOON = NOON + 1 * MINUTES


def asked(
    order: Order,
    answer: Answer,
    *,
    now: datetime = SOON,
    work: Work = Work.POLL,
    step: int = 0,
    policy: ProviderPolicy | None = None,
) -> Decision:
    """Let the provider answer an inquiry."""
    return reconcile(order, answer, row=a_row(work, step), now=now, policy=policy or a_policy())


def acted(
    order: Order, answer: Answer, *, now: datetime = SOON, step: int = 0, policy: ProviderPolicy | None = None
) -> Decision:
    """Let the provider answer the cancel or void that the order's intent names."""
    assert order.transaction.intent is not None
    work = Work.VOID if order.transaction.intent.effect is Effect.VOID else Work.CANCEL
    return settle_effect(order, answer, row=a_row(work, step), now=now, policy=policy or a_policy())


def commanded(
    order: Order, command: OrderCommand, *, now: datetime = SOON, resolution: Resolution | None = None
) -> tuple[CommandState, Decision]:
    """Say a command of an order; `resolution` is how it was settled, if it is RESOLVED."""
    draft = Draft.of(order, actor="merchant:key", now=now)
    draft.resolution = resolution
    state = apply_command(draft, command, a_policy(), inbox=41)
    return state, draft.decide()
