"""`trueup callbacks`: what waits to be told, once more what was given up, and where it goes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Engine

from adapters.administration.acting import Person
from adapters.administration.endpoints import TYPES, Endpoints, SecretsStand, UnknownEndpoint
from adapters.administration.merchants import Unusable
from adapters.administration.redelivering import note, wanted_of
from adapters.cli.output import Refused, say, show_json, show_table
from adapters.cli.servers import database
from adapters.cli.telling import actor, trace
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
    since: Annotated[str | None, typer.Option(help="All since this time, in UTC where it says no offset.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time; now where left out.")] = None,
    merchant: Merchant = None,
    endpoint: Annotated[int | None, typer.Option(min=1, help="Only to this endpoint.")] = None,
    only: Types = None,
) -> None:
    """Deliver events once more, to every endpoint that gets them or to one."""
    if [bool(events), failed, since is not None and not failed].count(True) != 1:
        raise Refused("redeliver: name events, or say --failed or --since")
    if since is not None and not failed and merchant is None and endpoint is None:
        raise Refused("--since: needs --merchant or --endpoint")
    if events and (until or only):
        raise Refused(f"{'--until' if until else '--type'}: says nothing of events that are named")
    asked = {"from": _moment("--since", since), "to": _moment("--until", until), "endpoint": endpoint, "types": only}
    given = {name: value for name, value in asked.items() if value is not None}
    with _said_plainly(), database() as engine:
        wanted, _ = wanted_of(engine, given, merchant=merchant)
        if events:
            count = sum(_named(engine, events, wanted))
        else:
            count = (redeliveries.redeliver_failed if failed else redeliveries.redeliver_range)(engine, wanted)
        note(engine, endpoint, Person(actor=actor(), trace=trace()), {**given, "deliveries": count})
    say(f"{count} deliveries are due")


def _named(engine: Engine, events: Sequence[str], wanted: redeliveries.Wanted) -> Iterator[int]:
    for event in events:
        with engine.begin() as connection:
            found = redeliveries.find(connection, event, wanted.merchant)
            if not found:
                raise Refused(f"EVENT: there is no event {event!r}")
            count = redeliveries.redeliver(connection, found, endpoint=wanted.endpoint)
        yield count


def _moment(option: str, text: str | None) -> str | None:
    """Return a time as it is written in messages.

    Raises:
        Refused: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f'{option}: is no time like "2026-01-31" or "2026-01-31T12:00:00"') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


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
    with _said_plainly(), _desk() as desk:
        made = desk.add(merchant, settings)
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
    with _said_plainly(), _desk() as desk:
        desk.change(endpoint, settings)
    say(f"endpoint {endpoint} is changed")


@endpoint_app.command()
def enable(endpoint: Id) -> None:
    """Let what waited go; the endpoint's case is closed."""
    with _said_plainly(), _desk() as desk:
        desk.switch(endpoint, on=True)
    say(f"endpoint {endpoint} is enabled")


@endpoint_app.command()
def disable(endpoint: Id) -> None:
    """Send nothing there; what happens waits until it is enabled again."""
    with _said_plainly(), _desk() as desk:
        desk.switch(endpoint, on=False)
    say(f"endpoint {endpoint} is disabled")


@endpoint_app.command()
def remove(endpoint: Id) -> None:
    """Send nothing there any more, not even what waits; what was tried stays on record."""
    with _said_plainly(), _desk() as desk:
        desk.remove(endpoint)
    say(f"endpoint {endpoint} is removed")


@endpoint_app.command()
def rotate(
    endpoint: Id,
    finish: Annotated[bool, typer.Option("--finish", help="Drop the old secret.")] = False,
    json: Json = False,
) -> None:
    """Make a new secret, shown once; calls are signed with the old one too until --finish."""
    with _said_plainly(), _desk() as desk:
        secret = None if finish else desk.rotate(endpoint)
        if finish:
            desk.finish(endpoint)
    if json:
        show_json({"endpoint": endpoint, "callback_secret": secret})
    elif secret is None:
        say("the old secret is dropped")
    else:
        say(f"callback_secret: {secret}\nit is shown this once; `--finish` drops the old one")


@endpoint_app.command("test")
def send_test(endpoint: Id, json: Json = False) -> None:
    """Send a test event now and show what came back; exit status 1 if it was not taken."""
    with _said_plainly(), _desk() as desk:
        answer = desk.test(endpoint, seconds=load().callback_seconds)
    if json:
        show_json({name: getattr(answer, name) for name in ("delivered", "status", "why", "milliseconds")})
    else:
        said = f"HTTP {answer.status}" if answer.delivered else f"not taken: {answer.why}"
        say(f"{said} after {answer.milliseconds} ms")
    raise typer.Exit(0 if answer.delivered else 1)


@contextmanager
def _desk() -> Iterator[Endpoints]:
    with database() as engine:
        yield Endpoints(
            engine=engine, person=Person(actor=actor(), trace=trace()), allow_hosts=load().callback_allow_hosts
        )


# What a field is called here, where it is not its own name.
_OPTIONS: Final[Mapping[str, str]] = {"types": "--type", "from": "--since", "to": "--until"}


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Say by the argument's or option's name what cannot be done."""
    try:
        yield
    except UnknownEndpoint as error:
        raise Refused(f"ENDPOINT: {error}") from None
    except UnknownMerchant as error:
        raise Refused(f"MERCHANT: {error}") from None
    except SecretsStand as error:
        raise Refused(f"--finish: {error}") from None
    except Unusable as error:
        field = error.errors[0].field.partition("[")[0]
        reason = error.errors[0].reason
        for name, option in _OPTIONS.items():
            reason = reason.replace(f"`{name}`", option)
        raise Refused(f"{_OPTIONS.get(field, f'--{field}')}: {reason}") from None


def _seconds(waits: str | None) -> list[int] | None:
    if waits is None:
        return None
    try:
        return [int(wait) for wait in waits.split(",")]
    except ValueError:
        raise Refused('--waits: are whole seconds like "5,300,1800"') from None


def _shown(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
