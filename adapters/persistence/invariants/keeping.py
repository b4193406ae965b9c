"""I7, I8, I9: once, kept with its reason, and nobody else's."""

from typing import Final

from adapters.persistence.invariants.check import CASE, COMMAND, EVENT, ORDER, STREAM, Check

ONCE: Final = (
    Check(
        "I7",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, 'its merchant has it twice'
        FROM orders o WHERE {{scope}} AND EXISTS (
            SELECT FROM orders x WHERE x.merchant = o.merchant AND x.reference = o.reference AND x.id <> o.id)""",
    ),
    Check(
        "I7",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('another order has its payment ', t.provider, ' ', t.reference, ' too')
        FROM orders o JOIN transactions t ON t.order_id = o.id WHERE {{scope}} AND EXISTS (
            SELECT FROM transactions x
            WHERE x.provider = t.provider AND x.reference = t.reference AND x.order_id <> t.order_id)""",
    ),
    Check(
        "I7",
        "inbox",
        "i.id",
        f"""
        SELECT i.id, {COMMAND}, concat(i.name, ' is kept twice under the key ', i.key)
        FROM inbox i WHERE {{scope}} AND EXISTS (
            SELECT FROM inbox x
            WHERE x.merchant = i.merchant AND x.name = i.name AND x.key = i.key AND x.id <> i.id)""",
    ),
    Check(
        "I7",
        "events",
        "x.id",
        f"""
        SELECT x.id, {EVENT}, 'two events have this name'
        FROM events x WHERE {{scope}} AND EXISTS (SELECT FROM events y WHERE y.event = x.event AND y.id <> x.id)""",
    ),
)

KEPT: Final = (
    Check(
        "I8",
        "inbox",
        "i.id",
        f"""
        SELECT i.id, {COMMAND}, concat(i.name, ' is refused, and nothing says why')
        FROM inbox i WHERE {{scope}} AND i.state = 'refused' AND coalesce(i.reason, '') = ''""",
    ),
    Check(
        "I8",
        "inbox",
        "i.id",
        f"""
        SELECT i.id, {COMMAND}, concat(i.name, ' is refused, and no list of what is refused shows it')
        FROM inbox i WHERE {{scope}} AND i.state = 'refused'
          AND NOT EXISTS (SELECT FROM refused_messages r WHERE r.command = i.id)""",
    ),
    Check(
        "I8",
        "refused_messages",
        "r.id",
        """
        SELECT r.id, concat('refused message ', r.id), 'nothing says why it was refused'
        FROM refused_messages r WHERE {scope} AND r.errors IN ('[]', '{{}}', 'null')""",
    ),
)

OWN: Final = (
    Check(
        "I9",
        "events",
        "x.id",
        f"""
        SELECT x.id, {EVENT}, concat('it is told to ', x.merchant, ', and its order is of ',
                                  coalesce(o.merchant, j.merchant, 'nobody'))
        FROM events x LEFT JOIN orders o ON o.id = x.order_id LEFT JOIN rejections j ON j.id = x.order_id
        WHERE {{scope}} AND x.order_id IS NOT NULL
          AND coalesce(o.merchant, j.merchant) IS DISTINCT FROM x.merchant""",
    ),
    Check(
        "I9",
        "streams",
        "s.id",
        f"""
        SELECT s.id, {STREAM}, concat('its endpoint is of ', e.merchant, ', and what it carries of ',
                                  coalesce(o.merchant, j.merchant, x.merchant, 'nobody'))
        FROM streams s JOIN endpoints e ON e.id = s.endpoint
        LEFT JOIN orders o ON o.id = s.order_id LEFT JOIN rejections j ON j.id = s.order_id
        LEFT JOIN events x ON x.id = s.single_event
        WHERE {{scope}} AND coalesce(o.merchant, j.merchant, x.merchant) IS DISTINCT FROM e.merchant""",
    ),
    Check(
        "I9",
        "streams",
        "s.id",
        f"""
        SELECT s.id, {STREAM}, concat('it has tried event ', x.event, ', which is not of it')
        FROM streams s JOIN deliveries v ON v.stream = s.id JOIN events x ON x.id = v.event_row
        WHERE {{scope}} AND s.single_event IS DISTINCT FROM x.id
          AND (s.order_id IS NULL OR s.order_id IS DISTINCT FROM x.order_id)""",
    ),
    Check(
        "I9",
        "deliveries",
        "v.stream",
        f"""
        SELECT s.id, {STREAM}, concat('it has tried event ', v.event_row, ', which is not there')
        FROM deliveries v JOIN streams s ON s.id = v.stream
        WHERE {{scope}} AND NOT EXISTS (SELECT FROM events x WHERE x.id = v.event_row)""",
    ),
    Check(
        "I9",
        "cases",
        "c.id",
        f"""
        SELECT c.id, {CASE}, concat('it is of ', coalesce(c.merchant, 'nobody'), ', and its order of ', o.merchant)
        FROM cases c JOIN orders o ON o.id = c.order_id
        WHERE {{scope}} AND c.merchant IS DISTINCT FROM o.merchant""",
    ),
)
