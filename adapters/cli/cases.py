"""`trueup cases`: what no rule could decide, and what a person made of it."""

import getpass
import secrets
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from adapters import messages
from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.servers import database, reach
from adapters.persistence import queries
from adapters.persistence.cases import close_cases
from adapters.persistence.columns import run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.outbox import store
from config.providers import load_providers
from config.settings import load
from domain.model.case import CaseKind
from domain.model.due_work import Due, Work

app = typer.Typer(help="What no rule could decide.")

Id = Annotated[int, typer.Argument(metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

# Orders in these have to go on somehow: without a plan, their case is all that keeps them from going dark.
_OWING: Final = frozenset({"NEW", "PENDING", "REFUND_PENDING"})
_SETTLED_BY_HAND: Final = frozenset({"LATE_PAYMENT", "AMOUNT_MISMATCH"})


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
    columns = ("id", "kind", "merchant", "order", "amount_at_risk", "currency", "opened_at", "closed_at", "known")
    show_table("cases", columns, ([row[column] for column in columns] for row in found))


@app.command()
def show(case: Id, json: Json = False) -> None:
    """Show one case."""
    with database() as engine, engine.connect() as connection:
        found = _found(connection, case)
    if json:
        show_json(json_of(found))
        return
    for name, value in found.items():
        if value is not None and value != {}:
            say(f"{name}: {text(value)}")


@app.command()
def close(
    case: Id,
    note: Annotated[str, typer.Option(help="What was found out and done.")],
    resolve: Annotated[bool, typer.Option("--resolve", help="Mark its UNRESOLVED order RESOLVED.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Take up again at once what was given up.")] = False,
) -> None:
    """Close a case with a note; what it stood for must have ended or go on."""
    if not note.strip():
        raise Refused("--note: is blank")
    actor = f"operator:{getpass.getuser()}"
    with database() as engine:
        with engine.connect() as connection:
            found = _found(connection, case)
        _check(found, resolve=resolve, resume=resume)
        order_goes_on = resume and found["stream"] is None and found["command"] is None
        if resolve or order_goes_on:
            _command(found, note=note, resolve=resolve, actor=actor)
        with engine.begin() as connection:
            now = run(connection, "SELECT now()").scalar_one()
            if resume and not order_goes_on:
                work = Work.DELIVER if found["stream"] is not None else Work.COMMAND
                SqlDueWork(connection, now).plan([(found["subject"], found["lane"], Due(work=work, at=now))])
            _may_close(connection, case)
            told = close_cases(connection, [(found["subject"], CaseKind(found["kind"]), note, actor)], now=now)
            store(connection, told, now=now)
    say(f"case {case} is closed")


def _found(connection: Connection, case: int) -> Any:
    found = queries.case(connection, case)
    if found is None:
        raise Refused(f"ID: there is no case {case}")
    return found


def _check(found: Any, *, resolve: bool, resume: bool) -> None:
    if found["closed_at"] is not None:
        raise Refused(f"ID: case {found['id']} was closed by {found['closed_by']} at {text(found['closed_at'])}")
    if resolve and found["status"] != "UNRESOLVED":
        raise Refused("--resolve: it is for the case of an UNRESOLVED order")
    is_about_work = found["stream"] or found["command"] or found["order_id"] == found["subject"]
    if resume and not is_about_work:
        raise Refused("--resume: the case stands for nothing that could go on")


def _may_close(connection: Connection, case: int) -> None:
    """Refuse to close what alone keeps its subject from going dark (I2)."""
    found = _found(connection, case)
    if found["status"] == "UNRESOLVED" and found["kind"] in _SETTLED_BY_HAND and found["closed_at"] is None:
        raise Refused("close: the order is UNRESOLVED; add --resolve once it is settled")
    is_own = found["order_id"] == found["subject"]
    owes = is_own and (found["status"] in _OWING or bool(found["watching"]))
    if (owes or found["stream"] or found["command"]) and not found["planned"]:
        raise Refused("close: nothing is planned for what the case stands for; add --resume to take it up again")


def _command(found: Any, *, note: str, resolve: bool, actor: str) -> None:
    """Give the order the command that its case asks for, by the inbox as everybody does."""
    # Opened late: no other command here needs the providers and their transport.
    from adapters.bootstrap import open_application  # noqa: PLC0415

    settings = load()
    if found["provider"] not in load_providers(settings.providers):
        raise Refused(f"TRUEUP_PROVIDERS: does not name the order's provider {found['provider']!r}")
    name = "intake.resolve_order" if resolve else "intake.poll_order"
    fields = {"merchant": found["merchant"], "order": found["order"], **({"note": note} if resolve else {})}
    with reach(settings) as reached:
        application = open_application(reached.settings, role="trueup-cli")
        try:
            # A key of its own: asking for the same a second time is no repeat.
            trace = secrets.token_hex(8)
            parsed = messages.parse(name, fields, trace=trace, channel="cli", actor=actor, key=f"case:{trace}")
            for error in (error for message in parsed.refused for error in message.errors):
                raise Refused(f"close: {error.field}: {error.reason}")
            application.receive(parsed.accepted)
        finally:
            application.close()
