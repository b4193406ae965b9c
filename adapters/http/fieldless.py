"""Requests that take no fields: what is said all the same would be done otherwise than its sender thinks."""

from typing import Final

from fastapi import Depends

from adapters.http.answering import Body
from adapters.http.problems import INVALID, Problem
from adapters.messages.refusing import showable
from domain.model.command import FieldError

_MOST_ERRORS: Final = 100
_LONGEST_NAME: Final = 80


def check_no_fields(body: Body) -> None:
    """Let only an empty body pass, or none.

    Raises:
        Problem: it has fields.
    """
    names = [showable(name)[:_LONGEST_NAME] for name in body][:_MOST_ERRORS]
    if names:
        raise Problem(
            INVALID, errors=[FieldError(field=name, reason="is no field here: it takes none") for name in names]
        )


FIELDLESS: Final = Depends(check_no_fields)
