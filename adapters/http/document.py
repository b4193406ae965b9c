"""The OpenAPI document: what the routes say, with the bodies that we read ourselves.

`python -m tests.check_docs --write` writes it into docs/openapi.json; `make check` says when that is to be done.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from adapters.http import models
from adapters.http.problems import KINDS
from adapters.http.requests import schemas

_ABOUT: Final = """\
Orders and their payments, kept true to what the payment providers know.

Every answer that is no success is `application/problem+json` with a stable `type` and, where fields are wrong,
`errors[]`. A command that is answered 202 is kept: nothing loses it any more.
"""
_FRAMEWORK: Final = ("HTTPValidationError", "ValidationError")


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document of these routes."""
    made = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=_ABOUT, routes=app.routes
    )
    known = made["components"]["schemas"]
    for name in _FRAMEWORK:
        known.pop(name, None)
    known |= schemas()
    known[models.Problem.__name__] = _problem()
    made["components"]["schemas"] = dict(sorted(known.items()))
    return made


def _problem() -> dict[str, Any]:
    schema = models.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    schema["properties"]["type"]["enum"] = sorted(kind.type for kind in KINDS)
    return schema
