"""What a check is, and what many of them say."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Check:
    """Selects (key, subject, message) of what is broken; `table` and `column` are where its keys come from.

    One statement sees one moment, so a concurrent change cannot look half done. `{scope}` in it stands for the
    condition on its key.
    """

    invariant: str
    table: str
    column: str
    statement: str


# How subjects are called.
ORDER: Final = "concat('order ', o.merchant, ' ', o.reference)"
REVERSAL: Final = "concat('reversal of ', r.merchant, ' ', r.provider, ' ', r.reference)"
STREAM: Final = "concat('callback stream ', s.id)"
COMMAND: Final = "concat('command ', i.id)"
DUE_WORK: Final = "concat('due work ', d.subject)"
EVENT: Final = "concat('event ', x.event)"
CASE: Final = "concat('case ', c.id)"
