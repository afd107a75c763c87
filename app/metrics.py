"""Prometheus metrics of the HTTP edge and of the queue. Labels come from closed sets, so no id can become a label."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.consolidations import queries as consolidations
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.models import RequestStatus, RunKind
from app.db.models.statuses import SETTLED
from app.db.session import Database
from app.forget_requests import dwelling
from app.forget_requests import queries as forget_requests
from app.forget_requests.policy import LongestHours
from app.runs import history

# The status of a request whose answer was held back (`app.last_look`).
HELD_BACK = 0


class HttpMetrics:
    """Requests by method, route template and status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "lethe_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "lethe_http_request_seconds",
            "Time from the first byte in to the last byte out.",
            ["route"],
            registry=registry,
        )

    def recommendations(self) -> list[int]:
        """How many answers of GET /recommend took how long, by the steps of the histogram, since the process began."""
        return counts_of(self._seconds.labels("/recommend"))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


def counts_of(histogram: Histogram) -> list[int]:
    """The counts of each step of a histogram, which itself keeps their sums from the first step on."""
    (metric,) = histogram.collect()
    sums = [int(sample.value) for sample in metric.samples if sample.name.endswith("_bucket")]
    return [one - before for one, before in zip(sums, [0, *sums[:-1]], strict=True)]


class QueueMetrics(Collector):
    """Forget requests by status. They are read from the database at each scrape, so a restart loses nothing.

    Args:
        longest: after how long in one state a request counts as stalled.
    """

    def __init__(self, database: Database, longest: LongestHours) -> None:
        self._database = database
        self._longest = longest

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.read() as session:
                now = database_now(session)
                counts = forget_requests.counts(session, now)
                stalled = dwelling.counts(session, self._longest, now)
        except DatabaseUnavailable:
            return
        by_status = GaugeMetricFamily(
            "lethe_forget_requests", "Forget requests by status.", labels=["status"]
        )
        for status in RequestStatus:
            by_status.add_metric([status.value], counts.by_status.get(status, 0))
        yield by_status
        overdue = GaugeMetricFamily(
            "lethe_forget_requests_overdue", "Unfinished forget requests past their deadline."
        )
        overdue.add_metric([], counts.overdue)
        yield overdue
        too_long = GaugeMetricFamily(
            "lethe_forget_requests_stalled",
            "Forget requests that have stayed in their state for longer than the request policy allows.",
            labels=["status"],
        )
        for status in RequestStatus:
            if status not in SETTLED:
                too_long.add_metric([status.value], stalled.get(status, 0))
        yield too_long


class RunMetrics(Collector):
    """Whether work goes on, read from the database at each scrape. A run that works for much longer than others did,
    or a request that waits for long, tells that nothing is completed, whatever its worker says of itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.read() as session:
                now = database_now(session)
                working, oldest = history.working_since(session), history.oldest_waiting(session)
                measured = {kind: history.run_seconds(session, kind).p95 for kind in RunKind}
        except DatabaseUnavailable:
            return
        works = GaugeMetricFamily(
            "lethe_run_working_seconds",
            "How long the run that works has worked since its first claim; 0 if none of the kind works.",
            labels=["kind"],
        )
        usual = GaugeMetricFamily(
            "lethe_run_p95_seconds",
            "What 95 % of the latest completed runs did not exceed; absent before the first one.",
            labels=["kind"],
        )
        for kind, p95 in measured.items():
            works.add_metric([kind.value], _seconds(now, working.get(kind)))
            if p95 is not None:
                usual.add_metric([kind.value], p95)
        yield works
        yield usual
        waits = GaugeMetricFamily(
            "lethe_oldest_queued_seconds",
            "How long the forget request has waited for a run that has waited longest; 0 if none waits.",
        )
        waits.add_metric([], _seconds(now, oldest))
        yield waits


def _seconds(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


class ConsolidationMetrics(Collector):
    """How much attenuation has added up since the last exact fit, read from the database at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.read() as session:
                spent = consolidations.spending(session)
        except DatabaseUnavailable:
            return
        for name, text, value in (
            ("attenuated_subjects", "Subjects attenuated since the last exact fit.", spent.subjects),
            ("attenuations", "Versions made by attenuation since the last exact fit.", spent.attenuations),
        ):
            gauge = GaugeMetricFamily(f"lethe_{name}_since_exact_fit", text)
            gauge.add_metric([], value)
            yield gauge
