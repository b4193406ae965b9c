"""Pictures of the state machines, drawn from their tables so that they cannot drift from them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from domain.model.order import OrderStatus as S
from domain.model.rejection import RejectionStatus as J
from domain.model.transaction import AttemptState as A
from domain.model.transaction import ParentState as P
from domain.model.transaction import ReversalOutcome as R
from domain.rules import order_lifecycle, transaction_lifecycle
from domain.rules.lifecycle import is_final
from domain.rules.order_lifecycle import FROM_PARENT, OWES, Owes
from domain.rules.reversal import COUNTED, ENDS, READING, Said
from domain.rules.sanity import LEADS_TO

State = TypeVar("State", bound=StrEnum)
Sig = TypeVar("Sig", bound=StrEnum)

_ORDER_MEANS: Final[Mapping[S, str]] = MappingProxyType({
    S.NEW: "created, no payment seen",
    S.PENDING: "the customer has started, or a payment is seen and not final",
    S.PAID: "paid in full and in time: fulfil",
    S.UNRESOLVED: "paid, but `overpaid`, `underpaid` or `delayed`",
    S.RESOLVED: "the merchant has settled it by hand",
    S.EXPIRED: "its payment window passed and nothing was paid",
    S.CANCELED: "by `user`, `merchant` or `system`",
    S.FAILED: "declined, where only one attempt is allowed",
    S.REFUND_PENDING: "a refund was asked for",
    S.REFUNDED: "the money is back",
})  # fmt: skip
_OWED: Final[Mapping[Owes, str]] = MappingProxyType({
    Owes.ALWAYS: "its next step, or an open case",
    Owes.WATCH: "a look for late money, until its watch ends",
    Owes.CASE: "its case",
    Owes.NOTHING: "nothing",
})  # fmt: skip
_PARENT_MEANS: Final[Mapping[P, str]] = MappingProxyType({
    P.CREATED: "known to us; the provider has seen nothing of the customer",
    P.PENDING: "the customer has started, or a payment is on its way",
    P.ATTEMPTED: "an attempt ended unpaid, and another is allowed",
    P.AUTHORIZED: "the money is held; captures may follow",
    P.PAID: "the money is taken; refunds may follow",
    P.FAILED: "declined, and no other attempt is allowed",
    P.CANCELED: "canceled or voided",
    P.EXPIRED: "nobody paid in time",
    P.INVALID: "the provider will never take it",
    P.COD: "to be paid in cash on delivery",
})  # fmt: skip
_ATTEMPT_MEANS: Final[Mapping[A, str]] = MappingProxyType({
    A.PENDING: "under way",
    A.SUCCESS: "authorized or paid",
    A.FAILED: "declined",
    A.CANCELED: "given up by the customer",
    A.ERROR: "went wrong technically; closes nothing, for the customer may still have paid",
    A.COD: "cash on delivery was chosen",
})  # fmt: skip

# What an answer is called that no word of the provider's leads to.
_SAID: Final[Mapping[Said, str]] = MappingProxyType({
    Said.SETTLED: "the same, and settled",
    Said.NO_RECORD: "no record",
    Said.NOT_BELIEVED: "something of another payment, amount or currency",
    Said.COULD_NOT_ASK: "nothing that we could read",
})  # fmt: skip
_OUTCOME_MEANS: Final[Mapping[R, str]] = MappingProxyType({
    R.DECLINED: "nothing was taken, so nothing is to be undone",
    R.ALREADY_REVERSED: "it was undone already, by somebody or by the order's own cancel",
    R.VOIDED: "the provider has voided it under our key",
    R.SETTLEMENT_PASSED: "it has settled: a case, unless it was never on record",
    R.EXHAUSTED: "the attempts are used up: a case",
})  # fmt: skip


_REJECTION_MEANS: Final[Mapping[J, str]] = MappingProxyType({
    J.PENDING: "in the sanity queue: all of its reasons can be mended",
    J.PERMANENT_FAILED: "it cannot be mended, nobody wants to, or somebody has given it up",
    J.REPROCESSED: "it was added, and is an order",
})  # fmt: skip


def order_diagram() -> str:
    """Return the order's machine as Mermaid text."""
    return _diagram(S.NEW, _labelled(order_lifecycle.TRANSITIONS), _finals(order_lifecycle.TRANSITIONS))


