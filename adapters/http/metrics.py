"""Figures for Prometheus. No label is ever something that a client chooses."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from adapters.persistence.figures import Figures, figures
from domain.model.case import CaseKind
from domain.model.due_work import Work

# Whoever scrapes more often is given what is known: the figures cost the database something.
_FRESH_SECONDS: Final = 5.0
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

log = structlog.get_logger(__name__)


class Requests:
    """Counts what this process has answered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        labels = ("route", "method", "status")
        self._answered = Counter("trueup_http_requests", "Requests that were answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "trueup_http_request_seconds", "How long they took.", ("route",), buckets=_BUCKETS, registry=self.registry
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        self._answered.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class StoreFigures(Collector):
    """What the database says, read at most once in a few seconds."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._known: Figures | None = None

    def collect(self) -> Iterable[Metric]:
        found = self._figures()
        yield GaugeMetricFamily("trueup_database_up", "Whether the database answers.", value=float(found is not None))
        if found is not None:
            yield from _gauges(found)

    def _figures(self) -> Figures | None:
        with self._lock:
            if self._clock() - self._read_at > _FRESH_SECONDS:
                self._known = self._read()
                self._read_at = self._clock()
            return self._known

    def _read(self) -> Figures | None:
        try:
            with self._engine.connect() as connection:
                return figures(connection)
        except SQLAlchemyError as error:
            log.warning("metrics.unread", error=type(error).__name__)
            return None


def _gauges(found: Figures) -> Iterator[Metric]:
    works, kinds = [str(work) for work in Work], [str(kind) for kind in CaseKind]
    yield _gauge("trueup_due_work", "Rows that are due now.", "kind", found.due, works)
    yield _gauge("trueup_due_work_oldest_seconds", "How late the oldest of them is.", "kind", found.late, works)
    yield _gauge("trueup_cases_open", "Cases that wait for a person.", "kind", found.open_cases, kinds)
    families = ("provider", "endpoint", "merchant")
    yield _gauge("trueup_lanes_held", "Lanes that are paused or switched.", "family", found.held_lanes, families)
    for name, meaning, value in _plain(found):
        yield GaugeMetricFamily(f"trueup_{name}", meaning, value=value)


def _plain(found: Figures) -> Sequence[tuple[str, str, float]]:
    """Return (name, meaning, value) of what has no label."""
    return (
        ("commands_waiting", "Commands that wait for their order.", found.commands_waiting),
        ("messages_refused", "What was refused and is kept.", found.messages_refused),
        ("commands_refused", "Those of them that were kept as commands first.", found.commands_refused),
        ("rejected_pending", "Transactions that wait in sanity queues.", found.rejected_pending),
        ("rejected_oldest_seconds", "How long the oldest of them has waited.", found.rejected_seconds),
        ("retriggers_open", "Retriggers that are under way.", found.retriggers_open),
    )


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float], known: Iterable[str]) -> Metric:
    gauge = GaugeMetricFamily(name, meaning, labels=[label])
    for one in known:
        gauge.add_metric([one], values.get(one, 0.0))
    return gauge
