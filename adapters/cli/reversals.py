"""What `trueup timeouts why` says: what happens next with a timed-out transaction, or how it ended."""

from collections.abc import Sequence
from typing import Any, Final

from adapters.cli.output import text
from adapters.cli.plans import next_of, obstacles_of, stage_of
from adapters.policies import policy_of
from config.providers import ProviderSettings
from domain.model.case import CaseKind
from domain.model.due_work import Work
from domain.model.policy import ProviderPolicy
from domain.model.reversal import LastAnswer, Reversal
from domain.model.transaction import ReversalOutcome
from domain.rules.reversal import last_attempt_at

_ENDED: Final = {
    ReversalOutcome.DECLINED: "nothing was taken, so nothing is to be undone",
    ReversalOutcome.ALREADY_REVERSED: "it was undone already, by somebody or by the order's own cancel",
    ReversalOutcome.VOIDED: "the provider has voided it under our key",
    ReversalOutcome.SETTLEMENT_PASSED: "its settlement has passed: a void is impossible now",
    ReversalOutcome.EXHAUSTED: "its attempts are used up",
}
_TO_DO: Final = {
    CaseKind.SETTLED_UNREVERSED: "find out whether the money was taken, and give it back by a refund; then close it",
    CaseKind.REVERSAL_EXHAUSTED: "have the provider void it before it settles, or refund it afterwards; then close it",
    CaseKind.CONTRADICTION: "settle with the merchant which is true, the timeout or the order; then close it",
    CaseKind.STUCK: "mend what the last error says; then close it with --resume",
}


def reasons_of(
    reversal: Reversal, due: Any, cases: Any, settings: ProviderSettings | None, *, was_reported: bool | None
) -> list[str]:
    """Return sentences, the most telling first; `was_reported` says whether the report brought the settlement time."""
    return [
        *_standing(reversal, due, settings),
        f"it settles at {text(reversal.settles_at)}: {_source(settings, was_reported=was_reported)}",
        *(_case(case) for case in cases),
    ]


def _standing(reversal: Reversal, due: Any, settings: ProviderSettings | None) -> list[str]:
    name = f"{reversal.merchant} {reversal.provider} {reversal.reference}"
    if reversal.outcome is not None:
        return [f"{name} has ended as {reversal.outcome}: {_ENDED[reversal.outcome]}", *_known(reversal)]
    policy = None if settings is None else policy_of(reversal.provider, settings)
    said = [f"{name} is being undone", *_known(reversal, in_shadow=bool(due and due["shadow"]))]
    if due is None:
        return [*said, "nothing is planned: see its case, or run `trueup verify`"]
    rule = [f"TRUEUP_PROVIDERS does not name its provider {reversal.provider!r}"]
    return [*said, next_of(due), *(rule if policy is None else _rule(reversal, due, policy)), *obstacles_of(due)]


def _known(reversal: Reversal, *, in_shadow: bool = False) -> list[str]:
    """Say what is known of the original, and what an end leaves of it."""
    if reversal.last_answer is None:
        said = "of what it was asked in shadow nothing is kept" if in_shadow else "the provider has not been asked yet"
    else:
        what = reversal.last_answer.replace("_", " ")
        status = f"; it is {reversal.provider_status}" if reversal.provider_status is not None else ""
        said = f"the last query, at {text(reversal.last_asked_at)}, brought: {what}{status}"
    outcome = reversal.outcome
    if outcome not in (ReversalOutcome.SETTLEMENT_PASSED, ReversalOutcome.EXHAUSTED):
        return [said]
    if reversal.on_record or reversal.last_answer is not LastAnswer.NO_RECORD:
        amount = reversal.currency.render(reversal.amount)
        return [said, f"{amount} {reversal.currency.code} may have been taken: it needs a person"]
    return [said, "it was never on record"]


def _rule(reversal: Reversal, due: Any, policy: ProviderPolicy) -> Sequence[str]:
    """Say by which rule the next step is planned. A lease hides the plan behind its own end."""
    used = f"{reversal.attempts} of {policy.most_attempts} answered attempts are used"
    if due["kind"] == Work.VOID:
        return [used, "the last query found it approved; after the void it is asked about again"]
    return [used] if due["leased"] else [used, _planned(reversal, due, policy)]


def _planned(reversal: Reversal, due: Any, policy: ProviderPolicy) -> str:
    last = last_attempt_at(reversal, policy)
    if max(due["due_at"], due["now"]) >= reversal.settles_at:
        return "at its settlement it is asked a last time, and what is known then decides; nothing is voided any more"
    if due["due_at"] == last:
        return "this attempt is the one that is kept for just before settlement"
    if due["due_at"] > last:
        return "its settlement is near, and it is asked again and again until then"
    if due["step"] == 0:
        return "the first attempt is made at once, and so is one that was brought forward"
    stage = stage_of(policy.retries, due["step"])
    return f"by step {due['step'] + 1} of its cadence: {stage}; sooner after a call that told nothing"


def _source(settings: ProviderSettings | None, *, was_reported: bool | None) -> str:
    """Say where the settlement time came from; it was settled when the timeout was reported."""
    if was_reported:
        return "so said the report"
    if settings is None:
        return "so it was settled when the timeout was reported"
    calendar = "24 hours after it occurred" if settings.settlement is None else "by the provider's settlement calendar"
    return calendar if was_reported is False else f"so said the report, or it is {calendar}"


def _case(case: Any) -> str:
    what = f"case {case['id']} {case['kind']}, open since {text(case['opened_at'])}: {case['known']}"
    to_do = _TO_DO.get(case["kind"])
    return what if to_do is None else f"{what}. A person must decide: {to_do}"
