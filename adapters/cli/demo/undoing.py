"""Judges what became of the transactions that timed out: in Trueup, at the provider, at the merchant."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.cli.demo.judge import Entry, Evidence, Off, Payment, truth_of
from adapters.cli.demo.timeouts import DemoTimeout

# What is true at a provider while the customer's money is held or kept there.
_KEPT: Final = frozenset({"authorized", "paid", "refund_pending", "refund_rejected"})


def judge_timeouts(timeouts: Sequence[DemoTimeout], evidence: Evidence) -> list[Off]:
    """Return all that is off with the timeouts; the orders among them are judged as all orders are."""
    return [
        *_ends(timeouts, evidence),
        *_truths(timeouts, evidence),
        *_keys(timeouts, evidence),
        *_callbacks(timeouts, evidence),
    ]


def _ends(timeouts: Sequence[DemoTimeout], evidence: Evidence) -> Iterator[Off]:
    planned = {_payment(timeout) for timeout in timeouts}
    for timeout in timeouts:
        expected = timeout.scenario.expected
        found = evidence.reversals.get(_payment(timeout))
        if found is None:
            yield Off(timeout.reference, "its reversal was never opened")
            continue
        should = (timeout.merchant, expected.outcome, (expected.case,) if expected.case else ())
        if (found.merchant, found.outcome, found.cases) != should:
            is_so = " + ".join([str(found.outcome), *found.cases])
            yield Off(timeout.reference, f"its reversal ended as {is_so}, and should have as {_end_of(timeout)}")
    for provider, reference in evidence.reversals.keys() - planned:
        yield Off(reference, f"is in no plan, and a reversal of it at {provider} was opened")


def _truths(timeouts: Sequence[DemoTimeout], evidence: Evidence) -> Iterator[Off]:
    """Compare with what is true at the provider, whatever it told us. The case is the one that really is open."""
    states, done = truth_of(evidence.ledger)
    for timeout in timeouts:
        payment, expected = _payment(timeout), timeout.scenario.expected
        state, found = states.get(payment), evidence.reversals.get(payment)
        if state != expected.at_provider:
            yield Off(timeout.reference, f"is {state} at its provider, and should be {expected.at_provider}")
        if list(done.get(payment, ())) != ([expected.effect] if expected.effect else []):
            effects = done.get(payment) or "nothing"
            yield Off(timeout.reference, f"we did {effects} there, and should have {expected.effect}")
        if state in _KEPT and not (found and found.cases):
            yield Off(timeout.reference, f"is {state} at its provider, and no case tells a person")
        retry = timeout.retry
        if retry and states.get((retry.provider, retry.reference)) == "paid" and state in _KEPT:
            yield Off(timeout.reference, f"is {state}, and {retry.order} is paid too: the customer pays twice")


def _keys(timeouts: Sequence[DemoTimeout], evidence: Evidence) -> Iterator[Off]:
    """What has no answer is asked for again under its own key; only a refusal makes room for another one."""
    keys: dict[Payment, set[str]] = defaultdict(set)
    refused: dict[Payment, set[str]] = defaultdict(set)
    for entry in evidence.ledger:
        if entry["operation"] == "void":
            payment = (entry["provider"], entry["reference"])
            keys[payment].add(entry["key"])
            if entry["result"].startswith(("refused", "no_record")) or entry["fault"] == "refused":
                refused[payment].add(entry["key"])
    for timeout in timeouts:
        unanswered = keys[_payment(timeout)] - refused[_payment(timeout)]
        if len(unanswered) > 1:
            yield Off(timeout.reference, f"was to be voided under several keys: {', '.join(sorted(unanswered))}")


def _callbacks(timeouts: Sequence[DemoTimeout], evidence: Evidence) -> Iterator[Off]:
    """Every end is told once, verified, as it was."""
    told: dict[Payment, list[Entry]] = defaultdict(list)
    for entry in evidence.callbacks:
        if entry["outcome"] == "accepted" and entry["type"] == "reversal.ended":
            told[entry["said"]["provider"], entry["said"]["reference"]].append(entry["said"])
    for timeout in timeouts:
        heard = told.pop(_payment(timeout), [])
        if len(heard) != 1:
            yield Off(timeout.reference, f"its merchant heard {len(heard)} times of the end of its reversal")
        for said in heard:
            yield from _saying(timeout, said)
    for _, reference in told:
        yield Off(reference, "is in no plan, and a merchant heard of its reversal")


def _saying(timeout: DemoTimeout, said: Entry) -> Iterator[Off]:
    expected = timeout.scenario.expected
    should: dict[str, object] = {
        "merchant": timeout.merchant,
        "order": timeout.report(0.0)["order"],
        "outcome": expected.outcome,
        "amount": timeout.amounts["whole"],
        "currency": timeout.currency,
    }
    if timeout.scenario.script is None:
        should["on_record"] = False
    for field, value in should.items():
        if said[field] != value:
            yield Off(timeout.reference, f"its merchant heard of {field} {said[field]}, and should have of {value}")


def _payment(timeout: DemoTimeout) -> Payment:
    return timeout.provider, timeout.reference


def _end_of(timeout: DemoTimeout) -> str:
    expected = timeout.scenario.expected
    return " + ".join([expected.outcome, *([expected.case] if expected.case else [])])
