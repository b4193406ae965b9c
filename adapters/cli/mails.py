"""`trueup mails`: what people are told by mail, and what became of it."""

from typing import Annotated

import typer

from adapters.cli.grammar import Listed
from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.servers import database
from adapters.persistence import mails
from domain.model.mail import MailState

app = typer.Typer(cls=Listed, help="What people are told by mail.")

Id = Annotated[int, typer.Argument(metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def show_all(
    merchant: Annotated[str | None, typer.Option()] = None,
    state: Annotated[MailState | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 100,
    json: Json = False,
) -> None:
    """List mails, the youngest first."""
    with database() as engine, engine.connect() as connection:
        found = mails.listed(connection, merchant=merchant, state=state, limit=limit)
    if json:
        show_json([json_of(row) for row in found])
        return
    columns = ("id", "state", "audience", "merchant", "recipient", "subject", "tries", "error", "created_at")
    show_table("mails", columns, ([row[column] for column in columns] for row in found))


@app.command()
def show(mail: Id, json: Json = False) -> None:
    """Show one mail with all that it says."""
    with database() as engine, engine.connect() as connection:
        found = mails.shown(connection, mail)
    if found is None:
        raise Refused(f"ID: there is no mail {mail}")
    if json:
        show_json(json_of(found))
        return
    for name, value in found.items():
        if value is not None and name not in ("text", "html"):
            say(f"{name}: {text(value)}")
    say(f"\n{found['text']}")


@app.command("send-again")
def send_again(mail: Id, json: Json = False) -> None:
    """Send a mail at once, whatever became of it before; it keeps its name, so that readers know it."""
    with database() as engine, engine.begin() as connection:
        if not mails.send_again(connection, mail):
            raise Refused(f"ID: there is no mail {mail}")
    if json:
        show_json({"mail": mail, "state": MailState.WAITING})
    else:
        say(f"mail {mail} is due")
