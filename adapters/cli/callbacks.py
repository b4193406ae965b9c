"""`trueup callbacks`: what waits to be told, once more what was given up, and where it goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from adapters.administration.endpoints import (
    TYPES,
    UnknownEndpoint,
    UnusableEndpoint,
    add_endpoint,
    change_endpoint,
    finish_rotation,
    rotate_secret,
    switch_endpoint,
    try_endpoint,
)
from adapters.cli.output import Refused, say, show_json, show_table
from adapters.cli.servers import database
from adapters.cli.telling import actor
from adapters.persistence import endpoints, queries, redeliveries
from adapters.persistence.keys import UnknownMerchant
from config.settings import load

app = typer.Typer(help="Callbacks that wait, and where they go.", invoke_without_command=True)
endpoint_app = typer.Typer(help="Where a merchant's callbacks go.")
app.add_typer(endpoint_app, name="endpoint")

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")]
Merchant = Annotated[str | None, typer.Option()]
Id = Annotated[int, typer.Argument(metavar="ENDPOINT")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help=f"Only events of this type; may repeat. One of {', '.join(TYPES)}."),
]
Waits = Annotated[
    str | None, typer.Option("--waits", help='Seconds between tries, like "5,300,1800"; then an event is given up.')
]


@app.callback()
def callbacks(
    context: typer.Context,
    merchant: Merchant = None,
    everything: Annotated[bool, typer.Option("--all", help="Those too that wait for nothing.")] = False,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the callbacks that wait, with their last try."""
    if context.invoked_subcommand is not None:
        return
    with database() as engine, engine.connect() as connection:
        found = queries.callbacks(connection, merchant=merchant, delivered=everything, limit=limit)
    if json:
        show_json(found)
        return
    columns = ("merchant", "order", "last_tried", "state", "tries", "status", "error", "next_try", "enabled", "url")
    show_table("callbacks", columns, ([row[column] for column in columns] for row in found))


@app.command()
def redeliver(
    events: Annotated[list[str] | None, typer.Argument(metavar="EVENT...", help="Names, like evt_3_2.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that was given up and not delivered since.")] = False,
    since: Annotated[datetime | None, typer.Option(help="All of --merchant since this time, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this time; now where left out.")] = None,
    merchant: Merchant = None,
) -> None:
    """Deliver events once more, to every endpoint that gets them."""
    if [bool(events), failed, since is not None].count(True) != 1:
        raise Refused("redeliver: name events, or say --failed or --since")
    if since is not None and merchant is None:
        raise Refused("--since: needs --merchant")
    with database() as engine:
        if since is not None and merchant is not None:
            end = datetime.max.replace(tzinfo=UTC) if until is None else until.replace(tzinfo=UTC)
            many = _of_a_time(engine, merchant, since.replace(tzinfo=UTC), end)
        else:
            many = _given_up(engine, merchant) if failed else _named(engine, events or (), merchant)
        count = sum(many)
    say(f"{count} deliveries are due")


def _named(engine: Engine, events: Sequence[str], merchant: str | None) -> Iterator[int]:
    for event in events:
        with engine.begin() as connection:
            found = redeliveries.find(connection, event, merchant)
            if not found:
                raise Refused(f"EVENT: there is no event {event!r}")
            count = redeliveries.redeliver(connection, found)
        yield count


def _given_up(engine: Engine, merchant: str | None) -> Iterator[int]:
    more = True
    while more:
        with engine.begin() as connection:
            found = redeliveries.failed(connection, merchant)
            count = redeliveries.redeliver(connection, found)
        yield count
        more = len(found) == redeliveries.MOST


def _of_a_time(engine: Engine, merchant: str, since: datetime, until: datetime) -> Iterator[int]:
    found: Sequence[int] = (0,)
    while found:
        with engine.begin() as connection:
            found = redeliveries.between(connection, merchant, since, until, after=found[-1])
            count = redeliveries.redeliver(connection, found)
        yield count


@endpoint_app.command("list")
def show_all(merchant: Merchant = None, json: Json = False) -> None:
    """List endpoints; secrets cannot be shown again."""
    with database() as engine, engine.connect() as connection:
        found = endpoints.listed(connection, merchant=merchant)
    if json:
        show_json(found)
        return
    columns = ("id", "merchant", "url", "enabled", "failing_since", "streams_waiting", "secrets", "types", "waits")
    show_table("endpoints", columns, ([_shown(row[column]) for column in columns] for row in found))


