"""`trueup operator`: operators' keys for HTTP."""

from typing import Annotated

import typer

from adapters.cli.merchants import Json, Listed, Revoked, keys_of
from adapters.cli.output import Refused
from adapters.persistence import keys

app = typer.Typer(help="Operators' keys for HTTP.")

_LONGEST_NAME = 128


@app.callback()
def operator() -> None:
    """Operators' keys for HTTP."""


@app.command()
def key(
    operator: Annotated[str, typer.Argument(metavar="NAME", help="Who it is; it stands in the history.")],
    revoke: Revoked = None,
    listed: Listed = False,
    json: Json = False,
) -> None:
    """Make a new key, shown once; or revoke one, or list them."""
    if not operator.strip() or not operator.isprintable() or len(operator) > _LONGEST_NAME:
        raise Refused(f"NAME: is blank, holds a control character or is longer than {_LONGEST_NAME} characters")
    keys_of(keys.Owner(operator=operator), operator, revoke=revoke, listed=listed, json=json)
