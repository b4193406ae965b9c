"""The rules by which a provider misbehaves: which call, how, and before or after its effect."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from adapters.simulator.answers import NONSENSE
from adapters.simulator.scripts import DEFAULT_PROVIDER, GROUPS, Operation, Operations, Point, Seconds

Fault: TypeAlias = Literal[
    "slow",
    "silent",
    "drop",
    "refuse_connection",
    "cut",
    "garbled",
    "nonsense",
    "status",
    "slow_down",
    "refused",
    "no_record",
    "status_word",
    "unanswered",
    "token",
]

# Of a query, these touch single records and leave the rest of the answer alone.
OF_A_RECORD: Final[frozenset[Fault]] = frozenset({"nonsense", "no_record", "status_word", "unanswered"})
OF_A_CALL: Final[frozenset[Fault]] = frozenset(get_args(Fault)) - OF_A_RECORD


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    first: int = 1
    last: int | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Matches calls; the first that matches and is more than slow decides, slowness adds up."""

    fault: Fault
    provider: str = DEFAULT_PROVIDER
    reference: str = "*"
    operation: Operations = "any"
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    calls: list[int] | Range | None = None
    between: tuple[Seconds, Seconds | None] | None = None
    point: Point = "before"
    seconds: Seconds | None = None
    code: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    problem: bool = False
    body: str | None = None
    variant: str = "not_a_payment"
    retry_after: Seconds = 1.0
    http_date: bool = False
    payment_status: str | None = None
    word: str = "on_hold"
    token: str | None = None

    def __post_init__(self) -> None:
        if self.variant not in NONSENSE:
            raise ValueError(f"variant is none of {', '.join(NONSENSE)}")
        if self.fault == "slow" and self.seconds is None:
            raise ValueError("slow needs seconds")
        if self.fault == "token" and self.token is None:
            raise ValueError("token needs the token")

    def covers(self, reference: str) -> bool:
        if self.reference.endswith("*"):
            return reference.startswith(self.reference[:-1])
        return reference == self.reference

    def allows_call(self, nth: int) -> bool:
        match self.calls:
            case None:
                return True
            case Range(first=first, last=last):
                return first <= nth and (last is None or nth <= last)
            case listed:
                return nth in listed

    def is_on(self, elapsed: float) -> bool:
        """Whether it holds `elapsed` seconds after the rules were set."""
        if self.between is None:
            return True
        since, until = self.between
        return since <= elapsed and (until is None or elapsed < until)


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came in. `nth` counts the calls of each reference, this one included, by operation or group."""

    provider: str
    operation: Operation
    nth: Mapping[str, Mapping[Operations, int]]  # {reference: {operation or group of them: how many so far}}
    authorization: str | None = None

    @property
    def references(self) -> Sequence[str]:
        return list(self.nth)


@dataclass(frozen=True, slots=True)
class Verdict:
    delays: Mapping[Point, float]
    rule: Rule | None = None

    @property
    def fault(self) -> str | None:
        return self.rule.fault if self.rule else "slow" if any(self.delays.values()) else None

    def strikes(self, point: Point) -> bool:
        return self.rule is not None and (
            point == ("before" if self.rule.fault == "refuse_connection" else self.rule.point)
        )


class Rules:
    def __init__(self, seed: int, rules: Sequence[Rule] = (), *, since: float) -> None:
        self.seed = seed
        self.rules = rules
        self._since = since

    def verdict(self, call: Call, now: float) -> Verdict:
        """Decide what befalls a call as a whole. A query is judged by the first reference that a rule covers."""
        faults = OF_A_CALL if call.operation == "query" else OF_A_CALL | OF_A_RECORD - {"unanswered"}
        delays: dict[Point, float] = {"before": 0.0, "after": 0.0}
        for place, rule in enumerate(self.rules):
            if rule.fault not in faults or (reference := next(filter(rule.covers, call.nth), None)) is None:
                continue
            if self._matches(place, rule, call, reference, now):
                if rule.fault != "slow":
                    return Verdict(delays, rule)
                delays[rule.point] += rule.seconds or 0.0
        return Verdict(delays)

    def verdict_of_record(self, call: Call, reference: str, now: float) -> Rule | None:
        """Decide what befalls one record of a query."""
        for place, rule in enumerate(self.rules):
            if (
                rule.fault in OF_A_RECORD
                and rule.covers(reference)
                and self._matches(place, rule, call, reference, now)
            ):
                return rule
        return None

    def _matches(self, place: int, rule: Rule, call: Call, reference: str, now: float) -> bool:
        nth = call.nth[reference].get(rule.operation, 0)
        return (
            rule.provider in {"*", call.provider}
            and call.operation in GROUPS[rule.operation]
            and rule.allows_call(nth)
            and rule.is_on(now - self._since)
            and (rule.fault != "token" or call.authorization != f"Bearer {rule.token}")
            and (rule.share >= 1 or self._dice(place, call, reference) < rule.share)
        )

    def _dice(self, place: int, call: Call, reference: str) -> float:
        """Throw dice that depend on nothing but names and counts, so that the order of calls does not matter."""
        nth = call.nth[reference][call.operation]
        thrown = f"{self.seed}|{place}|{call.provider}|{call.operation}|{reference}|{nth}"
        return int.from_bytes(hashlib.blake2b(thrown.encode(), digest_size=7).digest()) / 2**56
