"""Mails on their way: read to be sent, saved with what became of it, and shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence import cases
from adapters.persistence.columns import Columns, run
from adapters.persistence.due_work import SqlDueWork
from domain.model.case import CaseKind
from domain.model.due_work import Claim, Claimed, Due, Work
from domain.model.mail import Audience, Mail, MailDecision, MailState

ACTOR: Final = "system:mail"

_WAITING: Final = """
SELECT id, message_id, audience, recipient, sender, sender_name, subject, text, html, created_at, since, tries,
       merchant, order_id
FROM mails WHERE id = ANY(%(ids)s::bigint[]) AND state = 'waiting'
"""

_TRIES: Final = Columns("c", id="bigint", state="text", tries="int", status="int", error="text")
_SAVE_TRIES: Final = f"""
UPDATE mails m SET state = c.state, tries = c.tries, status = c.status, error = c.error, tried_at = %(now)s,
    sent_at = CASE WHEN c.state = 'sent' THEN %(now)s ELSE m.sent_at END
FROM {_TRIES.table} WHERE m.id = c.id
"""

_SHOWN: Final = """
SELECT m.id, m.state, m.audience, m.merchant, o.reference AS "order", m.case_id AS "case", m.event, m.recipient,
       m.subject, m.tries, m.status, m.error, m.created_at, m.tried_at, m.sent_at, d.due_at AS next_try{more}
FROM mails m LEFT JOIN orders o ON o.id = m.order_id LEFT JOIN due_work d ON d.subject = m.id
WHERE {where} ORDER BY m.id DESC LIMIT %(limit)s
"""
_LISTED: Final = _SHOWN.format(
    more="",
    where="(%(merchant)s::text IS NULL OR m.merchant = %(merchant)s)"
    " AND (%(state)s::text IS NULL OR m.state = %(state)s)",
)
_ONE: Final = _SHOWN.format(more=", m.message_id, m.sender, m.sender_name, m.text, m.html", where="m.id = %(id)s")
_AGAIN: Final = """
UPDATE mails m SET state = 'waiting', tries = 0, since = %(now)s, error = NULL, status = NULL WHERE m.id = %(id)s
RETURNING (SELECT id FROM lanes WHERE family = 'mail' AND name = 'smtp')
"""


class SqlMails:
    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def get_many(self, ids: Sequence[int]) -> Mapping[int, Mail]:
        return {row[0]: _mail(row) for row in run(self._connection, _WAITING, {"ids": list(ids)})}

    def apply(self, decisions: Sequence[MailDecision], claim: Claim) -> Sequence[int]:
        connection, now = self._connection, self._now
        held = SqlDueWork(connection, now).settle(claim, [(d.row, d.due) for d in decisions])
        saved = [d for d in decisions if d.row.subject in held]
        if saved:
            rows = [(d.mail.id, d.state, d.tries, d.status, d.error) for d in saved]
            run(connection, _SAVE_TRIES, _TRIES.parameters(rows, now=now))
        sent = [(d.mail.id, CaseKind.UNDELIVERABLE, "it was sent", ACTOR) for d in saved if d.state is MailState.SENT]
        cases.close_cases(connection, sent, now=now)
        # Nothing is told of these, by mail or by callback: that mails do not arrive is no news for a mail.
        cases.open_cases(connection, [(_about(d), d.opening) for d in saved if d.opening is not None], now=now)
        return [d.mail.id for d in saved]

    def end(self, claim: Claim, mails: Sequence[Claimed]) -> None:
        SqlDueWork(self._connection, self._now).settle(claim, [(row, None) for row in mails])


def listed(
    connection: Connection, *, merchant: str | None, state: MailState | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Return mails without what they say, the youngest first."""
    found = run(connection, _LISTED, {"merchant": merchant, "state": state, "limit": limit})
    return [dict(row) for row in found.mappings()]


def shown(connection: Connection, mail: int) -> Mapping[str, Any] | None:
    """Return one mail with all that it says."""
    found = run(connection, _ONE, {"id": mail, "limit": 1}).mappings().first()
    return None if found is None else dict(found)


def send_again(connection: Connection, mail: int) -> bool:
    """Make a mail due at once, whatever became of it, under the name that it has; return whether there is such a mail.

    Once it is sent, the case that it was given up with is closed.
    """
    now = run(connection, "SELECT now()").scalar_one()
    row = run(connection, _AGAIN, {"id": mail, "now": now}).fetchone()
    if row is None:
        return False
    SqlDueWork(connection, now).plan([(mail, row[0], Due(work=Work.MAIL, at=now))])
    return True


def _mail(row: Any) -> Mail:
    return Mail(
        id=row[0],
        message_id=row[1],
        audience=Audience(row[2]),
        recipient=row[3],
        sender=row[4],
        sender_name=row[5],
        subject=row[6],
        text=row[7],
        html=row[8],
        created_at=row[9],
        since=row[10],
        tries=row[11],
        merchant=row[12],
        order_id=row[13],
    )


def _about(decision: MailDecision) -> cases.About:
    mail = decision.mail
    return cases.About(
        subject=mail.id, merchant=mail.merchant, order_id=mail.order_id, currency=None, actor=ACTOR, mailed=False
    )
