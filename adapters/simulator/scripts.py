"""What a run says beforehand: payments, and what becomes true of them when. Unknown fields are refused, not ignored."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal[
    "created",
    "pending",
    "attempted",
    "authorized",
    "paid",
    "declined",
    "canceled",
    "expired",
    "invalid",
    "cod",
    "voided",
    "refund_pending",
    "refund_rejected",
    "refunded",
]
AttemptState: TypeAlias = Literal["pending", "failed", "canceled", "success", "error", "cod"]
Effect: TypeAlias = Literal["cancel", "void"]
Operation: TypeAlias = Literal["get", "query", "cancel", "void"]
Operations: TypeAlias = Literal["get", "query", "cancel", "void", "inquiry", "effect", "any"]
Point: TypeAlias = Literal["before", "after"]

Amount: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)?$")]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Reference: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Provider: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.~-][A-Za-z0-9._~-]*$")]

DEFAULT_PROVIDER: Final = "default"
MOST_PAYMENTS: Final = 10_000

GROUPS: Final[dict[Operations, frozenset[Operation]]] = {
    "get": frozenset({"get"}),
    "query": frozenset({"query"}),
    "cancel": frozenset({"cancel"}),
    "void": frozenset({"void"}),
    "inquiry": frozenset({"get", "query"}),
    "effect": frozenset({"cancel", "void"}),
    "any": frozenset({"get", "query", "cancel", "void"}),
}


class Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    id: str
    state: AttemptState
    reason: str | None = None
    at: str | None = None


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our own call as the trigger: its n-th, or the first later one that gets as far as the point."""

    operation: Operations
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1
    point: Point = "before"


class Confirm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment seen on its network and confirmed block by block; at block `status_at` (else the last) it counts."""

    every: Seconds
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    status_at: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.status_at is not None and self.status_at > self.count:
            raise ValueError("confirm.status_at is a block after the last one")


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider says for a while without its being true; null leaves the field out."""

    seconds: Seconds | None = None
    status: str | msgspec.UnsetType = msgspec.UNSET
    amount: str | msgspec.UnsetType = msgspec.UNSET
    currency: str | msgspec.UnsetType = msgspec.UNSET
    amount_received: str | msgspec.UnsetType | None = msgspec.UNSET
    amount_refunded: str | msgspec.UnsetType | None = msgspec.UNSET
    paid_at: str | msgspec.UnsetType | None = msgspec.UNSET
    settled: bool | msgspec.UnsetType | None = msgspec.UNSET
    network: str | msgspec.UnsetType | None = msgspec.UNSET
    confirmations: int | msgspec.UnsetType | None = msgspec.UNSET
    attempts: list[Attempt] | msgspec.UnsetType | None = msgspec.UNSET
    updated_at: str | msgspec.UnsetType = msgspec.UNSET

    def fields(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self)
        del told["seconds"]
        return told


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes true `after` seconds from the creation, or from the call that `when` names.

    `paid_at` is in seconds from the step's own moment, so -30 means half a minute before it.
    """

    after: Seconds = 0.0
    when: When | None = None
    status: Status | None = None
    attempt: Attempt | None = None
    attempts: list[Attempt] | None = None
    amount_received: Amount | None = None
    amount_refunded: Amount | None = None
    paid_at: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    settled: bool | None = None
    confirmations: Annotated[int, msgspec.Meta(ge=0)] | None = None
    confirm: Confirm | None = None
    appears: bool = False
    report: Report | None = None
    even_if_canceled: bool = False

    def survives_a_cancel(self) -> bool:
        """Whether it holds also on a payment that we have closed; a step after our cancel was written for that."""
        after_effect = self.when and self.when.point == "after" and self.when.operation in {"cancel", "void", "effect"}
        return self.even_if_canceled or bool(after_effect)

    def unfolded(self) -> Iterator[tuple[float, "Step"]]:
        """Yield (delay in seconds from its trigger, step), block by block if it is confirmed so."""
        if self.confirm is None:
            yield self.after, self
            return
        counts_at = self.confirm.count if self.confirm.status_at is None else self.confirm.status_at
        lasting = self.survives_a_cancel()
        yield (
            self.after,
            Step(
                status="pending",
                confirmations=0,
                paid_at=self.paid_at or 0.0,
                attempt=self.attempt,
                attempts=self.attempts,
                even_if_canceled=lasting,
            ),
        )
        for block in range(self.confirm.count + 1):
            step = Step(confirmations=block, even_if_canceled=lasting)
            if block == counts_at:
                step = msgspec.structs.replace(
                    self,
                    confirm=None,
                    when=None,
                    status=self.status or "paid",
                    confirmations=block,
                    paid_at=None,
                    attempt=None,
                    attempts=None,
                    even_if_canceled=lasting,
                )
            if block or block == counts_at:
                yield self.after + block * self.confirm.every, step


class PaymentScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reference: Reference
    amount: Amount
    currency: Annotated[str, msgspec.Meta(min_length=1)]
    provider: Provider = DEFAULT_PROVIDER
    network: str | None = None
    kind: str | None = None
    script: list[Step] = []


class CustomerAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the customer does now. `status` is what the payment becomes, where the usual does not fit."""

    action: Literal["starts", "pays", "declines", "cancels"]
    provider: Provider = DEFAULT_PROVIDER
    amount: Amount | None = None
    attempt: str | None = None
    reason: str | None = None
    status: Status | None = None
    even_if_canceled: bool = False

    def step(self) -> Step:
        status, state = ACTIONS[self.action]
        return Step(
            status=self.status or status,
            amount_received=self.amount,
            attempt=Attempt(id=self.attempt, state=state, reason=self.reason) if self.attempt else None,
            even_if_canceled=self.even_if_canceled,
        )


ACTIONS: Final[dict[str, tuple[Status, AttemptState]]] = {
    "starts": ("pending", "pending"),
    "pays": ("paid", "success"),
    "declines": ("declined", "failed"),
    "cancels": ("canceled", "canceled"),
}
