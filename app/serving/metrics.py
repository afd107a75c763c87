"""Metrics of the engine. No label ever contains a user, a subject or anything derived from one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (16, 64, 256, 1024, 4096, 16384, 65536)


class ServingMetrics:
    """Counters and gauges of one engine, registered once in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, documentation: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(
                f"lethe_serving_{name}", documentation, buckets=tuple(buckets), registry=registry
            )

        def counter(name: str, documentation: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"lethe_serving_{name}", documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"lethe_serving_{name}", documentation, labels, registry=registry)

        self.batch_requests = histogram("batch_requests", "Requests answered by one batch.", _REQUESTS)
        self.batch_tokens = histogram("batch_tokens", "Tokens of one batch, padding included.", _TOKENS)
        self.batch_seconds = histogram("batch_seconds", "Time one batch took.", _SECONDS)
        self.batch_failures = counter("batch_failures", "Batches that raised.")
        self.queue_depth = gauge("queue_depth", "Requests waiting for the inference thread.")
        self.rejected = counter("rejected", "Requests not answered, by reason.", ("reason",))
        self.answers = counter("answers", "Personalised answers.")
        self.fallbacks = counter("fallbacks", "Answers that were not personalised, by reason.", ("reason",))
        self.cache_lookups = counter("cache_lookups", "Look-ups of a kept answer, by result.", ("result",))
        self.repeats = counter(
            "repeats", "Answers computed again: the floor rose above their version meanwhile."
        )
        self.build_seconds = histogram("build_seconds", "Time to read, verify and load a version.", _SECONDS)
        self.swap_seconds = histogram(
            "swap_seconds", "From seeing the pointer moved to serving it.", _SECONDS
        )
        self.suppression_seconds = Histogram(
            "lethe_serving_suppression_seconds",
            "From the acceptance of a forget request until this replica has read that it must fall back.",
            registry=registry,
        )
        self.swaps = counter("swaps", "Times another version began to serve.")
        self.refusals = counter("refusals", "Versions that failed to load, by error.", ("error",))
        self.looks = counter("looks", "Times the control plane was read and followed.")
        self.control_failures = counter("control_failures", "Failed calls of the control plane.", ("call",))
        self.feed_age_seconds = gauge(
            "feed_age_seconds", "Since the last successful read of the feed started."
        )
        self.suppressed_subjects = gauge("suppressed_subjects", "Subjects in the suppression set.")
        self.generation = gauge(
            "generation", "Generation of the serving pointer that serves here; 0 for none."
        )
        self.erasure_floor = gauge("erasure_floor", "Lowest forget epoch that may serve.")
        self.resident_versions = gauge("resident_versions", "Versions with tensors in memory.")
        self.resident = gauge(
            "resident_version", "1 while the tensors of a version are in memory.", ("version",)
        )
        self._resident: frozenset[str] = frozenset()

    def watch_feed(self, age_seconds: Callable[[], float], suppressed: Callable[[], float]) -> None:
        """Compute these gauges at each scrape, so that the age still grows if the reconcile loop hangs."""
        self.feed_age_seconds.set_function(age_seconds)
        self.suppressed_subjects.set_function(suppressed)

    def set_resident(self, versions: Iterable[str]) -> None:
        """Show these versions as resident, and drop the series of all others. Call from one thread only."""
        resident = frozenset(versions)
        for version in self._resident - resident:
            self.resident.remove(version)
        for version in resident:
            self.resident.labels(version).set(1)
        self.resident_versions.set(len(resident))
        self._resident = resident
