"""An engine under test, with hands on its clock, its line to the control plane, and its store."""

import time
from collections.abc import Sequence
from threading import Event

from prometheus_client import CollectorRegistry, generate_latest

from app.db.errors import DatabaseUnavailable
from app.serving import (
    ControlPlane,
    ControlState,
    PopularityFallback,
    RankerLoader,
    ReplicaReport,
    ServingConfig,
    ServingEngine,
)
from app.serving.transformers_ranker import TransformersLoader
from model_store import Store
from tests.unit.app.serving.marker_world import (
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    histories,
    subject,
)

# An order no adapter would come up with: from the last item to the first.
POPULARITY = tuple(reversed(range(30)))
HISTORY = histories(1)[0]
ALICE, BOB = subject(1), subject(2)
# Longer than any test: it lapses only when a test makes the clock jump.
LEASE_SECONDS = 3600.0


class Clock:
    """Monotonic time that a test can make jump."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.jumped


class Line:
    """The real control plane at the end of a line that can be cut, garbled, or made slow to write."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.cut = False
        self.garbled = False
        self.writing = Event()
        self.write_gate = Event()
        self.write_gate.set()

    def read(self, after_epoch: int) -> ControlState:
        if self.cut:
            raise DatabaseUnavailable
        if self.garbled:
            return None  # type: ignore[return-value]
        return self._plane.read(after_epoch)

    def report(self, report: ReplicaReport) -> None:
        self.writing.set()
        assert self.write_gate.wait(PATIENCE_SECONDS)
        if self.cut:
            raise DatabaseUnavailable
        self._plane.report(report)


class Replica:
    """One started engine."""

    def __init__(
        self,
        world: World,
        store: Store,
        control: ControlDatabase,
        *,
        cut: bool = False,
        loader: RankerLoader | None = None,
        **settings: object,
    ) -> None:
        self.clock = Clock()
        self.line = Line(control.plane)
        self.line.cut = cut
        self.registry = CollectorRegistry()
        self.fallback = PopularityFallback(world.base.catalogue, POPULARITY)
        self.loader = TransformersLoader(world.base, store) if loader is None else loader
        config = {
            "replica_id": "replica-1",
            "poll_interval_seconds": 0.01,
            "lease_seconds": LEASE_SECONDS,
            "build_retry_seconds": 0.05,
            "request_timeout_seconds": PATIENCE_SECONDS,
            **settings,
        }
        self.engine = ServingEngine(
            ServingConfig(**config),  # type: ignore[arg-type]
            self.loader,
            store,
            self.line,
            self.fallback,
            registry=self.registry,
            clock=self.clock,
        )
        self._control = control
        self.engine.start()

    def serves(self, digest: str | None, generation: int | None = None) -> None:
        """Wait until exactly this serves."""
        eventually(
            lambda: (
                self.engine.status().live_digest == digest
                and generation in (None, self.engine.status().generation)
            )
        )

    def reported(self) -> ReplicaReport:
        """What the last look found; a replica that has just started has not looked yet."""
        eventually(lambda: self.engine.status().report is not None)
        report = self.engine.status().report
        assert report is not None
        return report

    def looked(self) -> None:
        """Wait until two more looks at the control plane have been completed: the second began after the call."""
        for _ in range(2):
            before = self.value("looks_total")
            eventually(lambda before=before: self.value("looks_total") > before)

    def ask(self, subject: str, history: Sequence[int], k: int = 5) -> tuple[list[int], str]:
        """Items and the version they are said to come from."""
        answer = self.engine.recommend(subject, history, k)
        return [item.item for item in answer.items], answer.version

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 before its label was ever used."""
        return self.registry.get_sample_value(f"lethe_serving_{name}", labels) or 0.0

    def exposition(self) -> str:
        return generate_latest(self.registry).decode()

    def stop(self) -> None:
        self.line.write_gate.set()
        self.engine.stop()


def reason(replica: Replica, user: str = ALICE, history: Sequence[int] = HISTORY) -> str | None:
    """Why an answer is not personal, None if it is."""
    return replica.engine.recommend(user, history, 5).fallback_reason
