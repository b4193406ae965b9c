"""Transactions whose bills are checked: allowed, rejected and mended, rejected for good, given up.

What mends them comes so long after they are heard of that no order of messages is counted on.
"""

from typing import Final

from adapters.cli.demo.scenario import LONG, Expected, Fields, Mend, Rejected, Said, Screened

_PAID: Final = Expected(status="PAID", at_provider="paid")
_PAYS: Final[tuple[Fields, ...]] = ({"after": 1, "status": "paid"},)
_NO_TIMEOUT: Final[Fields] = {"cancellation_timeout": LONG}
_TEA: Final[Fields] = {"key": "tea", "name": "Tea", "quantity": 2}
_KNOWN: Final = {"line_items": [{"key": "tea"}], "stores": [{"key": "north"}], "payment_methods": [{"key": "card"}]}


def _put(kind: str, key: str, *, after: float, **entry: object) -> Mend:
    return Mend(task="put_master_data", after=after, fields={"kind": kind, "entries": [{"key": key, **entry}]})


def _retrigger(name: str, *, after: float) -> Mend:
    return Mend(task="sanity.retrigger", after=after, fields={"retrigger": name})


def _added(*reasons: str) -> Rejected:
    return Rejected(status="REPROCESSED", reasons=reasons)


def _permanent(*reasons: str) -> Rejected:
    return Rejected(status="PERMANENT_FAILED", type="permanent", reasons=reasons)


_MENDED: Final = (
    Screened(
        name="mended_by_master_data",
        why="the line item that it lacks is put, and it is tried again without a word",
        weight=8,
        merchant="roastery",
        bill={"line_items": [_TEA, {"key": "beans-#"}]},
        known=_KNOWN,
        mends=[_put("line_items", "beans-#", after=1)],
        order=_NO_TIMEOUT,
        script=_PAYS,
        rejected=_added("line_items"),
        expected=_PAID,
    ),
    Screened(
        name="mended_bit_by_bit",
        why="it is told all that is wrong at once, and added when the last of it is mended",
        weight=6,
        merchant="roastery",
        bill={"line_items": ["beans-#"], "payment_methods": ["card", "cheque-#"], "store": "south-#"},
        known=_KNOWN,
        mends=[
            _put("stores", "south-#", after=0.5),
            _put("line_items", "beans-#", after=1.5),
            _put("payment_methods", "cheque-#", after=2.5),
        ],
        order=_NO_TIMEOUT,
        script=_PAYS,
        rejected=_added("line_items", "payment_methods", "stores"),
        expected=_PAID,
    ),
    Screened(
        name="option_added",
        why="an enum that lacks an option can be mended: what waited for that very option is tried again",
        weight=6,
        merchant="roastery",
        bill={"extended_fields": {"grind-#": "coarse"}},
        known={"transaction_fields": [{"key": "grind-#", "options": ["fine"]}]},
        mends=[_put("transaction_fields", "grind-#", after=1, options=["fine", "coarse"])],
        order=_NO_TIMEOUT,
        script=_PAYS,
        rejected=_added("transaction_fields"),
        expected=_PAID,
    ),
    Screened(
        name="retriggered",
        why="its merchant mends the master data and tries it again by command, and once more: it is added once",
        weight=6,
        merchant="tailor",
        bill={"line_items": ["silk-#"], "customer_extended_fields": {"cut-#": "slim"}},
        known={"customer_fields": [{"key": "cut-#", "options": ["wide"]}]},
        mends=[
            _put("line_items", "silk-#", after=0.5),
            _put("customer_fields", "cut-#", after=0.5, options=["wide", "slim"]),
            _retrigger("first-#", after=4),
            _retrigger("second-#", after=7),
        ],
        order=_NO_TIMEOUT,
        script=_PAYS,
        rejected=_added("line_items", "customer_fields"),
        expected=_PAID,
    ),
    Screened(
        name="counted_from_its_processing",
        why="paid after the timeout that its bill's date would have given it, and in time from when it was added",
        merchant="roastery",
        bill={"line_items": ["beans-#"]},
        mends=[_put("line_items", "beans-#", after=8)],
        order={"cancellation_timeout": 6},
        script=[{"after": 9.5, "status": "paid"}],
        rejected=_added("line_items"),
        expected=_PAID,
    ),
    Screened(
        name="never_paid_once_added",
        why="its timeout begins when it is added, and ends it as any other's",
        merchant="tailor",
        bill={"store": "south-#"},
        mends=[_put("stores", "south-#", after=0.5), _retrigger("only-#", after=4)],
        order={"cancellation_timeout": 5},
        script=(),
        rejected=_added("stores"),
        expected=Expected(
            status="CANCELED",
            reason="cancellation_timeout",
            canceled_by="system",
            at_provider="canceled",
            effect="cancel",
        ),
    ),
)

_NOT_ADDED: Final = (
    Screened(
        name="retriggered_in_vain",
        why="what is still missing is still missing: it waits on",
        merchant="tailor",
        bill={"line_items": ["silk-#", "wool-#"]},
        mends=[_put("line_items", "silk-#", after=0.5), _retrigger("vain-#", after=4)],
        rejected=Rejected(status="PENDING", reasons=("line_items", "line_items")),
    ),
    Screened(
        name="given_up",
        why="its merchant marks it as failed, and what was said about its order meanwhile is refused",
        merchant="tailor",
        bill={"line_items": ["velvet-#"]},
        mends=[Mend(task="sanity.mark_failed", after=2, fields={"note": "nobody sells velvet #"})],
        said=[Said(task="cancel_order", at=0.5, fields={"by": "user"}, is_refused=True)],
        rejected=Rejected(status="PERMANENT_FAILED", reasons=("line_items",)),
    ),
    Screened(
        name="field_unknown",
        why="what a field means nobody has described, so no word that is added can mend it",
        merchant="roastery",
        bill={"extended_fields": {"mood-#": "good"}},
        rejected=_permanent("transaction_fields"),
    ),
    Screened(
        name="mendable_and_not",
        why="several reasons at once, of which one cannot be mended: it waits for nothing",
        merchant="tailor",
        bill={"line_items": ["silk-#"], "store": "south-#", "customer_extended_fields": {"waist-#": "wide"}},
        known={"customer_fields": [{"key": "waist-#", "type": "number"}]},
        rejected=_permanent("line_items", "stores", "customer_fields"),
    ),
    Screened(
        name="without_a_sanity_queue",
        why="its merchant has checks and no queue: what is rejected ends there, whatever master data comes later",
        merchant="kiosk",
        bill={"line_items": ["paper-#"]},
        mends=[_put("line_items", "paper-#", after=1)],
        rejected=_permanent("line_items"),
    ),
)

_ALLOWED: Final = (
    Screened(
        name="allowed",
        why="its bill names what is known, and is told nothing",
        merchant="kiosk",
        bill={"line_items": [_TEA], "store": "north", "payment_methods": ["card"]},
        known=_KNOWN,
        order=_NO_TIMEOUT,
        script=_PAYS,
        rejected=None,
        expected=_PAID,
    ),
)

SCREENED: Final = _MENDED + _NOT_ADDED + _ALLOWED
