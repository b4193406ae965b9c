"""`trueup merchant`: merchants, their settings, callback address and keys."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from adapters.cli.output import Refused, say, show_json
from adapters.cli.servers import database
from adapters.notifications.addresses import refusal_of
from adapters.persistence import merchants
from adapters.persistence.merchants import MerchantExists, UnknownMerchant
from config.settings import load
from domain.model.money import AMOUNT

app = typer.Typer(help="Merchants, their settings, callback address and keys.")

CHECKS: Final = (
    "line_items",
    "payment_methods",
    "stores",
    "transaction_extended_fields",
    "customer_extended_fields",
)
_LONGEST_ID: Final = 128
_LONGEST_TEXT: Final = 2000
# What the columns and the sums of a deadline can take: ten years.
_MOST_SECONDS: Final = 10 * 366 * 24 * 3600
_MAIL: Final = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")

Id = Annotated[str, typer.Argument(metavar="ID")]
Name = Annotated[str, typer.Option("--name")]
Email = Annotated[str, typer.Option("--email", help="Where cases are mailed to.")]
Url = Annotated[str, typer.Option("--callback-url", help="https, and a public host.")]
Timeout = typer.Option(min=1, max=_MOST_SECONDS, help="In seconds, for orders that do not say.")
Cancellation = Annotated[int | None, Timeout]
Checkout = Annotated[int | None, Timeout]
Checks = Annotated[list[str] | None, typer.Option("--check", help=f"One of {', '.join(CHECKS)}; may repeat.")]
Tolerance = Annotated[str | None, typer.Option(help="How much more or less than its amount settles an order.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
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
    json: Json = False,
) -> None:
    """Make a merchant; its key and its callback secret are shown once."""
    given = _settings(
        name=name,
        email=email,
        cancellation_timeout=cancellation_timeout,
        checkout_timeout=checkout_timeout,
        check=check,
        sanity_queue=sanity_queue or None,
        auto_retrigger=auto_retrigger or None,
        tolerance=tolerance,
    )
    _check_id(merchant)
    _check_url(callback_url)
    try:
        with database() as engine, engine.begin() as connection:
            key, secret = merchants.add(connection, merchant, given, url=callback_url)
    except MerchantExists as error:
        raise Refused(f"ID: {error}") from None
    answer = {"merchant": merchant, "api_key": key.token, "callback_secret": secret}
    if json:
        show_json(answer)
        return
    for label, value in answer.items():
        say(f"{label}: {value}")
    say("key and secret are shown this once")


@app.command("set")
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
    json: Json = False,
) -> None:
    """Change what is named; orders that are known keep the terms they came with."""
    if no_checks and check:
        raise Refused("--no-checks: and --check say the opposite; leave one out")
    given = _settings(
        name=name,
        email=email,
        cancellation_timeout=cancellation_timeout,
        checkout_timeout=checkout_timeout,
        check=[] if no_checks else check,
        sanity_queue=sanity_queue,
        auto_retrigger=auto_retrigger,
        tolerance=tolerance,
    )
    if callback_url is not None:
        _check_url(callback_url)
    if not given and callback_url is None:
        raise Refused("merchant set: no option says what to change")
    secret = _change(merchant, given, callback_url)
    if json:
        show_json({"merchant": merchant, "callback_secret": secret} if secret else {"merchant": merchant})
    else:
        say(f"{merchant} is changed" + (f"; callback_secret: {secret}" if secret else ""))


@app.command()
def key(
    merchant: Id,
    revoke: Annotated[int | None, typer.Option(help="Revoke this key instead of making one.")] = None,
    json: Json = False,
) -> None:
    """Make a new key, shown once; or revoke one."""
    _check_id(merchant)
    try:
        with database() as engine, engine.begin() as connection:
            merchants.lock(connection, merchant)
            if revoke is not None:
                if not merchants.revoke_key(connection, merchant, revoke):
                    raise Refused(f"--revoke: {merchant} has no key {revoke}")
                answer: dict[str, object] = {"merchant": merchant, "revoked": revoke}
            else:
                made = merchants.add_key(connection, merchant)
                answer = {"merchant": merchant, "key": made.id, "api_key": made.token}
    except UnknownMerchant as error:
        raise Refused(f"ID: {error}") from None
    if json:
        show_json(answer)
    else:
        say("; ".join(f"{label}: {value}" for label, value in answer.items()))


def _change(merchant: str, given: Mapping[str, Any], url: str | None) -> str | None:
    """Return the secret of the endpoint if the merchant had none before."""
    _check_id(merchant)
    try:
        with database() as engine, engine.begin() as connection:
            merchants.change(connection, merchant, given, url=url)
            if url is not None and not merchants.has_endpoint(connection, merchant):
                return merchants.add_endpoint(connection, merchant, url)
    except UnknownMerchant as error:
        raise Refused(f"ID: {error}") from None
    return None


def _settings(
    *, name: str | None, email: str | None, check: list[str] | None, tolerance: str | None, **others: int | None
) -> dict[str, Any]:
    """Return what was named, under the store's names.

    Raises:
        Refused: an option's value cannot be used.
    """
    given: dict[str, Any] = {column: value for column, value in others.items() if value is not None}
    if name is not None:
        given["name"] = _text("--name", name)
    if email is not None:
        if not _MAIL.fullmatch(_text("--email", email)):
            raise Refused(f"--email: {email!r} is no address")
        given["email"] = email
    if check is not None:
        unknown = [one for one in check if one not in CHECKS]
        if unknown:
            raise Refused(f"--check: {unknown[0]!r} is none of {', '.join(CHECKS)}")
        given["checks"] = [one for one in CHECKS if one in check]
    if tolerance is not None:
        given["tolerance"] = _amount("--tolerance", tolerance)
    return given


def _amount(option: str, written: str) -> Decimal:
    if not AMOUNT.fullmatch(written):
        raise Refused(f"{option}: {written!r} is no amount like 0.50")
    return Decimal(written)


def _text(option: str, value: str, *, longest: int = _LONGEST_TEXT) -> str:
    if not value.strip() or not value.isprintable():
        raise Refused(f"{option}: is blank or holds a control character")
    if len(value) > longest:
        raise Refused(f"{option}: is longer than {longest} characters")
    return value


def _check_id(merchant: str) -> None:
    _text("ID", merchant, longest=_LONGEST_ID)


def _check_url(url: str) -> None:
    why = refusal_of(_text("--callback-url", url), frozenset(host.lower() for host in load().callback_allow_hosts))
    if why is not None:
        raise Refused(f"--callback-url: {why}")
