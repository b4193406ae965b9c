"""What a run comes to in numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any, Final

from adapters.cli.demo.judge import Evidence
from adapters.cli.demo.plan import DemoOrder

# What must have become true at the provider for a merchant to hear of this status.
_CAUSES: Final[Mapping[str, frozenset[str]]] = {
    "PENDING": frozenset({"pending", "attempted", "authorized", "cod"}),
    "PAID": frozenset({"paid"}),
    "UNRESOLVED": frozenset({"paid"}),
    "FAILED": frozenset({"declined"}),
    "CANCELED": frozenset({"canceled", "voided", "invalid"}),
    "EXPIRED": frozenset({"expired", "canceled"}),
    "REFUNDED": frozenset({"refunded"}),
}
# Here the first such state is not yet the one that counts, by our rule or the provider's silence.
_NOT_AT_ONCE: Final = ("confirm", "appears")


def ends_of(evidence: Evidence) -> Mapping[str, int]:
    """Return {status, with its open cases: how many orders}, the most first."""
    ends = Counter(" + ".join([found.status, *found.cases]) for found in evidence.orders.values())
    return dict(ends.most_common())


def reversals_of(evidence: Evidence) -> Mapping[str, int]:
    """Return {outcome, with its open cases: how many reversals}, the most first."""
    ends = Counter(" + ".join([str(found.outcome), *found.cases]) for found in evidence.reversals.values())
    return dict(ends.most_common())


def rejections_of(evidence: Evidence) -> Mapping[str, int]:
    """Return {status: how many rejected transactions}."""
    return dict(Counter(found.status for found in evidence.rejections.values()).most_common())


def callbacks_of(evidence: Evidence) -> Mapping[str, int]:
    """Return {what became of callbacks: how many}."""
    outcomes = Counter(entry["outcome"] for entry in evidence.callbacks)
    return {
        "delivered and verified": outcomes["accepted"],
        "turned away by us at first, and retried": outcomes["turned_away"],
        "delivered again": outcomes["repeated"],
        "not verified": outcomes["unverified"],
    }


def effects_of(evidence: Evidence) -> Mapping[str, int]:
    """Return {operation and result: how many}: what calls for an effect came to, at the provider."""
    effects = Counter(
        f"{entry['operation']} {entry['result']}" for entry in evidence.ledger if entry["operation"] != "state"
    )
    return dict(sorted(effects.items()))


def latencies_of(plan: Sequence[DemoOrder], evidence: Evidence) -> Mapping[str, Sequence[float]]:
    """Return {provider: seconds from a change there to the callback's arrival, ascending}."""
    changes: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for entry in evidence.ledger:
        if entry["operation"] == "state":
            moment = datetime.fromisoformat(entry["time"]).timestamp()
            changes[entry["provider"], entry["reference"]].append((moment, entry["status"]))
    by_name = {(planned.merchant, planned.order): planned for planned in plan}
    seconds: dict[str, list[float]] = defaultdict(list)
    first: set[str] = set()
    for entry in evidence.callbacks:
        if entry["outcome"] == "unverified" or entry["type"] != "order.status_changed" or entry["id"] in first:
            continue
        first.add(entry["id"])  # its arrival, whether or not we turned it away
        planned = by_name.get((entry["merchant"], entry["said"]["order"]))
        if planned is not None and (took := _took(planned, entry, changes)) is not None:
            seconds[planned.provider].append(took)
    return {provider: sorted(seconds[provider]) for provider in sorted(seconds)}


def percentile(ascending: Sequence[float], share: float) -> float:
    return ascending[max(ceil(share * len(ascending)) - 1, 0)]


def _took(
    planned: DemoOrder, entry: Mapping[str, Any], changes: Mapping[tuple[str, str], Sequence[tuple[float, str]]]
) -> float | None:
    said = entry["said"]
    waits = any(word in step for step in planned.scenario.script or () for word in _NOT_AT_ONCE)
    if waits or said["previous_status"] == "REFUND_PENDING" != said["status"] == "PAID":
        return None
    causes = _CAUSES.get(said["status"], frozenset())
    found = [at for at, status in changes.get((planned.provider, planned.reference), ()) if status in causes]
    return max(entry["at"] - found[0], 0.0) if found else None
