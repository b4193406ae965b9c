"""`trueup`: the operators' command line. It parses, makes one call inward, and shows what came of it."""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import psycopg.errors
import typer
from sqlalchemy.exc import DBAPIError, OperationalError

from adapters.cli import (
    backlog,
    callbacks,
    cases,
    checks,
    mails,
    merchants,
    messages,
    operators,
    orders,
    processes,
    rejected,
    timeouts,
)
from adapters.cli.output import Refused, complain
from adapters.embedded import EmbeddedServersUnavailable
from config.settings import UnusableSettings

UNUSABLE = 2
FAILED = 1

app = typer.Typer(
    help="Keeps merchants' orders true to what the payment providers know.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("config")(checks.config)
app.command("migrate")(checks.migrate)
app.command("up")(processes.up)
app.command("worker")(processes.worker)
app.command("beat")(processes.beat)
app.command("api")(processes.api)
app.command("flower")(processes.flower)
app.command("drain")(processes.drain)
app.command("simulator")(processes.simulator)
app.add_typer(merchants.app, name="merchant")
app.add_typer(operators.app, name="operator")
app.add_typer(orders.app, name="order")
app.command("why")(orders.why)
app.command("backlog")(backlog.backlog)
app.add_typer(cases.app, name="cases")
app.add_typer(mails.app, name="mails")
app.add_typer(messages.app, name="messages")
app.add_typer(timeouts.app, name="timeouts")
app.add_typer(rejected.app, name="rejected")
app.add_typer(callbacks.app, name="callbacks")
app.command("verify")(checks.verify)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(context: typer.Context) -> None:
    """Show everything at work: a simulated provider with faults, orders of every kind, and a report."""
    # Nobody else needs what it imports.
    raise typer.Exit(import_module("adapters.cli.demo").run(context.args))


def main() -> None:
    # What runs ends as with Ctrl-C, so that embedded servers which it started are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; return its exit status."""
    command = typer.main.get_command(app)
    try:
        status = command(list(arguments) or ["--help"], prog_name="trueup", standalone_mode=False)
    except (Refused, UnusableSettings, EmbeddedServersUnavailable) as error:
        complain(str(error))
        return UNUSABLE
    except typer.TyperException as error:
        complain(error.format_message())
        return UNUSABLE
    except typer.Abort:
        return 130
    except DBAPIError as error:
        complain(_said_by_database(error))
        return FAILED
    return status if isinstance(status, int) else 0


def _said_by_database(error: DBAPIError) -> str:
    if isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return "the database has not the schema that is needed; run `trueup migrate`"
    if isinstance(error, OperationalError):
        return f"the database does not answer: {error.orig}"
    raise error
