"""I3, I5, I6: effects under their keys, and money conserved."""

from typing import Final

from adapters.persistence.invariants.check import ORDER, Check

EFFECTS: Final = (
    Check(
        "I3",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('the key ', n.key, ' names another intent too')
        FROM orders o JOIN intents n ON n.order_id = o.id
        WHERE {{scope}} AND EXISTS (SELECT FROM intents x WHERE x.key = n.key
                                    AND (x.order_id, x.number) <> (n.order_id, n.number))""",
    ),
    Check(
        "I3",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('the key of intent ', n.number, ' is ', n.key, ', which does not follow from it')
        FROM orders o JOIN intents n ON n.order_id = o.id JOIN transactions t ON t.order_id = o.id
        CROSS JOIN LATERAL (SELECT concat(t.provider, ':', t.reference) AS payment) p
        WHERE {{scope}} AND n.key NOT IN (
            concat_ws(':', 'trueup', n.effect, p.payment, n.number),
            concat_ws(':', 'trueup', n.effect, encode(sha256(convert_to(p.payment, 'UTF8')), 'hex'), n.number))""",
    ),
    Check(
        "I3",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('intent ', n.number, ' follows intent ', coalesce(n.before, 0))
        FROM orders o CROSS JOIN LATERAL (
            SELECT number, lag(number) OVER (ORDER BY number) AS before FROM intents WHERE order_id = o.id
        ) n
        WHERE {{scope}} AND n.number <> coalesce(n.before, 0) + 1""",
    ),
    Check(
        "I3",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('intent ', n.number, ' repeats a ', n.effect, ' that was not refused')
        FROM orders o CROSS JOIN LATERAL (
            SELECT number, effect, lag(effect) OVER w AS before, lag(refused_in) OVER w AS refused_in
            FROM intents WHERE order_id = o.id WINDOW w AS (ORDER BY number)
        ) n
        WHERE {{scope}} AND n.effect = n.before AND n.refused_in IS NULL""",
    ),
    Check(
        "I3",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('intent ', n.number, ' was answered before it was recorded')
        FROM orders o JOIN intents n ON n.order_id = o.id WHERE {{scope}} AND n.answered_at < n.created_at""",
    ),
    Check(
        "I3",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {ORDER}, concat('a ', d.kind, ' is due, and no open intent says so')
        FROM due_work d JOIN orders o ON o.id = d.subject
        WHERE {{scope}} AND d.kind IN ('cancel', 'void') AND d.generation = 0 AND NOT EXISTS (
            SELECT FROM intents n WHERE n.order_id = d.subject AND n.effect = d.kind AND NOT n.confirmed
            AND n.refused_in IS NULL)""",
    ),
)

MONEY: Final = (
    Check(
        "I5",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('it is ', o.status, ', and its transaction is ', t.state)
        FROM orders o JOIN transactions t ON t.order_id = o.id
        WHERE {{scope}} AND CASE
            WHEN o.status IN ('CANCELED', 'EXPIRED', 'FAILED') THEN t.state IN ('AUTHORIZED', 'PAID')
            WHEN o.status IN ('PAID', 'REFUND_PENDING', 'REFUNDED') THEN t.state <> 'PAID'
            ELSE false END""",
    ),
    Check(
        "I6",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat(m.what, ' ', trim_scale(m.amount), ' has more decimals than ', o.currency, ' has')
        FROM orders o JOIN transactions t ON t.order_id = o.id CROSS JOIN LATERAL (
            VALUES ('amount', o.amount), ('amount_received', t.amount_received), ('amount_refunded', t.amount_refunded)
            UNION ALL SELECT concat('operation ', p.id, ' of'), p.amount FROM operations p WHERE p.order_id = o.id
        ) m (what, amount)
        WHERE {{scope}} AND scale(trim_scale(m.amount)) > o.digits""",
    ),
    Check(
        "I6",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat(m.captured, ' was captured of ', o.amount)
        FROM orders o CROSS JOIN LATERAL (
            SELECT sum(amount) AS captured FROM operations
            WHERE order_id = o.id AND kind = 'capture' AND state = 'done'
        ) m
        WHERE {{scope}} AND m.captured > o.amount""",
    ),
    # What was taken while it was only authorized are its captures; once it is paid, what was received.
    Check(
        "I6",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat(m.refunded, ' is refunded or queued of ', m.taken)
        FROM orders o JOIN transactions t ON t.order_id = o.id CROSS JOIN LATERAL (
            SELECT sum(amount) FILTER (WHERE kind = 'refund' AND state IN ('queued', 'done')) AS refunded,
                   greatest(CASE WHEN t.state = 'PAID' THEN coalesce(t.amount_received, o.amount) ELSE 0 END,
                            sum(amount) FILTER (WHERE kind = 'capture' AND state = 'done')) AS taken
            FROM operations WHERE order_id = o.id
        ) m
        WHERE {{scope}} AND m.refunded > m.taken""",
    ),
    Check(
        "I6",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('operation ', v.id, ' voids it, and something was captured')
        FROM orders o JOIN operations v ON v.order_id = o.id AND v.kind = 'void' AND v.state = 'done'
        WHERE {{scope}} AND EXISTS (SELECT FROM operations p WHERE p.order_id = o.id AND p.kind = 'capture'
                                    AND p.state = 'done')""",
    ),
)
