"""I2 of mails: who is to be told has a mail, and a mail that is not sent has due work, a case, or nobody to send it."""

from typing import Final

from adapters.persistence.invariants.check import CASE, Check

_MAIL: Final = "concat('mail ', m.id)"
_IS_PLANNED: Final = "EXISTS (SELECT FROM due_work d WHERE d.subject = m.id)"
_OPERATORS: Final = "('CANCEL_IN_DOUBT', 'CONTRADICTION', 'POLLING_EXHAUSTED', 'UNDELIVERABLE', 'STUCK')"
_TELLS_OF: Final = "EXISTS (SELECT FROM mails m WHERE m.case_id = c.id AND m.audience = {})"

MAILS: Final = (
    Check(
        "I2",
        "cases",
        "c.id",
        f"""
        SELECT c.id, {CASE}, concat('no mail tells ', c.merchant, ' of it')
        FROM cases c WHERE {{scope}} AND c.mailed AND NOT {_TELLS_OF.format("'merchant'")}""",
    ),
    Check(
        "I2",
        "cases",
        "c.id",
        f"""
        SELECT c.id, {CASE}, concat('no mail tells the operator of ', c.kind)
        FROM cases c
        WHERE {{scope}} AND c.mailed IS NOT NULL AND c.kind IN {_OPERATORS} AND NOT {_TELLS_OF.format("'operator'")}""",
    ),
    Check(
        "I2",
        "mails",
        "m.id",
        f"""
        SELECT m.id, {_MAIL}, 'it waits, and has neither due work nor an open case'
        FROM mails m WHERE {{scope}} AND m.state = 'waiting' AND NOT {_IS_PLANNED} AND NOT EXISTS (
            SELECT FROM cases c WHERE c.subject = m.id AND c.kind = 'STUCK' AND c.closed_at IS NULL)""",
    ),
    # A case that somebody closed is no longer there to be open, and yet was told of.
    Check(
        "I2",
        "mails",
        "m.id",
        f"""
        SELECT m.id, {_MAIL}, 'it was given up without a case'
        FROM mails m WHERE {{scope}} AND m.state = 'failed'
          AND NOT EXISTS (SELECT FROM cases c WHERE c.subject = m.id AND c.kind = 'UNDELIVERABLE')""",
    ),
    Check(
        "I7",
        "mails",
        "m.id",
        f"""
        SELECT m.id, {_MAIL}, concat('another mail tells the ', m.audience, ' of ', m.event, ' too')
        FROM mails m WHERE {{scope}} AND EXISTS (
            SELECT FROM mails x WHERE x.event = m.event AND x.audience = m.audience AND x.id <> m.id)""",
    ),
    Check(
        "I9",
        "mails",
        "m.id",
        f"""
        SELECT m.id, {_MAIL}, concat('it is told to ', m.merchant, ', and its order is of ', o.merchant)
        FROM mails m JOIN orders o ON o.id = m.order_id
        WHERE {{scope}} AND m.audience = 'merchant' AND m.merchant IS DISTINCT FROM o.merchant""",
    ),
)
