"""What a provider tells unasked: a hint to ask about that payment soon, and never more than that."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import run
from adapters.persistence.due_work import SqlDueWork
from adapters.persistence.lanes import SqlLanes
from domain.model.due_work import Due, LaneFamily, Work

# However often a provider tells of a payment, it is not asked more often than this because of it.
DEBOUNCE: Final = timedelta(seconds=2)
_POLLED: Final = frozenset({"NEW", "PENDING", "REFUND_PENDING"})

_FIND: Final = """
SELECT o.id, o.status, t.told_at, now(),
       EXISTS (SELECT FROM due_work d WHERE d.subject = o.id),
       EXISTS (SELECT FROM cases c WHERE c.subject = o.id AND c.kind = 'STUCK' AND c.closed_at IS NULL)
FROM transactions t JOIN orders o ON o.id = t.order_id
WHERE t.provider = %(provider)s AND t.reference = %(reference)s
"""
# A reversal that has used up half of its attempts is left to its cadence: whoever tells much, and need not be the
# provider, cannot use up those that are planned. Nor is one that is being asked about asked again behind that, and
# what was asked just now is not asked again at once.
_REVERSE_SOON: Final = """
UPDATE due_work d SET due_at = least(d.due_at, greatest(now(), r.last_asked_at + %(pause)s))
FROM reversals r
WHERE r.provider = %(provider)s AND r.reference = %(reference)s AND r.outcome IS NULL AND r.attempts < %(most)s
  AND d.subject = r.id AND d.lease IS NULL
RETURNING d.due_at <= now()
"""
# For an event that follows another within the pause. Where the payment is being asked about meanwhile, because of the
# first, nothing more is done: the cadence asks again.
_SOON: Final = """
UPDATE due_work SET due_at = least(due_at, %(at)s) WHERE subject = %(subject)s AND lease IS NULL
"""


def told(connection: Connection, provider: str, reference: str) -> bool:
    """Bring the next inquiry about a payment forward; return whether it is due at once.

    One that is being asked about at this moment is asked about once more behind that: the answer that is on its way
    may be older than the event. An order that owes nothing is asked about once, for a refund at the provider changes
    it too.
    """
    row = run(connection, _FIND, {"provider": provider, "reference": reference}).fetchone()
    if row is None:
        return False
    subject, status, told_at, now, is_planned, is_stuck = row
    if told_at is not None and now < told_at + DEBOUNCE:
        run(connection, _SOON, {"subject": subject, "at": told_at + DEBOUNCE})
        return False
    due_work = SqlDueWork(connection, now)
    # Due work before the transaction, as waves lock them.
    if is_planned:
        due_work.bump([subject])
    elif not is_stuck:
        _plan(connection, due_work, provider, (subject, status, now))
    run(
        connection,
        "UPDATE transactions SET told_at = %(now)s WHERE order_id = %(subject)s",
        {"subject": subject, "now": now},
    )
    return True


def told_of_reversal(connection: Connection, provider: str, reference: str, *, most: int) -> bool:
    """Bring the next attempt at undoing a payment forward; return whether it is due at once.

    `most` is how many attempts it may have had by then.
    """
    about = {"provider": provider, "reference": reference, "most": most, "pause": DEBOUNCE}
    return bool(run(connection, _REVERSE_SOON, about).scalar())


def _plan(connection: Connection, due_work: SqlDueWork, provider: str, order: tuple[int, str, Any]) -> None:
    subject, status, now = order
    lanes = SqlLanes(connection, now).ids(LaneFamily.PROVIDER, [provider])
    work = Work.POLL if status in _POLLED else Work.WATCH
    due_work.plan((subject, lane, Due(work=work, at=now)) for lane in lanes.values())