@endpoint_app.command()
def add(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT")],
    url: Annotated[str, typer.Option("--url", help="https, and a public host.")],
    only: Types = None,
    waits: Waits = None,
    json: Json = False,
) -> None:
    """Make one more endpoint; its secret is shown once. It hears what happens from now on."""
    settings = {"url": url, "types": only, "waits": _seconds(waits)}
    with _said_plainly(), database() as engine:
        made = add_endpoint(engine, merchant, settings, allow_hosts=load().callback_allow_hosts)
    if json:
        show_json({"endpoint": made.id, "callback_secret": made.secret})
    else:
        say(f"endpoint: {made.id}\ncallback_secret: {made.secret}\nthe secret is shown this once")


@endpoint_app.command("set")
def change(
    endpoint: Id,
    url: Annotated[str | None, typer.Option("--url")] = None,
    only: Types = None,
    all_types: Annotated[bool, typer.Option("--all-types", help="Every type of event.")] = False,
    waits: Waits = None,
    usual_waits: Annotated[bool, typer.Option("--usual-waits", help="The usual schedule.")] = False,
) -> None:
    """Change what is named; another filter holds for what happens from now on."""
    if (only and all_types) or (waits and usual_waits):
        raise Refused("endpoint set: two options say the opposite")
    given: dict[str, Any] = {"url": url, "types": only, "waits": _seconds(waits)}
    settings = {name: value for name, value in given.items() if value is not None}
    settings |= {"types": None} if all_types else {}
    settings |= {"waits": None} if usual_waits else {}
    if not settings:
        raise Refused("endpoint set: no option says what to change")
    with _said_plainly(), database() as engine:
        change_endpoint(engine, endpoint, settings, allow_hosts=load().callback_allow_hosts)
    say(f"endpoint {endpoint} is changed")


@endpoint_app.command()
def enable(endpoint: Id) -> None:
    """Let what waited go; the endpoint's case is closed."""
    with _said_plainly(), database() as engine:
        switch_endpoint(engine, endpoint, on=True, actor=actor())
    say(f"endpoint {endpoint} is enabled")


@endpoint_app.command()
def disable(endpoint: Id) -> None:
    """Send nothing there; what happens waits until it is enabled again."""
    with _said_plainly(), database() as engine:
        switch_endpoint(engine, endpoint, on=False, actor=actor())
    say(f"endpoint {endpoint} is disabled")


@endpoint_app.command()
def rotate(
    endpoint: Id,
    finish: Annotated[bool, typer.Option("--finish", help="Drop the old secret.")] = False,
    json: Json = False,
) -> None:
    """Make a new secret, shown once; calls are signed with the old one too until --finish."""
    with _said_plainly(), database() as engine:
        if finish:
            finish_rotation(engine, endpoint)
            say("the old secret is dropped")
            return
        secret = rotate_secret(engine, endpoint)
    if json:
        show_json({"endpoint": endpoint, "callback_secret": secret})
    else:
        say(f"callback_secret: {secret}\nit is shown this once; `--finish` drops the old one")


@endpoint_app.command("test")
def send_test(endpoint: Id, json: Json = False) -> None:
    """Send a test event now and show what came back; exit status 1 if it was not taken."""
    settings = load()
    with _said_plainly(), database() as engine:
        answer = try_endpoint(
            engine, endpoint, allow_hosts=settings.callback_allow_hosts, seconds=settings.callback_seconds
        )
    if json:
        show_json({name: getattr(answer, name) for name in ("delivered", "status", "why", "milliseconds")})
    else:
        said = f"HTTP {answer.status}" if answer.delivered else f"not taken: {answer.why}"
        say(f"{said} after {answer.milliseconds} ms")
    raise typer.Exit(0 if answer.delivered else 1)


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Say by the argument's or option's name what cannot be done."""
    try:
        yield
    except UnknownEndpoint as error:
        raise Refused(f"ENDPOINT: {error}") from None
    except UnknownMerchant as error:
        raise Refused(f"MERCHANT: {error}") from None
    except UnusableEndpoint as error:
        raise Refused(f"--{error.field}: {error.reason}") from None


def _seconds(waits: str | None) -> list[int] | None:
    if waits is None:
        return None
    try:
        return [int(wait) for wait in waits.split(",")]
    except ValueError:
        raise Refused('--waits: are whole seconds like "5,300,1800"') from None


def _shown(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
