"""I2: nothing goes dark. What owes something has due work or an open case, and nothing else has."""

from typing import Final

from adapters.persistence.invariants.check import COMMAND, DUE_WORK, EVENT, ORDER, STREAM, Check

_OWES: Final = "(o.status IN ('NEW', 'PENDING', 'REFUND_PENDING') OR o.watching)"


def _has_case(subject: str, kinds: str = "IS NOT NULL") -> str:
    return f"EXISTS (SELECT FROM cases c WHERE c.subject = {subject} AND c.closed_at IS NULL AND c.kind {kinds})"


_IS_WANTED: Final = "(e.types IS NULL OR x.type = ANY(e.types))"
# Which of both an event saw that came in the moment in which its endpoint's types were changed, nobody can say.
_WHILE_TYPES_CHANGED: Final = (
    "coalesce(x.created_at BETWEEN e.types_since - interval '10 seconds' AND e.types_since + interval '10 seconds',"
    " false)"
)
_IS_DUE: Final = "EXISTS (SELECT FROM due_work d WHERE d.subject = {})"

OWING: Final = (
    Check(
        "I2",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('it is ', o.status, ', and has neither due work nor an open case')
        FROM orders o WHERE {{scope}} AND {_OWES} AND NOT {_IS_DUE.format("o.id")} AND NOT {_has_case("o.id")}""",
    ),
    Check(
        "I2",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, 'it is UNRESOLVED without an open case'
        FROM orders o WHERE {{scope}} AND o.status = 'UNRESOLVED'
        AND NOT {_has_case("o.id", "IN ('LATE_PAYMENT', 'AMOUNT_MISMATCH')")}""",
    ),
    Check(
        "I2",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, 'it has no transaction'
        FROM orders o WHERE {{scope}} AND NOT EXISTS (SELECT FROM transactions t WHERE t.order_id = o.id)""",
    ),
    # Who asks from outside bumps the generation, and may do that while the order comes to its end.
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {ORDER}, concat('it is ', o.status, ' and owes nothing, and yet ', d.kind, ' is due')
        FROM due_work d JOIN orders o ON o.id = d.subject
        WHERE {{scope}} AND NOT {_OWES} AND d.kind <> 'watch' AND d.generation = 0""",
    ),
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {DUE_WORK}, concat(d.kind, ' is due of a subject that is not there')
        FROM due_work d
        WHERE {{scope}} AND NOT EXISTS (SELECT FROM orders o WHERE o.id = d.subject)
          AND NOT EXISTS (SELECT FROM reversals r WHERE r.id = d.subject)
          AND NOT EXISTS (SELECT FROM retriggers g WHERE g.id = d.subject)
          AND NOT EXISTS (SELECT FROM streams s WHERE s.id = d.subject)
          AND NOT EXISTS (SELECT FROM mails m WHERE m.id = d.subject)
          AND NOT EXISTS (SELECT FROM inbox i WHERE i.id = d.subject)""",
    ),
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {DUE_WORK}, concat('it is there ', count(*), ' times')
        FROM due_work d WHERE {{scope}} GROUP BY d.subject HAVING count(*) > 1""",
    ),
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {DUE_WORK}, concat(d.kind, ' is no work for ', k.subject)
        FROM due_work d JOIN LATERAL (
            SELECT 'an order' AS subject,
                   d.kind IN ('void', 'cancel', 'confirm', 'close', 'poll', 'watch') AS fits
            FROM orders o WHERE o.id = d.subject
            UNION ALL SELECT 'a reversal', d.kind IN ('void', 'reverse') FROM reversals r WHERE r.id = d.subject
            UNION ALL SELECT 'a callback stream', d.kind = 'deliver' FROM streams s WHERE s.id = d.subject
            UNION ALL SELECT 'a command', d.kind = 'command' FROM inbox i WHERE i.id = d.subject
            UNION ALL SELECT 'a mail', d.kind = 'mail' FROM mails m WHERE m.id = d.subject
            UNION ALL SELECT 'a retrigger', d.kind = 'retrigger' FROM retriggers g WHERE g.id = d.subject
        ) k ON true
        WHERE {{scope}} AND NOT k.fits""",
    ),
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {DUE_WORK}, concat('its lane is ', coalesce(l.family, 'none'), ' ', l.name, ', not ',
                                       k.family, ' ', k.name)
        FROM due_work d LEFT JOIN lanes l ON l.id = d.lane
        JOIN LATERAL (
            SELECT 'provider' AS family, t.provider AS name FROM transactions t WHERE t.order_id = d.subject
            UNION ALL SELECT 'provider', r.provider FROM reversals r WHERE r.id = d.subject
            UNION ALL SELECT 'endpoint', s.endpoint::text FROM streams s WHERE s.id = d.subject
            UNION ALL SELECT 'merchant', i.merchant FROM inbox i WHERE i.id = d.subject
            UNION ALL SELECT 'mail', 'smtp' FROM mails m WHERE m.id = d.subject
            UNION ALL SELECT 'merchant', g.merchant FROM retriggers g WHERE g.id = d.subject
        ) k ON true
        WHERE {{scope}} AND (l.family, l.name) IS DISTINCT FROM (k.family, k.name)""",
    ),
    Check(
        "I2",
        "streams",
        "s.id",
        f"""
        SELECT s.id, {STREAM}, concat('it holds back event ', x.event, ', and has neither due work nor an open case')
        FROM streams s JOIN endpoints e ON e.id = s.endpoint
        CROSS JOIN LATERAL (
            SELECT x.event FROM events x
            WHERE (x.order_id = s.order_id OR x.id = s.single_event) AND x.id > s.cursor
              AND {_IS_WANTED} AND NOT {_WHILE_TYPES_CHANGED} ORDER BY x.id LIMIT 1
        ) x
        WHERE {{scope}} AND CASE WHEN e.enabled
            THEN NOT {_IS_DUE.format("s.id")} AND NOT {_has_case("s.id", "= 'STUCK'")}
            ELSE NOT {_has_case("e.id", "= 'UNDELIVERABLE'")} END""",
    ),
    Check(
        "I2",
        "streams",
        "s.id",
        f"""
        SELECT s.id, {STREAM}, concat('it has passed event ', x.event, ', which was neither delivered nor given up')
        FROM streams s JOIN endpoints e ON e.id = s.endpoint
        JOIN events x ON (x.order_id = s.order_id OR x.id = s.single_event) AND x.id > s.start AND x.id <= s.cursor
        WHERE {{scope}} AND {_IS_WANTED} AND NOT {_WHILE_TYPES_CHANGED} AND NOT EXISTS (
            SELECT FROM deliveries v
            WHERE v.stream = s.id AND v.event_row = x.id AND v.state IN ('delivered', 'failed'))""",
    ),
    # An endpoint that is made or changed in the same moment as the event may not have been seen by it.
    Check(
        "I2",
        "events",
        "x.id",
        f"""
        SELECT x.id, {EVENT}, concat('no callback stream carries it to endpoint ', e.id)
        FROM events x JOIN endpoints e ON e.merchant = x.merchant AND {_IS_WANTED}
         AND greatest(e.created_at, e.types_since) < x.created_at - interval '10 seconds'
        WHERE {{scope}} AND NOT EXISTS (SELECT FROM streams s WHERE s.endpoint = e.id AND s.start < x.id
                                        AND s.key = coalesce(x.order_id, -x.id))""",
    ),
    Check(
        "I2",
        "inbox",
        "i.id",
        f"""
        SELECT i.id, {COMMAND}, concat(i.name, ' waits, and has neither due work nor an open case')
        FROM inbox i WHERE {{scope}} AND i.state = 'waiting' AND NOT {_IS_DUE.format("i.id")}
        AND NOT {_has_case("i.id", "= 'STUCK'")}""",
    ),
    Check(
        "I2",
        "inbox",
        "i.id",
        f"""
        SELECT i.id, {COMMAND}, concat(i.name, ' was accepted, and no order carries it out')
        FROM inbox i WHERE {{scope}} AND i.state = 'accepted' AND NOT EXISTS (
            SELECT FROM orders o WHERE o.merchant = i.merchant AND o.reference = i."order" AND o.cancel_command = i.id
        )""",
    ),
)
