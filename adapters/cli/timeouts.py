"""`trueup timeouts`: transactions that timed out, and how far undoing them is."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.plans import next_of, obstacles_of, stage_of
from adapters.cli.servers import database
from adapters.cli.telling import tell
from adapters.persistence import queries, timeouts
from adapters.persistence.reversals import SqlReversals
from adapters.policies import policy_of
from config.providers import ProviderSettings, load_providers
from config.settings import load
from domain.model.case import CaseKind
from domain.model.due_work import Work
from domain.model.policy import ProviderPolicy
from domain.model.reversal import Reversal
from domain.model.transaction import ReversalOutcome
from domain.rules.reversal import last_attempt_at, needs_a_person

app = typer.Typer(help="Transactions that timed out, and how far undoing them is.")

Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="The payment's id at its provider.")]
Provider = Annotated[str | None, typer.Option(help="Needed where two providers have the reference.")]
Merchant = Annotated[str | None, typer.Option(help="Only what is theirs.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

_LISTED: Final = ("attempts_made", "intents", "cases")
_ENDED: Final = {
    ReversalOutcome.DECLINED: "nothing was taken, so nothing is to be undone",
    ReversalOutcome.ALREADY_REVERSED: "it was undone before, and not by us",
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


@app.command("list")
def show_all(
    merchant: Merchant = None,
    provider: Annotated[str | None, typer.Option(help="Only those at this provider.")] = None,
    outcome: Annotated[ReversalOutcome | None, typer.Option(help="Only those that ended like this.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 100,
    json: Json = False,
) -> None:
    """List the timeouts that were reported, the youngest first."""
    with database() as engine, engine.connect() as connection:
        found = timeouts.page(
            connection, merchant=merchant, provider=provider, outcome=outcome, only_open=only_open, limit=limit
        )
    if json:
        show_json([json_of(row) for row in found])
        return
    columns = ("merchant", "provider", "reference", "order", "amount", "currency", "outcome", "attempts", "settles_at")
    show_table("timeouts", columns, ([row[column] for column in columns] for row in found))


@app.command()
def show(reference: Reference, provider: Provider = None, merchant: Merchant = None, json: Json = False) -> None:
    """Show one: what was reported, every attempt with what came of it, and how it stands."""
    with database() as engine, engine.connect() as connection:
        found = timeouts.one(connection, _found(connection, reference, provider, merchant)["id"])
    if json:
        show_json(_as_json(found))
        return
    for name, value in found.items():
        if not isinstance(value, list | dict) and value is not None:
            say(f"{name}: {text(value)}")
    for part in _LISTED:
        if found[part]:
            columns = list(found[part][0])
            show_table(f"\n{part.replace('_', ' ')}", columns, (list(row.values()) for row in found[part]))


@app.command()
def why(reference: Reference, provider: Provider = None, merchant: Merchant = None, json: Json = False) -> None:
    """Say what happens next with one, when and by which rule; or how it ended."""
    providers = load_providers(load().providers)
    with database() as engine, engine.connect() as connection:
        found = _found(connection, reference, provider, merchant)
        reversal = SqlReversals(connection, queries.now(connection), None).get_many([found["id"]])[found["id"]]
        due = queries.due_of(connection, reversal.id)
        cases = queries.open_cases_of(connection, reversal.id)
        was_reported = timeouts.settlement_was_reported(connection, {**found, "reference": reference})
    settings = providers.get(reversal.provider)
    reasons = [
        *_standing(reversal, due, settings),
        f"it settles at {text(reversal.settles_at)}: {_source(settings, was_reported=was_reported)}",
        *(_case(case) for case in cases),
    ]
    if json:
        show_json(
            {
                "merchant": reversal.merchant,
                "provider": reversal.provider,
                "reference": reversal.reference,
                "outcome": reversal.outcome,
                "settles_at": reversal.settles_at,
                "next": due,
                "cases": [json_of(case) for case in cases],
                "why": reasons,
            }
        )
        return
    for reason in reasons:
        say(reason)


@app.command()
def forward(reference: Reference, provider: Provider = None, merchant: Merchant = None) -> None:
    """Bring the next attempt forward to now; it asks first, whatever was planned."""
    with database() as engine:
        with engine.connect() as connection:
            found = _found(connection, reference, provider, merchant)
        fields = {"merchant": found["merchant"], "provider": found["provider"], "reference": reference}
        for error in tell("intake.reverse_now", fields):
            raise Refused(f"{error.field.upper()}: {error.reason}")
    say(f"{found['provider']} {reference} is asked about now")


def _found(connection: Connection, reference: str, provider: str | None, merchant: str | None) -> Any:
    found = timeouts.find(connection, reference, provider=provider, merchant=merchant)
    if not found:
        at = "" if provider is None else f" at {provider!r}"
        whose = "" if merchant is None else f" by {merchant!r}"
        raise Refused(f"REFERENCE: no timeout of {reference!r}{at} was reported{whose}")
    if len(found) > 1:
        names = ", ".join(f"{row['provider']} (of {row['merchant']})" for row in found)
        raise Refused(f"--provider: is needed, for {names} have a payment {reference!r}")
    return found[0]


def _standing(reversal: Reversal, due: Any, settings: ProviderSettings | None) -> list[str]:
    """Return sentences, the most telling first."""
    name = f"{reversal.merchant} {reversal.provider} {reversal.reference}"
    if reversal.outcome is not None:
        return [f"{name} has ended as {reversal.outcome}: {_ENDED[reversal.outcome]}", *_known(reversal)]
    policy = None if settings is None else policy_of(reversal.provider, settings)
    said = [f"{name} is being undone", *_known(reversal)]
    if due is None:
        return [*said, "nothing is planned: see its case, or run `trueup verify`"]
    rule = [f"TRUEUP_PROVIDERS does not name its provider {reversal.provider!r}"]
    return [*said, next_of(due), *(rule if policy is None else _rule(reversal, due, policy)), *obstacles_of(due)]


def _known(reversal: Reversal) -> list[str]:
    """Say what is known of the original, and what an end leaves of it."""
    if reversal.last_answer is None:
        said = "the provider has not been asked yet"
    else:
        what = reversal.last_answer.replace("_", " ")
        status = f", status {reversal.provider_status}" if reversal.provider_status is not None else ""
        said = f"the last query, at {text(reversal.last_asked_at)}, brought: {what}{status}"
    outcome = reversal.outcome
    if outcome not in (ReversalOutcome.SETTLEMENT_PASSED, ReversalOutcome.EXHAUSTED):
        return [said]
    if needs_a_person(reversal, outcome):
        return [said, f"{text(reversal.amount)} {reversal.currency.code} may have been taken: it needs a person"]
    return [said, "it was never on record, and so nothing is at risk"]


def _rule(reversal: Reversal, due: Any, policy: ProviderPolicy) -> Sequence[str]:
    """Say by which rule the next step is planned. A lease hides the plan behind its own end."""
    used = f"{reversal.attempts} of {policy.most_attempts} answered attempts are used"
    if due["kind"] == Work.VOID:
        return [used, "the last query found it approved; after the void it is asked about again"]
    return [used] if due["leased"] else [used, _planned(reversal, due, policy)]


def _planned(reversal: Reversal, due: Any, policy: ProviderPolicy) -> str:
    last = last_attempt_at(reversal, policy)
    if due["due_at"] >= reversal.settles_at:
        return "no attempt is left before settlement: what is known then decides"
    if due["due_at"] == last:
        return "this attempt is the one that is kept for just before settlement"
    if due["due_at"] > last:
        return "the attempt just before settlement left something open, and is made again until then"
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


def _as_json(found: Any) -> dict[str, Any]:
    return {
        name: [json_of(row) for row in value] if isinstance(value, list) else value
        for name, value in json_of(found).items()
    }
