"""`trueup rejected`: transactions that master data did not allow, and what is done about them."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from adapters.cli.grammar import Listed
from adapters.cli.output import Refused, json_of, say, show_json, show_table, text
from adapters.cli.servers import database
from adapters.cli.telling import tell
from adapters.persistence import sanity_queue
from domain.model.rejection import RejectionStatus, RejectionType

app = typer.Typer(cls=Listed, help="Transactions that master data did not allow.")

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="As the callback calls it: `rejection`.")]
Merchant = Annotated[str | None, typer.Option(help="Only what is theirs.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_FORMATS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
Since = Annotated[datetime | None, typer.Option("--from", formats=_FORMATS, help="In UTC, or with an offset.")]
Until = Annotated[datetime | None, typer.Option("--to", formats=_FORMATS, help="In UTC, and no longer included.")]
_LATEST: Final = (
    "retrigger",
    "merchant",
    "origin",
    "dry_run",
    "state",
    "total",
    "waiting",
    "added",
    "already_added",
    "still_rejected",
    "failed",
    "started_at",
)


@app.command("list")
def show_all(  # noqa: PLR0917 - each is an option of its own name
    merchant: Merchant = None,
    status: Annotated[RejectionStatus | None, typer.Option()] = None,
    type_: Annotated[RejectionType | None, typer.Option("--type", help="Whether it could be mended.")] = None,
    customer: Annotated[str | None, typer.Option()] = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[int | None, typer.Option(help="The last ID of the page that went before.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List rejected transactions, the youngest first."""
    with database() as engine, engine.connect() as connection:
        found = sanity_queue.page(
            connection,
            merchant=merchant,
            status=status,
            type=type_,
            customer=customer,
            since=_in_utc(since),
            until=_in_utc(until),
            before=after,
            limit=limit,
        )
    if json:
        show_json([_as_json(row) for row in found])
        return
    columns = ("rejection", "merchant", "order", "status", "type", "bill_number", "customer", "rejected_at")
    rows = ([*(row[column] for column in columns), _said(row["reasons"])] for row in found)
    show_table("rejected transactions", [*columns, "why"], rows)


@app.command()
def show(rejection: Annotated[int, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show one: why it was rejected, what became of it, and the message that it came in."""
    with database() as engine, engine.connect() as connection:
        found = sanity_queue.one(connection, rejection)
    if found is None:
        raise Refused(f"ID: there is no rejected transaction {rejection}")
    if json:
        show_json(_as_json(found))
        return
    for name, value in found.items():
        if value is not None:
            say(f"{name}: {_said(value) if name == 'reasons' else text(value)}")


@app.command()
def retrigger(
    transactions: Annotated[list[int] | None, typer.Argument(metavar="[ID...]", help="All pending, if none.")] = None,
    merchant: Annotated[str | None, typer.Option(help="Needed where no ID is given.")] = None,
    name: Annotated[str | None, typer.Option("--id", help="Its name; one is made if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would pass, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Check rejected transactions again, and add those that are completely fixed; workers do it, or `trueup drain`."""
    called = name or f"cli-{secrets.token_hex(6)}"
    with database() as engine:
        with engine.connect() as connection:
            known = sanity_queue.merchants_of(connection, transactions or ())
        whose = _whose(transactions or (), known, merchant)
        named = {"transactions": transactions} if transactions else {}
        _tell("sanity.retrigger", {"merchant": whose, "retrigger": called, "dry_run": dry_run, **named})
    if json:
        show_json({"merchant": whose, "retrigger": called, "dry_run": dry_run})
    else:
        say(f"retrigger {called} is on its way; see: trueup rejected status {called}")


@app.command("mark-failed")
def mark_failed(
    transactions: Ids,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    json: Json = False,
) -> None:
    """Give rejected transactions up, all of them or none."""
    with database() as engine:
        with engine.connect() as connection:
            known = sanity_queue.merchants_of(connection, transactions)
        whose = _whose(transactions, known, None)
        said = {} if note is None else {"note": note}
        _tell("sanity.mark_failed", {"merchant": whose, "transactions": transactions, **said})
    if json:
        show_json({"merchant": whose, "failed": [str(key) for key in transactions]})
    else:
        say(f"{len(transactions)} failed for good")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[RETRIGGER]", help="The latest of all, if left out.")] = None,
    merchant: Merchant = None,
    after: Annotated[int, typer.Option(help="The last ID of the page that went before.")] = 0,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """Say how far a retrigger is, and what is still missing of those that it could not add."""
    with database() as engine, engine.connect() as connection:
        if name is None:
            _show_latest(sanity_queue.latest_retriggers(connection, merchant=merchant, limit=limit), json=json)
            return
        found = sanity_queue.retriggers(connection, name, merchant=merchant)
        if len(found) != 1:
            raise Refused(
                f"RETRIGGER: nothing is called {name!r}"
                if not found
                else f"--merchant: is needed, for {', '.join(row['merchant'] for row in found)} have a {name!r}"
            )
        left = sanity_queue.findings(connection, found[0]["id"], only_open=True, after=after, limit=limit)
    if json:
        show_json({**json_of(found[0]), "not_added": [_as_json(row) for row in left]})
        return
    for field, value in found[0].items():
        if value is not None and field not in {"id", "next"}:
            say(f"{field}: {text(value)}")
    rows = ([row["rejection"], row["order"], row["outcome"], row["why"] or _said(row["reasons"])] for row in left)
    show_table("\nnot added", ["rejection", "order", "outcome", "why"], rows)


def _show_latest(found: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    if json:
        show_json([json_of(row) for row in found])
        return
    show_table("retriggers", _LATEST, ([row[column] for column in _LATEST] for row in found))


def _whose(named: Sequence[int], known: Mapping[int, str], merchant: str | None) -> str:
    """Return whose these are; everything that is done is done for one merchant."""
    unknown = [str(key) for key in named if key not in known]
    if unknown:
        raise Refused(f"ID: there is no rejected transaction {', '.join(unknown)}")
    whose = {merchant} - {None} or set(known.values())
    if len(whose) != 1:
        raise Refused("--merchant: is needed" if not whose else f"ID: they are of {', '.join(sorted(map(str, whose)))}")
    return str(whose.pop())


def _tell(name: str, fields: Mapping[str, object]) -> None:
    for error in tell(name, fields):
        raise Refused(f"{error.field}: {error.reason}")


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _said(reasons: Sequence[Mapping[str, str]] | None) -> str:
    return "; ".join(reason["message"] for reason in reasons or ())


def _as_json(row: Mapping[str, Any]) -> Mapping[str, Any]:
    # An id is an opaque word to whoever reads it, as in the callback.
    return {**json_of(row), "rejection": str(row["rejection"])}
