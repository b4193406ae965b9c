"""The invariants of the design, each as a query for what breaks it.

They are written from the design alone and share nothing with the code that writes: the states, edges and keys that
stand here once more are a second opinion.
"""

from typing import Final

from adapters.persistence.invariants.check import Check
from adapters.persistence.invariants.effects import EFFECTS, MONEY
from adapters.persistence.invariants.history import HISTORY
from adapters.persistence.invariants.keeping import KEPT, ONCE, OWN
from adapters.persistence.invariants.mails import MAILS
from adapters.persistence.invariants.owing import OWING
from adapters.persistence.invariants.reversals import REVERSALS
from adapters.persistence.invariants.sanity import SANITY

__all__ = ["CHECKS", "OVERDUE", "Check"]

CHECKS: Final = (*HISTORY, *OWING, *EFFECTS, *MONEY, *ONCE, *KEPT, *OWN, *REVERSALS, *SANITY, *MAILS)

# Late by more than any lane explains that is well and not held up.
OVERDUE: Final = """
SELECT concat(l.family, ' ', l.name), concat(count(*), ' rows of ', d.kind, ' are overdue, the oldest since ',
                                             to_char(min(d.due_at), 'YYYY-MM-DD HH24:MI:SS'))
FROM due_work d JOIN lanes l ON l.id = d.lane
WHERE d.due_at < now() - %(late)s AND NOT l.paused AND l.failures = 0 AND coalesce(l.paused_until, now()) <= now()
GROUP BY l.family, l.name, d.kind ORDER BY 1, d.kind
"""
