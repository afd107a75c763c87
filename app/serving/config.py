"""The configuration of one replica's serving engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServingConfig:
    """Options of the engine, validated on construction.

    Args:
        replica_id: name of this gateway process in the control plane; unique among live replicas.
        poll_interval_seconds: time between two reads of the control plane, before jitter.
        poll_jitter: share of the interval by which it varies at random, so that replicas do not read all at once.
        lease_seconds: a replica whose last successful read *started* longer ago than this stops personalising.
        report_interval_seconds: an unchanged report is sent again after this time, a changed one at once.
        floor_interval_seconds: time between two reads of the erasure floor in the store.
        token_budget: most tokens of one batch, padding included (requests x longest history).
        max_queue: requests that may wait for the inference thread; one more is refused.
        request_timeout_seconds: how long one caller waits at most.
        cache_entries: how many answers are kept; 0 turns the cache off.
        build_retry_seconds: pause before a version that failed to load is tried again; doubles up to 32 times this.
        history_limit: how many of a user's newest events are read. Items seen earlier may be recommended again.
        drain_seconds: how long ``stop`` waits for queued requests.

    Raises:
        ValueError: a value is out of range.
    """

    replica_id: str
    poll_interval_seconds: float = 0.2
    poll_jitter: float = 0.25
    lease_seconds: float = 1.0
    report_interval_seconds: float = 2.0
    floor_interval_seconds: float = 2.0
    token_budget: int = 4096
    max_queue: int = 256
    request_timeout_seconds: float = 10.0
    cache_entries: int = 10_000
    build_retry_seconds: float = 1.0
    history_limit: int = 10_000
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.replica_id:
            raise ValueError("replica_id is empty")
        positive = (
            "poll_interval_seconds", "lease_seconds", "report_interval_seconds", "floor_interval_seconds",
            "token_budget", "max_queue", "request_timeout_seconds", "build_retry_seconds",
            "history_limit", "drain_seconds",
        )  # fmt: skip
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not 0 <= self.poll_jitter < 1:
            raise ValueError(f"poll_jitter must be in [0, 1), not {self.poll_jitter}")
        if self.cache_entries < 0:
            raise ValueError(f"cache_entries must not be negative, not {self.cache_entries}")
        if self.poll_interval_seconds * (1 + self.poll_jitter) >= self.lease_seconds:
            raise ValueError("lease_seconds must exceed the longest pause between two polls")
