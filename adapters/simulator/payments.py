"""The truth of one payment. Every function is told what time it is."""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from adapters.simulator.clock import rfc3339
from adapters.simulator.scripts import Attempt, Effect, PaymentScript, Report, Status, Step

Record: TypeAlias = dict[str, Any]

OPEN: Final[frozenset[Status]] = frozenset({"created", "pending", "attempted"})
WITH_MONEY: Final[frozenset[Status]] = frozenset({"paid", "refund_pending", "refund_rejected", "refunded"})


@dataclass(slots=True)
class Payment:
    ordered: PaymentScript
    created_at: float
    updated_at: float
    status: Status = "created"
    amount_received: str | None = None
    amount_refunded: str | None = None
    paid_at: float | None = None
    settled: bool = False
    confirmations: int | None = None
    attempts: tuple[Attempt, ...] = ()
    on_record: bool = True
    closed_by_call: bool = False
    reports: list[tuple[float, Report]] = field(default_factory=list)
    triggers: list[Step] = field(default_factory=list)

    @classmethod
    def created(cls, ordered: PaymentScript, now: float) -> "Payment":
        return cls(
            ordered,
            created_at=now,
            updated_at=now,
            on_record=not any(step.appears for step in ordered.script),
            triggers=[step for step in ordered.script if step.when],
        )

    def take(self, step: Step, at: float) -> bool:
        """Let a step become true; return whether that changed anything. What we closed stays so, but for late money."""
        if step.report:
            self.reports.append((at, step.report))
        before = self._truth()
        self.on_record = self.on_record or step.appears
        if not self.closed_by_call or step.survives_a_cancel():
            self._change(step, at)
        return self._truth() != before

    def _change(self, step: Step, at: float) -> None:
        if step.status is not None:
            self.status = step.status
            self.closed_by_call = False
            self.updated_at = at
        if step.paid_at is not None:
            self.paid_at = at + step.paid_at
        elif step.status == "paid" and self.paid_at is None:
            self.paid_at = at
        if step.settled is not None:
            self.settled = step.settled
        if step.confirmations is not None:
            self.confirmations = step.confirmations
        self._change_amounts(step)
        self._change_attempts(step, at)
        if step.settled is not None or step.confirmations is not None or step.attempt or step.attempts:
            self.updated_at = at

    def _change_amounts(self, step: Step) -> None:
        if step.amount_received is not None:
            self.amount_received = step.amount_received
        elif self.status in WITH_MONEY and self.amount_received is None:
            self.amount_received = self.ordered.amount
        if step.amount_refunded is not None:
            self.amount_refunded = step.amount_refunded
        elif self.status == "refunded" and self.amount_refunded is None:
            self.amount_refunded = self.amount_received

    def _change_attempts(self, step: Step, at: float) -> None:
        listed = step.attempts if step.attempts is not None else list(self.attempts)
        if step.attempt:
            listed = [attempt for attempt in listed if attempt.id != step.attempt.id] + [step.attempt]
        known = {(attempt.id, attempt.state): attempt for attempt in self.attempts}
        self.attempts = tuple(
            known.get((each.id, each.state), Attempt(each.id, each.state, each.reason, each.at or rfc3339(at)))
            for each in listed
        )

    def _truth(self) -> tuple[object, ...]:
        return (
            self.status,
            self.amount_received,
            self.amount_refunded,
            self.paid_at,
            self.settled,
            self.confirmations,
            self.attempts,
            self.on_record,
        )

    def act(self, effect: Effect, now: float) -> str:
        """Cancel or void it; return "done", "already", or "refused:" and the status that does not allow it."""
        target: Status = "canceled" if effect == "cancel" else "voided"
        if self.status == target:
            return "already"
        if not (self._can_be_canceled() if effect == "cancel" else self._can_be_voided()):
            return f"refused:{self.status}"
        self.status = target
        self.closed_by_call = True
        self.updated_at = now
        return "done"

    def _can_be_canceled(self) -> bool:
        return self.status in OPEN

    def _can_be_voided(self) -> bool:
        return self.status == "authorized" or (self.status == "paid" and not self.settled)

    def record(self) -> Record:
        """Return the truth in the words of the contract."""
        optional = {
            "amount_received": self.amount_received,
            "amount_refunded": self.amount_refunded,
            "paid_at": None if self.paid_at is None else rfc3339(self.paid_at),
            "settled": self.settled or None,
            "network": self.ordered.network,
            "confirmations": self.confirmations,
            "attempts": self.attempts or None,
        }
        return {
            "reference": self.ordered.reference,
            "status": self.status,
            "amount": self.ordered.amount,
            "currency": self.ordered.currency,
            **{name: value for name, value in optional.items() if value is not None},
            "updated_at": rfc3339(self.updated_at),
        }

    def said(self, now: float) -> Record:
        """Return what the provider says: the truth, or what a report says in its place."""
        record = self.record()
        for since, report in self.reports:
            if since <= now and (report.seconds is None or now < since + report.seconds):
                record |= report.fields()
        return {name: value for name, value in record.items() if value is not None}
