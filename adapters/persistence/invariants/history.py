"""I1: one history row and one event for every change of an order's status, along the edges of the design."""

from typing import Final

from adapters.persistence.invariants.check import ORDER, Check

_EDGES: Final = ", ".join(
    f"('{before}', '{after}')"
    for before, leads_to in {
        "NEW": "PENDING PAID UNRESOLVED CANCELED EXPIRED FAILED",
        "PENDING": "PAID UNRESOLVED CANCELED EXPIRED FAILED",
        "PAID": "REFUND_PENDING REFUNDED",
        "UNRESOLVED": "RESOLVED",
        "EXPIRED": "UNRESOLVED",
        "CANCELED": "UNRESOLVED",
        "FAILED": "UNRESOLVED",
        "REFUND_PENDING": "REFUNDED PAID",
    }.items()
    for after in leads_to.split()
)


HISTORY: Final = (
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('its sequence is ', o.sequence, ', and its history has ', h.n, ' rows, from ',
                                  coalesce(h.low, 0), ' to ', coalesce(h.high, 0))
        FROM orders o CROSS JOIN LATERAL (
            SELECT count(*) AS n, min(sequence) AS low, max(sequence) AS high FROM history WHERE order_id = o.id
        ) h
        WHERE {{scope}} AND (h.n <> o.sequence OR h.low IS DISTINCT FROM 1 OR h.high IS DISTINCT FROM o.sequence)""",
    ),
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat_ws(' ', 'it is', o.status, o.reason, o.canceled_by, 'and its history ends with',
                                     h.status, h.reason, h.canceled_by)
        FROM orders o CROSS JOIN LATERAL (
            SELECT * FROM history WHERE order_id = o.id ORDER BY sequence DESC LIMIT 1
        ) h
        WHERE {{scope}} AND (o.status, o.reason, o.canceled_by) IS DISTINCT FROM (h.status, h.reason, h.canceled_by)""",
    ),
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('change ', h.sequence, ' says it came from ', coalesce(h.previous, 'nothing'),
                                  ', and it was ', coalesce(h.was, 'nothing'))
        FROM orders o CROSS JOIN LATERAL (
            SELECT *, lag(status) OVER (ORDER BY sequence) AS was FROM history WHERE order_id = o.id
        ) h
        WHERE {{scope}} AND h.previous IS DISTINCT FROM h.was""",
    ),
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('change ', h.sequence, ' has ', h.events, ' events, and ', h.rows, ' history rows')
        FROM orders o CROSS JOIN LATERAL (
            SELECT coalesce(h.sequence, x.sequence) AS sequence, count(DISTINCT x.id) AS events,
                   count(DISTINCT h.sequence) AS rows
            FROM (SELECT * FROM history WHERE order_id = o.id AND at > coalesce(o.trimmed_to, '-infinity')) h
            FULL JOIN (SELECT * FROM events WHERE order_id = o.id AND type = 'order.status_changed') x
                   ON x.sequence = h.sequence
            GROUP BY 1
        ) h
        WHERE {{scope}} AND (h.events <> 1 OR h.rows <> 1)""",
    ),
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('event ', x.event, ' tells another story than change ', h.sequence)
        FROM orders o JOIN history h ON h.order_id = o.id
        JOIN events x ON x.order_id = o.id AND x.sequence = h.sequence AND x.type = 'order.status_changed'
        CROSS JOIN LATERAL (SELECT convert_from(x.body, 'UTF8')::jsonb -> 'data' AS told) b
        WHERE {{scope}} AND (h.status, h.previous, h.sequence::text, o.merchant, o.reference, x.event) IS DISTINCT FROM
            (b.told ->> 'status', b.told ->> 'previous_status', b.told ->> 'sequence', b.told ->> 'merchant',
             b.told ->> 'order', b.told ->> 'event')""",
    ),
    Check(
        "I1",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('change ', h.sequence, ' led from ', coalesce(h.previous, 'nothing'), ' to ',
                                  h.status, ', which no table allows')
        FROM orders o JOIN history h ON h.order_id = o.id
        WHERE {{scope}} AND CASE WHEN h.previous IS NULL THEN h.status <> 'NEW'
                                 ELSE (h.previous, h.status) NOT IN ({_EDGES}) END""",
    ),
)
