"""`trueup messages`: what was refused, and is kept."""

from typing import Annotated

import typer

from adapters.cli.output import show_json, show_table
from adapters.cli.servers import database
from adapters.persistence import listings

app = typer.Typer(help="What came in and was refused.")

_COLUMNS = ("id", "refused_at", "times", "merchant", "order", "name", "channel")


@app.callback()
def messages() -> None:
    """What came in and was refused."""


@app.command("refused")
def show_refused(
    merchant: Annotated[str | None, typer.Option(help="Only what names them.")] = None,
    after: Annotated[int | None, typer.Option(help="The last ID of the page that went before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="For programs; with the messages themselves.")] = False,
) -> None:
    """List what was refused, messages and commands that were kept first alike, what was refused last first."""
    with database() as engine, engine.connect() as connection:
        before = None if after is None else (after,)
        found = listings.refused(connection, limit=limit, before=before, merchant=merchant)
    if json:
        show_json(found)
        return
    rows = (
        [*(row[column] for column in _COLUMNS), "; ".join(f"{one['field']}: {one['reason']}" for one in row["errors"])]
        for row in found
    )
    show_table("refused", [*_COLUMNS, "why"], rows)
