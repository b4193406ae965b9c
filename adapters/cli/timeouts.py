"""`trueup timeouts`: transactions that timed out, and how far undoing them is."""

from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from adapters.cli.grammar import Listed
from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.reversals import reasons_of
from adapters.cli.servers import database
from adapters.cli.telling import tell
from adapters.persistence import queries, timeouts
from adapters.persistence.reversals import SqlReversals
from adapters.providers import providers_of
from config.settings import load
from domain.model.transaction import ReversalOutcome

app = typer.Typer(cls=Listed, help="Transactions that timed out, and how far undoing them is.")

Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="The payment's id at its provider.")]
Provider = Annotated[str | None, typer.Option(help="Needed where two providers have the reference.")]
Merchant = Annotated[str | None, typer.Option(help="Only what is theirs.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

_LISTED: Final = ("attempts_made", "intents", "cases")


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
            connection, merchant=merchant, provider=provider, outcome=outcome, is_open=only_open or None, limit=limit
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
    providers = providers_of(load().providers)
    with database() as engine, engine.connect() as connection:
        found = _found(connection, reference, provider, merchant)
        reversal = SqlReversals(connection, queries.now(connection), None).get_many([found["id"]])[found["id"]]
        due = queries.due_of(connection, reversal.id)
        cases = queries.open_cases_of(connection, reversal.id)
        was_reported = timeouts.settlement_was_reported(connection, {**found, "reference": reference})
    settings = providers.get(reversal.provider)
    reasons = reasons_of(reversal, due, cases, settings, was_reported=was_reported)
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


def _as_json(found: Any) -> dict[str, Any]:
    return {
        name: [json_of(row) for row in value] if isinstance(value, list) else value
        for name, value in json_of(found).items()
    }
