"""Requests that take no fields: what is said all the same would be done otherwise than its sender thinks."""

from typing import Final

from fastapi import Depends

from adapters.http.ownership import Fields
from adapters.http.problems import INVALID, Problem
from adapters.messages.refusing import showable
from domain.model.command import FieldError

_MOST_ERRORS: Final = 100
_LONGEST_NAME: Final = 80


def check_no_fields(fields: Fields) -> None:
    """Let only an empty body pass, or none; it may name whose it is, as every body may.

    Raises:
        Problem: it has fields.
    """
    names = [showable(name)[:_LONGEST_NAME] for name in fields][:_MOST_ERRORS]
    if names:
        reason = "is not a field of this request; there are none"
        raise Problem(INVALID, errors=[FieldError(field=name, reason=reason) for name in names])


FIELDLESS: Final = Depends(check_no_fields)
