"""Bodies that let no unknown field pass, from which the merchant may be left out, or not."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends

from adapters.http.answering import Body
from adapters.http.desk import Anybody, Scope
from adapters.http.problems import invalid


def fields_of(body: Body, scope: Scope, caller: Anybody) -> Mapping[str, Any]:
    """Return the fields without `merchant`, where it says what the key or the address has said.

    Raises:
        Problem: it names another.
    """
    if scope is None:
        return body
    if body.get("merchant", scope) not in (None, scope):
        said_by = "address" if caller.merchant is None else "key"
        raise invalid("merchant", f"is not the one of the {said_by}, and may be left out")
    return {name: value for name, value in body.items() if name != "merchant"}


Fields = Annotated[Mapping[str, Any], Depends(fields_of)]
