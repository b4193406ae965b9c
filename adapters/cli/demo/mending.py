"""Judges what became of the transactions whose bills were checked: in Trueup, at the provider, at the merchant."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.cli.demo.judge import Entry, Evidence, Off
from adapters.cli.demo.rejections import DemoRejection
from adapters.cli.demo.scenario import Rejected

_NAME: Final = "transaction."
# What a merchant hears after `rejected`, by how it ends; what is permanent from the start is told once.
_TOLD: Final = {"REPROCESSED": ["reprocessed"], "PENDING": [], "PERMANENT_FAILED": ["failed"]}


def judge_rejections(screened: Sequence[DemoRejection], evidence: Evidence) -> list[Off]:
    """Return all that is off with them; those that became orders are judged as all orders are."""
    told: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in evidence.callbacks:
        if entry["outcome"] == "accepted" and "order" in entry["said"]:
            told[entry["merchant"], entry["said"]["order"]].append(entry)
    return [
        *_ends(screened, evidence),
        *_touched(screened, evidence),
        *(off for one in screened for off in _heard(one, told[one.merchant, one.order])),
    ]


def _ends(screened: Sequence[DemoRejection], evidence: Evidence) -> Iterator[Off]:
    for one in screened:
        rejected, found = one.scenario.rejected, evidence.rejections.get((one.merchant, one.order))
        should = None if rejected is None else (rejected.status, rejected.type)
        is_so = None if found is None else (found.status, found.type)
        if is_so != should:
            yield Off(one.order, f"its rejection ended as {is_so}, and should have as {should}")
        elif found and found.status == "REPROCESSED" and found.by != _origin(one):
            yield Off(one.order, f"was added by a retrigger of {found.by}, and should have been of {_origin(one)}")
        if one.scenario.expected is None and (one.merchant, one.order) in evidence.orders:
            yield Off(one.order, "is an order, and should never have become one")
    for merchant, order in evidence.rejections.keys() - {(one.merchant, one.order) for one in screened}:
        yield Off(order, f"is in no plan, and was rejected for {merchant}")


def _touched(screened: Sequence[DemoRejection], evidence: Evidence) -> Iterator[Off]:
    """Of what never became an order no provider hears."""
    never = {one.told.reference: one for one in screened if one.scenario.expected is None}
    for entry in evidence.ledger:
        if entry["operation"] != "state" and entry["reference"] in never:
            yield Off(never[entry["reference"]].order, f"a {entry['operation']} was sent, and it is no order")


def _heard(one: DemoRejection, told: Sequence[Entry]) -> Iterator[Off]:
    """It is told once of each, in its order, and of the order only after that."""
    rejected = one.scenario.rejected
    heard = [entry["type"] for entry in told if entry["type"] != "message.refused"]
    of_rejection = [kind for kind in heard if kind.startswith(_NAME)]
    should = _should_hear(rejected)
    if of_rejection != should:
        yield Off(one.order, f"its merchant heard of {of_rejection}, and should have of {should}")
    elif heard[: len(should)] != should:
        yield Off(one.order, "its merchant heard of the order before all was told of its rejection")
    elif rejected is not None:
        yield from _saying(one, rejected, told)


def _saying(one: DemoRejection, rejected: Rejected, told: Sequence[Entry]) -> Iterator[Off]:
    said = next(entry["said"] for entry in told if entry["type"] == "transaction.rejected")
    is_so = (said["rejection_type"], tuple(reason["kind"] for reason in said["reasons"]), said["bill_number"])
    should = (rejected.type, rejected.reasons, one.told.registration["bill"]["number"])
    if is_so != should:
        yield Off(one.order, f"its merchant heard that it was rejected as {is_so}, and should have as {should}")
    named = {entry["said"]["rejection"] for entry in told if entry["type"].startswith(_NAME)}
    if len(named) > 1:
        yield Off(one.order, f"its rejection was called {', '.join(sorted(named))}")


def _should_hear(rejected: Rejected | None) -> list[str]:
    if rejected is None:
        return []
    later = [] if rejected.type == "permanent" else _TOLD[rejected.status]
    return [f"{_NAME}{what}" for what in ("rejected", *later)]


def _origin(one: DemoRejection) -> str:
    return "asked" if any(mend.task == "sanity.retrigger" for mend in one.scenario.mends) else "master_data"