def parent_diagram() -> str:
    """Return the parent transaction's machine as Mermaid text."""
    return _diagram(P.CREATED, _labelled(transaction_lifecycle.TRANSITIONS), _finals(transaction_lifecycle.TRANSITIONS))


def attempt_diagram() -> str:
    """Return an attempt's machine as Mermaid text; what it becomes says by itself why."""
    table = transaction_lifecycle.ATTEMPTS
    steps = [(state, target, "") for state in table for target in A if target in table[state]]
    return _diagram(A.PENDING, steps, [state for state in table if not table[state]])


def order_table() -> str:
    """Return what each status of an order means and still owes, as a Markdown table."""
    rows = [(status, _ORDER_MEANS[status], _OWED[OWES[status]]) for status in S]
    return _table(("status", "meaning", "owes"), rows)


def parent_table() -> str:
    """Return what each state of a parent means, and what it makes of an order that is open."""
    rows = [(state, _PARENT_MEANS[state], _drives(state)) for state in P]
    return _table(("state", "meaning", "makes the order"), rows)


def attempt_table() -> str:
    """Return what each state of an attempt means."""
    return _table(("state", "meaning"), [(state, _ATTEMPT_MEANS[state]) for state in A])


def reversal_table() -> str:
    """Return what a query of a timed-out transaction may bring, and what follows from it."""
    return _table(("the provider says", "then"), [(_said(said), _follows(said)) for said in Said])


def outcome_table() -> str:
    """Return what each end of a reversal means."""
    return _table(("outcome", "meaning"), [(outcome, _OUTCOME_MEANS[outcome]) for outcome in R])


def rejection_table() -> str:
    """Return what each status of a rejected transaction means, and where it leads, as a Markdown table."""
    rows = [(status, _REJECTION_MEANS[status], ", ".join(sorted(LEADS_TO[status])) or "-") for status in J]
    return _table(("status", "meaning", "leads to"), rows)


def _said(said: Said) -> str:
    words = [status.value for status, means in READING.items() if means is said]
    if said is Said.OPEN:
        words.append("a word that is not known")
    return ", ".join(words) or _SAID[said]


def _follows(said: Said) -> str:
    if said in ENDS:
        return f"stop: {ENDS[said]}"
    if said is Said.APPROVED:
        return "void it under the recorded key, and ask again"
    return "ask again later" if said in COUNTED else "ask again later; this uses up no attempt"


def _drives(state: P) -> str:
    if state not in FROM_PARENT:
        return f"{S.PAID} or {S.UNRESOLVED}, by amount and time"
    signal = FROM_PARENT[state]
    return S.NEW if signal is None else order_lifecycle.TRANSITIONS[S.NEW][signal]


def _finals(table: Mapping[State, Mapping[Sig, State]]) -> list[State]:
    return [state for state in table if is_final(table, state)]


def _labelled(table: Mapping[State, Mapping[Sig, State]]) -> list[tuple[State, State, str]]:
    """Return (from, to, signals) for each edge, in the order of the table; repeats are left out."""
    signals: dict[tuple[State, State], list[str]] = {}
    for state, row in table.items():
        for signal, target in row.items():
            if target is not state:
                signals.setdefault((state, target), []).append(signal.value)
    return [(state, target, ", ".join(named)) for (state, target), named in signals.items()]


def _diagram(first: State, steps: Iterable[tuple[State, State, str]], finals: Iterable[State]) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {state} --> {target}" + (f": {label}" if label else "") for state, target, label in steps]
    lines += [f"    {state} --> [*]" for state in finals]
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
