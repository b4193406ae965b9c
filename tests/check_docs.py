"""Whether the generated pages of `docs/` are what the code says; `--write` makes them so.

python -m tests.check_docs [--write]
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapters.http.app import make_app
from adapters.http.document import document_of
from domain.rules import diagrams

DOCS: Final = Path(__file__).parents[1] / "docs"


def states_page() -> str:
    """Return the page of the state machines."""
    return f"""# States

This page is drawn from the tables of `domain/rules` by `python -m tests.check_docs --write`; do not edit it.
An edge that is not in a picture cannot be taken, neither in the code nor in the database. A signal that leads home
again is a repeat and is left out.

## The order

```mermaid
{diagrams.order_diagram()}
```

{diagrams.order_table()}

Whoever owes has exactly one due row or an open case, so that nothing goes dark.

## The payment transaction

One parent for each order. It drives the order while that is open; on a closed one only money counts, and makes it
UNRESOLVED. A refund leaves the parent PAID and is an operation of its own.

```mermaid
{diagrams.parent_diagram()}
```

{diagrams.parent_table()}

## An attempt

One try of the customer. Only the current one may close an order.

```mermaid
{diagrams.attempt_diagram()}
```

{diagrams.attempt_table()}

## A reversal

A transaction that timed out is undone. Each attempt asks first; a void is never sent when the settlement time has
passed, and an attempt is kept for just before it.

{diagrams.reversal_table()}

What our own void has undone ends as VOIDED, also where only the next query shows it. How one may end:

{diagrams.outcome_table()}

## A rejected transaction

It is no order, owes nothing, and has no due row.

{diagrams.rejection_table()}
"""


def openapi_document() -> str:
    """Return the document of the HTTP interface."""
    return json.dumps(document_of(make_app()), indent=1, sort_keys=True) + "\n"


def pages() -> Mapping[Path, str]:
    """Return {file: what it must hold} of every generated page."""
    return {DOCS / "states.md": states_page(), DOCS / "openapi.json": openapi_document()}


def main(arguments: list[str]) -> int:
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--write" in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path])
        else:
            sys.stderr.write(f"{path.name} is not what the code says; run python -m tests.check_docs --write\n")
    return 1 if stale and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
