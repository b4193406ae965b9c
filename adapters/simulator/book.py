"""All payments of all providers, brought up to date whenever somebody looks."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.simulator.answers import Answer, no_record, refused
from adapters.simulator.clock import rfc3339
from adapters.simulator.faults import Call
from adapters.simulator.ledger import Entry, Ledger
from adapters.simulator.payments import OPEN, Payment
from adapters.simulator.scripts import GROUPS, CustomerAction, Effect, Operation, Operations, PaymentScript, Point, Step


class AlreadyThere(Exception):
    """A payment with this reference is there already."""


class Book:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._payments: dict[tuple[str, str], Payment] = {}
        self._agenda: list[tuple[float, int, Payment, Step]] = []
        self._planned = 0
        self._calls: dict[tuple[str, str], Counter[Operations]] = {}
        self._answered: dict[tuple[str, str], dict[tuple[Effect, str], Answer]] = {}

    def add(self, scripts: Sequence[PaymentScript], now: float) -> None:
        """Create payments, all or none.

        Raises:
            AlreadyThere: a reference is taken, or occurs twice.
        """
        names = [(script.provider, script.reference) for script in scripts]
        taken = [name for name, count in Counter(names).items() if count > 1 or name in self._payments]
        if taken:
            raise AlreadyThere("/".join(taken[0]))
        self.advance(now)
        for name, script in zip(names, scripts, strict=True):
            payment = self._payments[name] = Payment.created(script, now)
            self._note_state(payment, now, "created")
            self._plan(payment, [step for step in script.script if not step.when], now)
        self.advance(now)

    def _plan(self, payment: Payment, steps: Iterable[Step], start: float) -> None:
        for step in steps:
            for delay, part in step.unfolded():
                self._planned += 1
                heapq.heappush(self._agenda, (start + delay, self._planned, payment, part))

    def advance(self, now: float) -> None:
        """Let all become true that was due by `now`, in the order of its own times."""
        while self._agenda and self._agenda[0][0] <= now:
            at, _, payment, step = heapq.heappop(self._agenda)
            self._take(payment, step, at)

    def next_change(self) -> float | None:
        return self._agenda[0][0] if self._agenda else None

    def _take(self, payment: Payment, step: Step, at: float) -> None:
        if payment.take(step, at):
            self._note_state(payment, at, "changed")

    def find(self, provider: str, reference: str, now: float) -> Payment | None:
        self.advance(now)
        return self._payments.get((provider, reference))

    def on_record(self, provider: str, reference: str, now: float) -> Payment | None:
        """Return a payment that the provider shows, which a late record is not yet."""
        payment = self.find(provider, reference, now)
        return payment if payment and payment.on_record else None

    def arrive(self, provider: str, operation: Operation, references: Sequence[str], authorization: str | None) -> Call:
        self.ledger.count(provider, operation)
        for reference in references:
            counts = self._calls.setdefault((provider, reference), Counter())
            for group, operations in GROUPS.items():
                if operation in operations:
                    counts[group] += 1
        nth = {reference: dict(self._calls[provider, reference]) for reference in references}
        return Call(provider, operation, nth, authorization)

    def trigger(self, call: Call, point: Point, now: float) -> None:
        """Let the customers act whose scripts wait for this call to get here."""
        for reference in call.nth:
            payment = self.find(call.provider, reference, now)
            if payment is None or not payment.triggers:
                continue
            for step in [step for step in payment.triggers if _fires(step, call, reference, point)]:
                payment.triggers.remove(step)
                self._plan(payment, [step], now)
        self.advance(now)

    def customer(self, payment: Payment, action: CustomerAction, now: float) -> bool:
        """Let the customer act now; return whether the payment's state allows it."""
        if payment.status not in OPEN and not action.even_if_canceled:
            return False
        self._take(payment, action.step(), now)
        return True

    def act(self, call: Call, reference: str, key: str, now: float, *, fault: str | None) -> Answer:
        """Do the effect once for each key, and answer; a key that was seen is answered as it was then."""
        effect: Effect = "cancel" if call.operation == "cancel" else "void"
        answered = self._answered.setdefault((call.provider, reference), {})
        if (effect, key) in answered:
            self.note_effect(call, reference, key, now, result="replayed", fault=fault)
            return answered[effect, key]
        payment = self.on_record(call.provider, reference, now)
        if payment is None:
            result, answer = "no_record", no_record(reference)
        else:
            result = payment.act(effect, now)
            answer = refused(payment.status) if result.startswith("refused") else Answer(200, payment.record())
        answered[effect, key] = answer
        self.note_effect(call, reference, key, now, result=result, fault=fault)
        if payment is not None and result == "done":
            self._note_state(payment, now, "changed")
        return answer

    def note_effect(
        self, call: Call, reference: str, key: str, now: float, *, result: str, fault: str | None = None
    ) -> None:
        payment = self.find(call.provider, reference, now)
        self._note(
            call.provider, reference, payment, now, operation=call.operation, key=key, result=result, fault=fault
        )

    def _note_state(self, payment: Payment, at: float, result: str) -> None:
        self._note(payment.ordered.provider, payment.ordered.reference, payment, at, operation="state", result=result)

    def _note(
        self,
        provider: str,
        reference: str,
        payment: Payment | None,
        at: float,
        *,
        operation: Any,
        result: str,
        key: str | None = None,
        fault: str | None = None,
    ) -> None:
        self.ledger.note(
            Entry(
                id=len(self.ledger.entries) + 1,
                time=rfc3339(at),
                provider=provider,
                reference=reference,
                operation=operation,
                key=key,
                result=result,
                status=payment.status if payment else None,
                amount_received=payment.amount_received if payment else None,
                settled=payment.settled if payment else False,
                fault=fault,
            )
        )

    def truth(self, payment: Payment) -> dict[str, Any]:
        """Return all there is to know of a payment, and what was answered to each key."""
        name = (payment.ordered.provider, payment.ordered.reference)
        return {
            **payment.record(),
            "amount_received": payment.amount_received,
            "settled": payment.settled,
            "provider": payment.ordered.provider,
            "kind": payment.ordered.kind,
            "on_record": payment.on_record,
            "calls": {operation: self._calls.get(name, Counter())[operation] for operation in GROUPS["any"]},
            "effects": [
                {"operation": effect, "key": key, "answered": answer.status}
                for (effect, key), answer in self._answered.get(name, {}).items()
            ],
        }


def _fires(step: Step, call: Call, reference: str, point: Point) -> bool:
    when = step.when
    return (
        when is not None
        and when.point == point
        and call.operation in GROUPS[when.operation]
        and call.nth[reference].get(when.operation, 0) >= when.nth
    )
