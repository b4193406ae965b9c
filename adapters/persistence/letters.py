"""Letters: put into words and stored as mails in the transaction of what they tell of."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.letters import words_of
from adapters.persistence.columns import Columns, run
from domain.model.mail import Correspondent, Letter

# A merchant as mails know it, read on the way of a statement that is made anyway; `m` is the merchant.
CORRESPONDENT: Final = """
jsonb_build_object('merchant', m.id, 'name', m.name, 'email', m.email, 'mail_name', m.mail_name,
                   'mail_sender', m.mail_sender, 'mail_link', m.mail_link, 'statuses', to_jsonb(m.mail_statuses))
"""

_LETTERS: Final = Columns(
    "c",
    event="text",
    audience="text",
    merchant="text",
    case_id="bigint",
    order_id="bigint",
    recipient="text",
    sender="text",
    sender_name="text",
    subject="text",
    text="text",
    html="text",
    position="int",
)
# The name of a mail has to differ from those of all other mails in the world, so an id alone is not enough.
_WRITE: Final = f"""
WITH written AS (
    INSERT INTO mails (id, message_id, event, audience, merchant, case_id, order_id, recipient, sender, sender_name,
                       subject, text, html, created_at, since)
    SELECT c.id, concat('<mail-', c.id, '.', left(replace(gen_random_uuid()::text, '-', ''), 16), '@trueup>'), c.event,
           c.audience, c.merchant, c.case_id, c.order_id, c.recipient, c.sender, c.sender_name, c.subject, c.text,
           c.html, %(now)s, %(now)s
    FROM (SELECT nextval('subject_ids') AS id, c.* FROM {_LETTERS.table} ORDER BY c.position) c
    RETURNING id
)
INSERT INTO due_work (subject, lane, kind, due_at)
SELECT w.id, l.id, 'mail', %(now)s FROM written w JOIN lanes l ON l.family = 'mail' AND l.name = 'smtp'
"""


def write(connection: Connection, letters: Iterable[Letter], *, now: datetime) -> None:
    """Write mails in words, and make them due; nothing is asked of the store where there are none."""
    rows = [_row(letter, position) for position, letter in enumerate(letters)]
    if rows:
        run(connection, _WRITE, _LETTERS.parameters(rows, now=now))


def correspondent_of(known: Mapping[str, Any] | None) -> Correspondent | None:
    """Return what a statement has read as `CORRESPONDENT`."""
    return None if known is None else Correspondent(**{**known, "statuses": frozenset(known["statuses"])})


def _row(letter: Letter, position: int) -> tuple[Any, ...]:
    words = words_of(letter)
    return (
        letter.event,
        letter.audience,
        letter.merchant,
        letter.case,
        letter.order_id,
        letter.recipient,
        letter.sender,
        words.sender_name,
        words.subject,
        words.text,
        words.html,
        position,
    )
