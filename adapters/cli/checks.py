"""`trueup config`, `migrate` and `verify`: whether things are as they should be."""

import sys
from typing import Annotated

import typer

from adapters.cli.output import say, show_json, show_table
from adapters.cli.servers import database, running
from adapters.persistence import verify as verification
from adapters.persistence.migrate import upgrade
from adapters.providers import providers_of
from config.settings import describe, load

Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def config(
    json: Json = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="With passwords and keys.")] = False,
) -> None:
    """Print the settings in force, secrets hidden; and where the embedded servers are, while they run."""
    settings = load()
    providers = providers_of(settings.providers)
    met, embedded = running(settings)
    described = [
        (name, value, "embedded" if name in embedded else origin)
        for name, value, origin in describe(met, secrets=show_secrets)
    ]
    if json:
        named = {name: {"value": value, "from": origin} for name, value, origin in described}
        show_json({"settings": named, "providers": sorted(providers)})
        return
    show_table("settings", ("setting", "value", "from"), described)
    say(f"providers: {', '.join(sorted(providers)) or 'none'}")


def migrate() -> None:
    """Bring the schema up to date."""
    with database() as engine:
        upgrade(engine)
    say("the schema is up to date")


def verify(json: Json = False) -> None:
    """Check the design's invariants on the live database; exit status 1 if one is broken."""
    with database() as engine:
        breaches = verification.verify(engine)
        late = verification.overdue(engine)
    if json:
        show_json({"breaches": breaches, "warnings": late})
    else:
        for breach in breaches:
            say(f"{breach.invariant} {breach.subject}: {breach.message}")
        for warning in late:
            print(f"warning: {warning.subject}: {warning.message}", file=sys.stderr)
        if not breaches:
            say("nothing is wrong")
    if breaches:
        raise typer.Exit(1)
