"""`trueup backlog`: what waits."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from adapters.cli.output import say, show_json, show_table
from adapters.cli.servers import database
from adapters.persistence import queries

Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def backlog(json: Json = False) -> None:
    """Show what is due and what waits, by kind of work and lane, and what stands in its way."""
    with database() as engine, engine.connect() as connection:
        found = queries.backlog(connection)
    if json:
        show_json(found)
        return
    show_table(
        "due work",
        ("kind", "lane", "due", "oldest", "leased", "suspects", "later"),
        (
            (row["kind"], _lane(row), row["due"], _age(row), row["leased"], row["suspects"], row["later"])
            for row in found["work"]
        ),
    )
    show_table("lanes that are held up", ("lane", "why"), ((_lane(row), why_held(row)) for row in found["lanes"]))
    show_table(
        "open cases", ("kind", "open", "oldest"), ((row["kind"], row["open"], row["oldest"]) for row in found["cases"])
    )
    show_table(
        "sanity queues",
        ("merchant", "pending", "oldest", "retriggers under way"),
        ((row["merchant"], row["pending"], _age(row), row["retriggers_open"]) for row in found["sanity_queues"]),
    )
    say(f"commands waiting for their order: {found['commands_waiting']}")
    say(f"messages refused: {found['messages_refused']}, {found['commands_refused']} of them kept as commands first")
    say(f"callback streams pending: {found['callback_streams_pending']}")


def why_held(lane: Any) -> str:
    """Say what keeps a lane from working as usual."""
    reasons = [
        _disabled(lane) if lane["disabled"] else "paused by an operator" if lane["paused"] else None,
        f"left alone until {lane['paused_until']:%H:%M:%S}Z" if lane["paused_until"] is not None else None,
        f"{lane['failures']} failures in a row" if lane["failures"] else None,
        "no effects are asked for" if lane["no_effects"] else None,
        "shadow: nothing is saved" if lane["shadow"] else None,
    ]
    return ", ".join(reason for reason in reasons if reason)


def _disabled(lane: Any) -> str:
    """Say who disabled the lane's endpoint, and why; of what was disabled long ago that is not known."""
    by = "" if lane["disabled_by"] is None else f" by {lane['disabled_by']}"
    return f"its endpoint is disabled{by}" + ("" if lane["disabled_why"] is None else f": {lane['disabled_why']}")


def _lane(row: Any) -> str:
    return f"{row['family']} {row['lane']}"


def _age(row: Any) -> str:
    seconds = row["oldest_seconds"]
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))
