"""Payments as they really are at a provider that misbehaves: what is held there, and which voids were done."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from domain.model.answer import Answer, NoRecord, Refused
from domain.model.transaction import Effect
from tests.builders import a_record
from tests.unit.usecases.yard import Yard

Where = Literal["inquiry", "void"]
FOR_EVER: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong in calls of one operation: the answer in place of the true one, and what else is so."""

    where: Where | None = None
    answer: Answer | None = None
    after: bool = False  # the effect is done, and then the answer is another
    refuses: bool = False  # refused in the very status that the payment has
    becomes: str | None = None  # what somebody else has made of the payment by the time of our void
    settles: bool = False  # the payment settles in the instant of our void
    late_record: bool = False
    slow: timedelta = timedelta()


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment. `touched` is how many calls of the fault's operation it touches."""

    yard: Yard
    reference: str
    status: str | None  # None: never on record
    settles_at: datetime
    fault: Fault = Fault()
    touched: int = 0
    on_record_from: datetime | None = None
    voids: list[str] = field(default_factory=list)  # the keys of those that were done
    sent: list[str] = field(default_factory=list)  # the keys of all that came
    _settled: bool = False
    _calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.yard.provider.says(self.reference, self.tell)
        self.yard.provider.does(Effect.VOID, self.reference, self.void)

    @property
    def holds_money(self) -> bool:
        return self.status in ("authorized", "paid")

    def tell(self) -> Answer:
        faulty = self._next_is_faulty("inquiry")
        if faulty and self.fault.answer is not None:
            return self.fault.answer
        return self._record()

    def void(self) -> Answer:
        key = next(call.key for call in reversed(self.yard.provider.effects) if call.reference == self.reference)
        self.sent.append(key)
        faulty = self._next_is_faulty("void")
        if faulty:
            self.status = self.fault.becomes or self.status
            if self.fault.settles:
                self.status, self._settled = "paid", True
        if faulty and self.fault.refuses:
            return Refused(payment_status=self.status)
        if faulty and self.fault.answer is not None and not self.fault.after:
            return self.fault.answer
        answer = self._perform(key)
        return self.fault.answer if faulty and self.fault.answer is not None else answer

    def _perform(self, key: str) -> Answer:
        """Void it; the same key answers as it did at first and does nothing more."""
        if self.status is None:
            return NoRecord()
        if key not in self.voids:
            if not self.holds_money or self._has_settled():
                return Refused(payment_status=self.status)
            self.status = "voided"
            self.voids.append(key)
        return a_record("voided", reference=self.reference)

    def _record(self) -> Answer:
        hidden = self.on_record_from is not None and self.yard.bench.clock.now < self.on_record_from
        if self.status is None or hidden:
            return NoRecord()
        return a_record(self.status, reference=self.reference, settled=self._has_settled())

    def _has_settled(self) -> bool:
        if self.holds_money and self.yard.bench.clock.now >= self.settles_at:
            self.status, self._settled = "paid", True
        return self._settled

    def _next_is_faulty(self, where: Where) -> bool:
        self.yard.bench.clock.wait(self.fault.slow)
        self._calls[where] += 1
        return self.fault.where == where and self._calls[where] <= self.touched
