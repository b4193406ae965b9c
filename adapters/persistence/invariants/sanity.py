"""Rejected transactions: an order or not, told of every change, added once; and what tries them again goes on."""

from typing import Final

from adapters.persistence.invariants.check import Check

_REJECTION: Final = "concat('rejected transaction ', j.merchant, ' ', j.\"order\")"
_RETRIGGER: Final = "concat('retrigger ', g.merchant, ' ', g.name)"


def _told(what: str) -> str:
    name = f"concat('evt_rejection_', j.id, '_{what}')"
    return f"EXISTS (SELECT FROM events x WHERE x.event = {name} AND x.order_id = j.id)"


SANITY: Final = (
    Check(
        "I1",
        "rejections",
        "j.id",
        f"""
        SELECT j.id, {_REJECTION}, concat('it is ', j.status, ', and its events do not say so')
        FROM rejections j
        WHERE {{scope}} AND NOT EXISTS (SELECT FROM orders o WHERE o.id = j.id AND o.trimmed_to IS NOT NULL) AND NOT (
            {_told("rejected")}
            AND {_told("reprocessed")} = (j.status = 'REPROCESSED')
            AND {_told("failed")} = (j.status = 'PERMANENT_FAILED' AND j.type = 'reprocessable'))""",
    ),
    Check(
        "I2",
        "rejections",
        "j.id",
        f"""
        SELECT j.id, {_REJECTION}, 'it waits, and nothing is noted that it waits for'
        FROM rejections j WHERE {{scope}} AND j.status = 'PENDING'
        AND NOT EXISTS (SELECT FROM rejection_needs n WHERE n.rejection = j.id)""",
    ),
    Check(
        "I2",
        "rejections",
        "j.id",
        f"""
        SELECT j.id, {_REJECTION}, concat('it is ', j.status, ' and owes nothing, and yet ', d.kind, ' is due')
        FROM rejections j JOIN due_work d ON d.subject = j.id WHERE {{scope}} AND j.status <> 'REPROCESSED'""",
    ),
    Check(
        "I2",
        "retriggers",
        "g.id",
        f"""
        SELECT g.id, {_RETRIGGER}, 'it is not through, and has neither due work nor an open case'
        FROM retriggers g WHERE {{scope}} AND g.finished_at IS NULL
        AND NOT EXISTS (SELECT FROM due_work d WHERE d.subject = g.id)
        AND NOT EXISTS (SELECT FROM cases c WHERE c.subject = g.id AND c.closed_at IS NULL AND c.kind = 'STUCK')""",
    ),
    Check(
        "I7",
        "rejections",
        "j.id",
        f"""
        SELECT j.id, {_REJECTION}, concat('it is ', j.status, ', and ', count(o.id), ' orders are of it')
        FROM rejections j LEFT JOIN LATERAL (
            SELECT o.id FROM orders o WHERE o.id = j.id OR (o.merchant = j.merchant AND o.reference = j."order")
        ) o ON true
        WHERE {{scope}} GROUP BY j.id, j.merchant, j."order", j.status
        HAVING count(o.id) <> CASE WHEN j.status = 'REPROCESSED' THEN 1 ELSE 0 END""",
    ),
    Check(
        "I7",
        "rejections",
        "j.id",
        f"""
        SELECT j.id, {_REJECTION}, concat('an order has its payment ', j.provider, ' ', j.reference)
        FROM rejections j JOIN transactions t ON t.provider = j.provider AND t.reference = j.reference
        WHERE {{scope}} AND t.order_id <> j.id""",
    ),
    # Of sweeps only the last one's items are kept.
    Check(
        "I8",
        "retriggers",
        "g.id",
        f"""
        SELECT g.id, {_RETRIGGER}, 'it does not say of each transaction what it has found'
        FROM retriggers g CROSS JOIN LATERAL (
            SELECT count(*) AS items, count(i.outcome) AS found,
                   count(*) FILTER (WHERE i.outcome = 'added') AS added
            FROM retrigger_items i WHERE i.retrigger = g.id
        ) i
        WHERE {{scope}} AND g.origin <> 'sweep' AND (
            i.items <> g.total OR i.found <> g.added + g.already_added + g.rejected + g.failed
            OR i.added <> g.added OR (g.finished_at IS NOT NULL AND i.found <> i.items))""",
    ),
    Check(
        "I9",
        "retriggers",
        "g.id",
        f"""
        SELECT g.id, {_RETRIGGER}, concat('it tries what is of ', j.merchant)
        FROM retriggers g JOIN retrigger_items i ON i.retrigger = g.id JOIN rejections j ON j.id = i.rejection
        WHERE {{scope}} AND j.merchant <> g.merchant""",
    ),
)
