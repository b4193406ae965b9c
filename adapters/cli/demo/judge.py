"""Compares what became of every order with what the plan said beforehand: in Trueup, at the provider, at the merchant.

It knows the scripts, the simulator's ledger and the callbacks. Of Trueup it sees what an operator sees, and no rule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from adapters.cli.demo.faults import BadMessage
from adapters.cli.demo.looking import Found, FoundRejection, FoundReversal
from adapters.cli.demo.plan import DemoOrder

Entry: TypeAlias = Mapping[str, Any]
Payment: TypeAlias = tuple[str, str]  # provider, reference

# What is true at a provider while money is there, and which orders say so.
_HAS_MONEY: Final = frozenset({"paid", "refund_pending", "refund_rejected", "refunded"})
_SAYS_SO: Final = frozenset({"PAID", "UNRESOLVED", "RESOLVED", "REFUND_PENDING", "REFUNDED"})


@dataclass(frozen=True, slots=True)
class Off:
    """Something that is not as it should be."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is left after a run."""

    orders: Mapping[tuple[str, str], Found]
    reversals: Mapping[tuple[str, str], FoundReversal] = field(default_factory=dict)
    rejections: Mapping[tuple[str, str], FoundRejection] = field(default_factory=dict)
    ledger: Sequence[Entry]
    callbacks: Sequence[Entry]
    refused_messages: int


def judge(
    plan: Sequence[DemoOrder], bad: Sequence[BadMessage], evidence: Evidence, *, unregistered: Sequence[DemoOrder] = ()
) -> list[Off]:
    """Return all that is off, nothing if the run was right. `unregistered` are told of, and must be no orders."""
    return [
        *_ends(plan, evidence.orders),
        *_truths(plan, evidence),
        *_callbacks(plan, evidence),
        *_refusals([*plan, *unregistered], bad, evidence),
    ]


def _ends(plan: Sequence[DemoOrder], orders: Mapping[tuple[str, str], Found]) -> Iterator[Off]:
    for planned in plan:
        expected = planned.scenario.expected
        found = orders.get((planned.merchant, planned.order))
        if found is None:
            yield Off(planned.order, "was never registered")
            continue
        is_so = (found.status, found.reason, found.canceled_by, frozenset(found.cases))
        should = (expected.status, expected.reason, expected.canceled_by, expected.cases)
        if is_so != should:
            yield Off(planned.order, f"ended as {_words(is_so)}, and should have as {_words(should)}")
    for merchant, order in orders.keys() - {(planned.merchant, planned.order) for planned in plan}:
        yield Off(order, f"is in no plan, and {merchant} has it")


def _truths(plan: Sequence[DemoOrder], evidence: Evidence) -> Iterator[Off]:
    """Compare with what is true at the provider, whatever it told us."""
    states, done = truth_of(evidence.ledger)
    for planned in plan:
        payment = (planned.provider, planned.reference)
        expected = planned.scenario.expected
        state = states.get(payment)
        if state != expected.at_provider:
            yield Off(planned.order, f"is {state} at its provider, and should be {expected.at_provider}")
        if done[payment] != ([expected.effect] if expected.effect else []):
            yield Off(planned.order, f"we did {done[payment] or 'nothing'} there, and should have {expected.effect}")
        found = evidence.orders.get((planned.merchant, planned.order))
        if found and (state in _HAS_MONEY) != (found.status in _SAYS_SO):
            yield Off(planned.order, f"is {found.status} here and {state} at its provider: money is lost or made up")


def truth_of(ledger: Sequence[Entry]) -> tuple[Mapping[Payment, str], Mapping[Payment, Sequence[str]]]:
    """Return what every payment is in the end, and what was done to it by us."""
    states: dict[Payment, str] = {}
    done: dict[Payment, list[str]] = defaultdict(list)
    for entry in ledger:
        payment = (entry["provider"], entry["reference"])
        if entry["operation"] == "state":
            states[payment] = entry["status"]
        elif entry["result"] == "done":
            done[payment].append(entry["operation"])
    return states, done


def _callbacks(plan: Sequence[DemoOrder], evidence: Evidence) -> Iterator[Off]:
    """Every change of status is told once, verified, in order; what came a second time was the same event."""
    told: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in evidence.callbacks:
        if entry["outcome"] == "unverified":
            yield Off(entry["id"], f"a callback to {entry['merchant']} did not verify")
        elif entry["outcome"] == "accepted" and entry["type"] == "order.status_changed":
            told[entry["merchant"], entry["said"]["order"]].append(entry["said"])
    for planned in plan:
        heard = told[planned.merchant, planned.order]
        found = evidence.orders.get((planned.merchant, planned.order))
        expected = planned.scenario.expected
        count = found.sequence if found else 0
        if [said["sequence"] for said in heard] != list(range(1, count + 1)):
            yield Off(planned.order, f"its merchant heard of {[s['sequence'] for s in heard]}, of 1 to {count}")
        elif [said["previous_status"] for said in heard] != [None, *(said["status"] for said in heard[:-1])]:
            yield Off(planned.order, "its callbacks do not follow one from the other")
        elif heard and _last(heard) != (expected.status, expected.reason, expected.canceled_by):
            yield Off(planned.order, f"its merchant heard last of {_words(_last(heard))}")
        if any(said["amount"] != planned.amounts["whole"] for said in heard):
            yield Off(planned.order, f"its merchant heard of another amount than {planned.amounts['whole']}")


def _refusals(plan: Sequence[DemoOrder], bad: Sequence[BadMessage], evidence: Evidence) -> Iterator[Off]:
    should = Counter((message.merchant, message.task) for message in bad if message.merchant)
    of_orders = set()
    kept = len(bad)
    for planned in plan:
        for said in planned.scenario.said:
            if said.is_refused:
                should[planned.merchant, f"intake.{said.task}"] += 1
                kept += 1
                of_orders.add((planned.merchant, f"intake.{said.task}", planned.order))
    heard = [
        (entry["merchant"], entry["said"]["message"], entry["said"]["order"])
        for entry in evidence.callbacks
        if entry["outcome"] == "accepted" and entry["type"] == "message.refused"
    ]
    told = Counter((merchant, task) for merchant, task, _ in heard)
    for merchant, task in should.keys() | told.keys():
        if should[merchant, task] != told[merchant, task]:
            message = f"{told[merchant, task]} refusals of {task} were told, and {should[merchant, task]} were due"
            yield Off(str(merchant), message)
    for merchant, task, order in of_orders - set(heard):
        yield Off(order, f"{merchant} was not told that {task} was refused")
    if evidence.refused_messages != kept:
        yield Off("refused messages", f"{evidence.refused_messages} were kept, and {kept} should have been")


def _last(heard: Sequence[Entry]) -> tuple[Any, ...]:
    return heard[-1]["status"], heard[-1]["reason"], heard[-1]["canceled_by"]


def _words(end: tuple[Any, ...]) -> str:
    return " ".join(", ".join(sorted(part)) if isinstance(part, frozenset) else str(part) for part in end if part)
