"""I2, I3, I5, I6, I7, I9 of reversals: each goes on or has ended and said so, and acts only under its keys, in time."""

from typing import Final

from adapters.persistence.invariants.check import EVENT, ORDER, REVERSAL, Check

_ENDED_EVENT: Final = "concat('evt_reversal_', r.id, '_ended')"
# The reversal whose end an event's name tells of.
_NAMED: Final = "CASE WHEN x.event ~ '^evt_reversal_[0-9]+_ended$' THEN split_part(x.event, '_', 3)::bigint END"
_ITS_CASE: Final = """c.kind = CASE r.outcome
            WHEN 'SETTLEMENT_PASSED' THEN 'SETTLED_UNREVERSED' ELSE 'REVERSAL_EXHAUSTED' END"""
_UNDER_WAY: Final = "('NEW', 'PENDING', 'CANCELED', 'EXPIRED', 'FAILED')"


def _has_case(condition: str) -> str:
    return f"EXISTS (SELECT FROM cases c WHERE c.subject = r.id AND {condition})"


GOING_ON: Final = (
    Check(
        "I2",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, 'it has not ended, and has neither due work nor an open case'
        FROM reversals r WHERE {{scope}} AND r.outcome IS NULL
        AND NOT EXISTS (SELECT FROM due_work d WHERE d.subject = r.id)
        AND NOT {_has_case("c.kind = 'STUCK' AND c.closed_at IS NULL")}""",
    ),
    # Who brings it forward bumps the generation, and may do that while it comes to its end.
    Check(
        "I2",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {REVERSAL}, concat('it has ended as ', r.outcome, ', and yet ', d.kind, ' is due')
        FROM due_work d JOIN reversals r ON r.id = d.subject
        WHERE {{scope}} AND r.outcome IS NOT NULL AND d.generation = 0""",
    ),
    Check(
        "I2",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('it has ended as ', r.outcome, ', and no event tells of it')
        FROM reversals r WHERE {{scope}} AND r.outcome IS NOT NULL AND NOT EXISTS (
            SELECT FROM events x WHERE x.event = {_ENDED_EVENT} AND x.type = 'reversal.ended')
          AND NOT EXISTS (SELECT FROM transactions t JOIN orders o ON o.id = t.order_id
                          WHERE t.provider = r.provider AND t.reference = r.reference AND o.trimmed_to > r.ended_at)""",
    ),
    Check(
        "I2",
        "events",
        "x.id",
        f"""
        SELECT x.id, {EVENT}, 'it tells of the end of a reversal that has not ended'
        FROM events x WHERE {{scope}} AND x.type = 'reversal.ended' AND NOT EXISTS (
            SELECT FROM reversals r WHERE r.id = {_NAMED} AND r.outcome IS NOT NULL)""",
    ),
    Check(
        "I2",
        "events",
        "x.id",
        f"""
        SELECT x.id, {EVENT}, concat('it tells another story than the ', {REVERSAL})
        FROM events x JOIN reversals r ON r.id = {_NAMED}
        CROSS JOIN LATERAL (SELECT convert_from(x.body, 'UTF8')::jsonb -> 'data' AS told) b
        WHERE {{scope}} AND x.type = 'reversal.ended'
        AND (r.merchant, r.provider, r.reference, r.outcome, x.merchant) IS DISTINCT FROM
            (b.told ->> 'merchant', b.told ->> 'provider', b.told ->> 'reference', b.told ->> 'outcome', r.merchant)""",
    ),
    # What was never on record, and still was not when it was last asked about, is closed and said so.
    Check(
        "I2",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('it has ended as ', r.outcome, ', and never had the case of that')
        FROM reversals r
        WHERE {{scope}} AND r.outcome IN ('SETTLEMENT_PASSED', 'EXHAUSTED')
        AND (r.on_record OR r.last_answer IS DISTINCT FROM 'no_record')
        AND NOT {_has_case(_ITS_CASE)}""",
    ),
    # The two may come in the same moment and not see one another: then the next attempt tells the order.
    Check(
        "I2",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('the reversal of its payment is ', coalesce(m.known, 'unknown'), ' to it, and is ',
                                  coalesce(m.is, 'none'))
        FROM orders o JOIN transactions t ON t.order_id = o.id
        LEFT JOIN reversals r ON r.provider = t.provider AND r.reference = t.reference
        CROSS JOIN LATERAL (
            SELECT t.reversal AS known, CASE WHEN r.id IS NOT NULL THEN coalesce(r.outcome, 'open') END AS is
        ) m
        WHERE {{scope}} AND m.known IS DISTINCT FROM m.is AND NOT (
            m.known IS NULL AND m.is = 'open' AND NOT EXISTS (
                SELECT FROM reversal_attempts a WHERE a.reversal_id = r.id AND a.at > o.registered_at))""",
    ),
)

UNDONE: Final = (
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('the key ', n.key, ' names another intent too')
        FROM reversals r JOIN reversal_intents n ON n.reversal_id = r.id
        WHERE {{scope}} AND EXISTS (SELECT FROM reversal_intents x WHERE x.key = n.key
                                    AND (x.reversal_id, x.number) <> (n.reversal_id, n.number))""",
    ),
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('the key of intent ', n.number, ' is ', n.key,
                                     ', which does not follow from it')
        FROM reversals r JOIN reversal_intents n ON n.reversal_id = r.id
        CROSS JOIN LATERAL (SELECT concat(r.provider, ':', r.reference) AS payment) p
        WHERE {{scope}} AND n.key NOT IN (
            concat_ws(':', 'trueup:reverse', p.payment, n.number),
            concat_ws(':', 'trueup:reverse', encode(sha256(convert_to(p.payment, 'UTF8')), 'hex'), n.number))""",
    ),
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('intent ', n.number, ' follows intent ', coalesce(n.before, 0))
        FROM reversals r CROSS JOIN LATERAL (
            SELECT number, lag(number) OVER (ORDER BY number) AS before FROM reversal_intents WHERE reversal_id = r.id
        ) n
        WHERE {{scope}} AND n.number <> coalesce(n.before, 0) + 1""",
    ),
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('intent ', n.number, ' repeats a void that was not refused')
        FROM reversals r CROSS JOIN LATERAL (
            SELECT number, lag(number) OVER w AS before, lag(refused_in) OVER w AS refused_in
            FROM reversal_intents WHERE reversal_id = r.id WINDOW w AS (ORDER BY number)
        ) n
        WHERE {{scope}} AND n.before IS NOT NULL AND n.refused_in IS NULL""",
    ),
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('intent ', n.number, ' was answered before it was recorded')
        FROM reversals r JOIN reversal_intents n ON n.reversal_id = r.id
        WHERE {{scope}} AND n.answered_at < n.created_at""",
    ),
    Check(
        "I3",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('a void was sent under ', a.key, ', which no intent had recorded')
        FROM reversals r JOIN reversal_attempts a ON a.reversal_id = r.id AND a.asked = 'void'
        WHERE {{scope}} AND NOT EXISTS (SELECT FROM reversal_intents n WHERE n.reversal_id = r.id AND n.key = a.key
                                        AND n.created_at <= a.at)""",
    ),
    Check(
        "I3",
        "due_work",
        "d.subject",
        f"""
        SELECT d.subject, {REVERSAL}, 'a void is due, and no open intent says so'
        FROM due_work d JOIN reversals r ON r.id = d.subject
        WHERE {{scope}} AND d.kind = 'void' AND d.generation = 0 AND NOT EXISTS (
            SELECT FROM reversal_intents n WHERE n.reversal_id = r.id AND NOT n.confirmed AND n.refused_in IS NULL)""",
    ),
    # Only an order that was settled before its reversal knew of it may be: that is a case for a person.
    Check(
        "I5",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('it is ', o.status, ', and its payment is being undone')
        FROM orders o JOIN transactions t ON t.order_id = o.id AND t.reversal = 'open'
        JOIN reversals r ON r.provider = t.provider AND r.reference = t.reference
        WHERE {{scope}} AND o.status NOT IN {_UNDER_WAY} AND NOT {_has_case("c.kind = 'CONTRADICTION'")}""",
    ),
    Check(
        "I5",
        "orders",
        "o.id",
        f"""
        SELECT o.id, {ORDER}, concat('it was canceled as reversed, and its reversal is ', coalesce(t.reversal, 'none'))
        FROM orders o JOIN transactions t ON t.order_id = o.id
        WHERE {{scope}} AND o.status = 'CANCELED' AND o.reason = 'reversed' AND o.canceled_by = 'system'
        AND coalesce(t.reversal, '') NOT IN ('VOIDED', 'ALREADY_REVERSED')""",
    ),
    Check(
        "I6",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('its amount ', trim_scale(r.amount), ' has more decimals than ',
                                     r.currency, ' has')
        FROM reversals r WHERE {{scope}} AND scale(trim_scale(r.amount)) > r.digits""",
    ),
    Check(
        "I6",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('intent ', n.number, ' to void it was recorded when it had settled')
        FROM reversals r JOIN reversal_intents n ON n.reversal_id = r.id
        WHERE {{scope}} AND n.created_at >= r.settles_at""",
    ),
    Check(
        "I6",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('it has ended as ', coalesce(r.outcome, 'nothing yet'), ', and ', m.confirmed,
                                     ' of its voids are confirmed')
        FROM reversals r CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE n.confirmed) AS confirmed FROM reversal_intents n WHERE n.reversal_id = r.id
        ) m
        WHERE {{scope}} AND m.confirmed <> CASE WHEN r.outcome = 'VOIDED' THEN 1 ELSE 0 END""",
    ),
)

REVERSED_ONCE: Final = (
    Check(
        "I7",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, 'its payment is reversed twice'
        FROM reversals r WHERE {{scope}} AND EXISTS (
            SELECT FROM reversals x WHERE x.provider = r.provider AND x.reference = r.reference AND x.id <> r.id)""",
    ),
    Check(
        "I9",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('its payment pays an order of ', o.merchant)
        FROM reversals r JOIN transactions t ON t.provider = r.provider AND t.reference = r.reference
        JOIN orders o ON o.id = t.order_id
        WHERE {{scope}} AND o.merchant <> r.merchant""",
    ),
    Check(
        "I9",
        "reversals",
        "r.id",
        f"""
        SELECT r.id, {REVERSAL}, concat('its case ', c.id, ' is of ', coalesce(c.merchant, 'nobody'))
        FROM reversals r JOIN cases c ON c.subject = r.id
        WHERE {{scope}} AND c.merchant IS DISTINCT FROM r.merchant""",
    ),
)

REVERSALS: Final = (*GOING_ON, *UNDONE, *REVERSED_ONCE)
