"""`trueup cases`: what no rule could decide, and what a person made of it."""

from typing import Annotated

import typer

from adapters.administration.cases import CaseStaysOpen, UnknownCase, close_case, show_case
from adapters.cli.grammar import Listed
from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.servers import database
from adapters.cli.telling import actor, tell, trace
from adapters.persistence import queries
from domain.model.case import CaseKind
from domain.rules.case_actions import Action

app = typer.Typer(cls=Listed, help="What no rule could decide.")

Id = Annotated[int, typer.Argument(metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def show_all(
    merchant: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[CaseKind | None, typer.Option()] = None,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 100,
    json: Json = False,
) -> None:
    """List the open cases, the youngest first."""
    with database() as engine, engine.connect() as connection:
        found = queries.cases(connection, merchant=merchant, kind=kind, closed=closed, limit=limit)
    if json:
        show_json([json_of(row) for row in found])
        return
    columns = (
        "id",
        "kind",
        "merchant",
        "order",
        "amount_at_risk",
        "currency",
        "deadline",
        "opened_at",
        "closed_at",
        "known",
    )
    show_table("cases", columns, ([row[column] for column in columns] for row in found))


@app.command()
def show(case: Id, json: Json = False) -> None:
    """Show one case: what is known, what can be done, and every step so far."""
    try:
        with database() as engine, engine.connect() as connection:
            found = show_case(connection, case)
    except UnknownCase as error:
        raise Refused(f"ID: {error}") from None
    if json:
        show_json(json_of(found))
        return
    for name, value in found.items():
        if value is not None and value != {} and name not in {"actions", "entries"}:
            say(f"{name}: {text(value)}")
    for action, effect in found["actions"].items():
        say(f"can be done: --action {action}: {effect}")
    if found["closed_at"] is None:
        choice = f" --action {'|'.join(found['actions'])}" if found["actions"] else ""
        say(f"to close it: trueup cases close {case} --note TEXT{choice}")
    columns = ("at", "kind", "actor", "note", "details")
    show_table("steps", columns, ([entry[column] for column in columns] for entry in found["entries"]))


@app.command()
def close(
    case: Id,
    note: Annotated[str, typer.Option(help="What was found out and done.")],
    action: Annotated[Action | None, typer.Option(help="What is to be done; `cases show` says what can be.")] = None,
    resolve: Annotated[bool, typer.Option("--resolve", help="Mark its UNRESOLVED order RESOLVED.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Take up again at once what was given up.")] = False,
) -> None:
    """Close a case with a note; what it stood for must have ended or go on."""
    if not note.strip():
        raise Refused("--note: is blank")
    try:
        with database() as engine:
            close_case(
                engine,
                case,
                note=note,
                action=action,
                resolve=resolve,
                resume=resume,
                actor=actor(),
                command=tell,
                trace=trace(),
            )
    except UnknownCase as error:
        raise Refused(f"ID: {error}") from None
    except CaseStaysOpen as error:
        raise Refused(f"--{error.field}: {error.reason}") from None
    say(f"case {case} is closed")
