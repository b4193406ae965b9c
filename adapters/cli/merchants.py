"""`trueup merchant`: merchants, their settings, callback address and keys."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from adapters.administration.merchants import (
    CHECKS,
    MerchantExists,
    UnknownMerchant,
    Unusable,
    add_merchant,
    change_merchant,
)
from adapters.cli.grammar import several
from adapters.cli.output import Refused, say, show_json, show_table
from adapters.cli.servers import database
from adapters.messages.fields import MOST_SECONDS
from adapters.persistence import keys
from config.settings import load
from domain.model.order import OrderStatus

app = typer.Typer(help="Merchants, their settings, callback address and keys.")

_OPTIONS: Final = {"merchant": "ID", "checks": "--check", "mail_statuses": "--mail-status"}

Id = Annotated[str, typer.Argument(metavar="ID")]
Name = Annotated[str, typer.Option("--name")]
Email = Annotated[str, typer.Option("--email", help="Where cases are mailed to.")]
Url = Annotated[str, typer.Option("--callback-url", help="https, and a public host.")]
Timeout = typer.Option(min=1, max=MOST_SECONDS, help="In seconds, for orders that do not say.")
Cancellation = Annotated[int | None, Timeout]
Checkout = Annotated[int | None, Timeout]
Checks = Annotated[list[str] | None, typer.Option("--check", help=f"One of {', '.join(CHECKS)}; may repeat.")]
MailName = Annotated[str | None, typer.Option(help="As whom mails come, in place of Trueup.")]
MailSender = Annotated[str | None, typer.Option(help="The address that mails come from.")]
MailLink = Annotated[str | None, typer.Option(help="Where mails lead, https; {order} in it becomes the order.")]
MailStatuses = Annotated[list[OrderStatus] | None, typer.Option("--mail-status", help="Mail of it; may repeat.")]
Tolerance = Annotated[str | None, typer.Option(help="How much more or less than its amount settles an order.")]
Revoked = Annotated[int | None, typer.Option(help="Revoke this key instead of making one.")]
Listed = Annotated[bool, typer.Option("--list", help="List the keys; none of them can be shown again.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command(cls=several("--check", CHECKS))
def add(  # noqa: PLR0917 - each is an option of its own name
    merchant: Id,
    name: Name,
    email: Email,
    callback_url: Url,
    cancellation_timeout: Cancellation = None,
    checkout_timeout: Checkout = None,
    check: Checks = None,
    sanity_queue: Annotated[
        bool, typer.Option("--sanity-queue", help="Keep rejected ones that can be mended.")
    ] = False,
    auto_retrigger: Annotated[bool, typer.Option("--auto-retrigger", help="Try again on new master data.")] = False,
    tolerance: Tolerance = None,
    mail_name: MailName = None,
    mail_sender: MailSender = None,
    mail_link: MailLink = None,
    mail_status: MailStatuses = None,
    json: Json = False,
) -> None:
    """Make a merchant; its key and its callback secret are shown once."""
    given = _named(
        name=name,
        email=email,
        callback_url=callback_url,
        cancellation_timeout=cancellation_timeout,
        checkout_timeout=checkout_timeout,
        checks=check,
        sanity_queue=sanity_queue or None,
        auto_retrigger=auto_retrigger or None,
        tolerance=tolerance,
        mail_name=mail_name,
        mail_sender=mail_sender,
        mail_link=mail_link,
        mail_statuses=mail_status,
    )
    _add({"merchant": merchant, **given}, json=json)


def _add(given: Mapping[str, object], *, json: bool) -> None:
    try:
        with database() as engine:
            made = add_merchant(engine, given, allow_hosts=load().callback_allow_hosts)
    except MerchantExists as error:
        raise Refused(f"ID: {error}; `trueup merchant set` changes it") from None
    except Unusable as error:
        raise _refused(error) from None
    answer = {"merchant": made.merchant, "api_key": made.api_key, "callback_secret": made.callback_secret}
    if json:
        show_json(answer)
        return
    for label, value in answer.items():
        say(f"{label}: {value}")
    say("key and secret are shown this once")


@app.command("set", cls=several("--check", CHECKS))
def change(  # noqa: PLR0917 - each is an option of its own name
    merchant: Id,
    name: Annotated[str | None, typer.Option()] = None,
    email: Annotated[str | None, typer.Option()] = None,
    callback_url: Annotated[str | None, typer.Option()] = None,
    cancellation_timeout: Cancellation = None,
    checkout_timeout: Checkout = None,
    check: Checks = None,
    no_checks: Annotated[bool, typer.Option("--no-checks", help="Check nothing.")] = False,
    sanity_queue: Annotated[bool | None, typer.Option("--sanity-queue/--no-sanity-queue")] = None,
    auto_retrigger: Annotated[bool | None, typer.Option("--auto-retrigger/--no-auto-retrigger")] = None,
    tolerance: Tolerance = None,
    mail_name: MailName = None,
    mail_sender: MailSender = None,
    mail_link: MailLink = None,
    mail_status: MailStatuses = None,
    no_mail_brand: Annotated[bool, typer.Option("--no-mail-brand", help="Mails look as they come.")] = False,
    no_mail_statuses: Annotated[bool, typer.Option("--no-mail-statuses", help="Mail of cases only.")] = False,
    json: Json = False,
) -> None:
    """Change what is named; orders that are known keep the terms they came with."""
    brand = {"mail_name": mail_name, "mail_sender": mail_sender, "mail_link": mail_link}
    _refuse_both("--no-checks: and --check", no_checks, check)
    _refuse_both("--no-mail-statuses: and --mail-status", no_mail_statuses, mail_status)
    _refuse_both("--no-mail-brand: and a part of it", no_mail_brand, any(brand.values()))
    given = _named(
        name=name,
        email=email,
        callback_url=callback_url,
        cancellation_timeout=cancellation_timeout,
        checkout_timeout=checkout_timeout,
        checks=[] if no_checks else check,
        sanity_queue=sanity_queue,
        auto_retrigger=auto_retrigger,
        tolerance=tolerance,
        mail_statuses=[] if no_mail_statuses else mail_status,
    )
    given |= brand if no_mail_brand else _named(**brand)
    if not given:
        raise Refused("merchant set: no option says what to change")
    _change(merchant, given, json=json)


def _refuse_both(options: str, none: object, some: object) -> None:
    if none and some:
        raise Refused(f"{options} say the opposite; leave one out")


def _change(merchant: str, given: Mapping[str, object], *, json: bool) -> None:
    try:
        with database() as engine:
            secret = change_merchant(engine, merchant, given, allow_hosts=load().callback_allow_hosts)
    except UnknownMerchant as error:
        raise Refused(f"ID: {error}") from None
    except Unusable as error:
        raise _refused(error) from None
    if json:
        show_json({"merchant": merchant, "callback_secret": secret} if secret else {"merchant": merchant})
    else:
        say(f"{merchant} is changed" + (f"; callback_secret: {secret}" if secret else ""))


@app.command()
def key(
    merchant: Id,
    revoke: Revoked = None,
    listed: Listed = False,
    json: Json = False,
) -> None:
    """Make a new key, shown once; or revoke one, or list them."""
    try:
        keys_of(keys.Owner(merchant=merchant), merchant, revoke=revoke, listed=listed, json=json)
    except UnknownMerchant as error:
        raise Refused(f"ID: {error}") from None


def keys_of(owner: keys.Owner, name: str, *, revoke: int | None, listed: bool, json: bool) -> None:
    """Make, revoke or list the keys of a merchant or an operator."""
    with database() as engine, engine.begin() as connection:
        if listed:
            found = keys.listed(connection, owner)
            if json:
                show_json(found)
            else:
                show_table(f"keys of {name}", ("id", "created_at", "revoked_at"), (list(row.values()) for row in found))
            return
        if revoke is not None:
            if not keys.revoke(connection, owner, revoke):
                raise Refused(f"--revoke: {name} has no key {revoke}")
            answer: dict[str, object] = {owner.kind: name, "revoked": revoke}
        else:
            made = keys.add(connection, owner)
            answer = {owner.kind: name, "key": made.id, "api_key": made.token}
    if json:
        show_json(answer)
    else:
        say("; ".join(f"{label}: {value}" for label, value in answer.items()))


def _named(**options: object) -> dict[str, object]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _refused(error: Unusable) -> Refused:
    """Say it by the option's name."""
    first = error.errors[0]
    field = first.field.partition("[")[0]
    return Refused(f"{_OPTIONS.get(field) or '--' + field.replace('_', '-')}: {first.reason}")
