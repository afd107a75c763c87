"""The loop that makes this replica follow the control plane. It polls; `poke` only makes it poll at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog

from app.codes import ReplicaError
from app.serving.builder import RankerBuilder
from app.serving.cache import ResultCache
from app.serving.config import ServingConfig
from app.serving.control import ControlPlane, ControlState, ReplicaReport
from app.serving.errors import BelowErasureFloor
from app.serving.live import LiveVersion, Serving
from app.serving.metrics import ServingMetrics
from app.serving.ranker import RankerLoader
from app.serving.recommendation import FallbackReason
from app.serving.reporter import Reporter
from app.serving.suppression import SuppressionSet
from app.serving.takedowns import TakenItems

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reconciler:
    """Follows the control plane. It is level-triggered: every look compares the wanted state with the present one, so
    restarts and missed pokes do no harm.

    The thread only reads. The builder loads and the reporter writes, because a delay of the next read would delay the
    suppression of somebody who has just asked to be forgotten.
    """

    def __init__(
        self,
        config: ServingConfig,
        control: ControlPlane,
        loader: RankerLoader,
        *,
        live: LiveVersion,
        suppression: SuppressionSet,
        taken: TakenItems,
        cache: ResultCache,
        metrics: ServingMetrics,
        vouched_floor: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a reconciler; `start` starts its thread.

        Args:
            vouched_floor: returns the erasure floor in the store, at once.
        """
        self._config = config
        self._vouched_floor = vouched_floor
        self._control = control
        self._live = live
        self._suppression = suppression
        self._taken = taken
        self._cache = cache
        self._loader = loader
        self._metrics = metrics
        self._clock = clock
        self._builder = RankerBuilder(
            loader.load,
            on_change=self.poke,
            metrics=metrics,
            retry_seconds=config.build_retry_seconds,
            clock=clock,
        )
        self._reporter = Reporter(
            control,
            interval_seconds=config.report_interval_seconds,
            retry_seconds=config.poll_interval_seconds,
            metrics=metrics,
        )
        self._look_now = threading.Event()
        self._closed = threading.Event()
        self._readable = True
        self._rewound = False
        self._lowered = False
        self._moved_at: float | None = None
        self._report: ReplicaReport | None = None
        self._residents: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._loop, name="lethe-reconciler", daemon=True)

    @property
    def report(self) -> ReplicaReport | None:
        """This replica's last report, delivered or not; None before the first read."""
        return self._report

    def start(self) -> None:
        self._builder.start()
        self._reporter.start()
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        self._closed.set()
        self._look_now.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        self._builder.stop(timeout_seconds)
        self._reporter.stop(timeout_seconds)

    def poke(self) -> None:
        """Make the loop look now. Call from any thread; returns at once."""
        self._look_now.set()

    def reconcile(self) -> bool:
        """Look once. Called by the loop only.

        Returns:
            Whether the control plane could be read. If not, nothing changes and the lease is not renewed.
        """
        after_epoch = self._suppression.cursor
        read_started = self._clock()
        # Read the store's floor before the database's row. The row rises first, so a lower row was edited or restored.
        vouched_floor = self._vouched_floor()
        try:
            state = self._control.read(after_epoch)
        except Exception as error:  # noqa: BLE001 - any failure leaves the lease as it is
            self._metrics.control_failures.labels("read").inc()
            if self._readable:
                _log.warning("serving.control.unreadable", error=type(error).__name__)
            self._readable = False
            return False
        if not self._readable:
            _log.info("serving.control.readable")
        self._readable = True
        rewound = not state.vouched or state.epoch < self._suppression.epoch
        # Takedowns before suppressions, which renew the lease: a replica with a lease knows both.
        self._taken.add(state.taken_down)
        # These come before all else, so that nothing delays them.
        for subject in self._suppression.catch_up(after_epoch, state, read_started=read_started):
            self._cache.purge(subject)
        if self._suppression.cursor > after_epoch:
            for seconds in state.waited_seconds:
                self._metrics.suppression_seconds.observe(seconds)
        if rewound != self._rewound:
            self._rewound = rewound
            if rewound:
                _log.error("serving.feed.rewound", epoch=state.epoch)
            else:
                _log.info("serving.feed.stands", epoch=state.epoch)
        # Do not follow a database that is not vouched for.
        lowered = False
        if state.vouched:
            # A row that was edited by hand, or restored, must not lower the floor.
            floor = max(self._live.serving.floor, vouched_floor)
            lowered = self._is_lowered(state.erasure_floor, floor)
            self._follow(state, max(floor, state.erasure_floor))
        self._acknowledge(
            state,
            ReplicaError.FEED_REWOUND if rewound else None,
            ReplicaError.FLOOR_LOWERED if lowered else None,
        )
        self._metrics.looks.inc()
        return True

    def _loop(self) -> None:
        interval, jitter = self._config.poll_interval_seconds, self._config.poll_jitter
        while not self._closed.is_set():
            self._look_now.clear()
            try:
                self.reconcile()
            except Exception:  # noqa: BLE001 - the loop must go on, to notice when the failure is over
                # The replica may no longer follow the control plane, so it must not go on personalising.
                self._suppression.lapse()
                _log.exception("serving.reconcile.crashed")
            self._look_now.wait(interval * random.uniform(1 - jitter, 1 + jitter))

    def _is_lowered(self, row: int, known: int) -> bool:
        """Whether the row lies below a floor that was in force. Logs every change."""
        lowered = row < known
        if lowered != self._lowered:
            self._lowered = lowered
            if lowered:
                _log.error("serving.floor.lowered", row=row, erasure_floor=known)
            else:
                _log.info("serving.floor.stands", row=row)
        return lowered

    def _follow(self, state: ControlState, floor: int) -> None:
        """Enforce the floor, let the builder prepare missing versions, and swap if the pointer's version is ready."""
        serving = self._live.serving
        held = serving.ranker if serving.ranker and serving.ranker.forget_epoch >= floor else None
        if held is not None and held.lost:
            held = None
        missing = [
            d for d in (state.live_digest, state.candidate_digest) if d and not (held and held.digest == d)
        ]
        self._builder.want(missing, floor)
        if state.live_digest is None:
            self._moved_at = None
            self._publish(Serving(None, state.generation, floor))
        elif held is not None and held.digest == state.live_digest:
            self._moved_at = None
            self._publish(Serving(held, state.generation, floor))
        elif (target := self._builder.ready(state.live_digest)) is not None:
            self._publish(Serving(target, state.generation, floor))
            since = self._clock() if self._moved_at is None else self._moved_at
            self._metrics.swap_seconds.observe(self._clock() - since)
            self._moved_at = None
        else:
            self._moved_at = self._clock() if self._moved_at is None else self._moved_at
            if held is not None:
                self._publish(Serving(held, serving.generation, floor))
            else:
                # After a withdrawal, serving nothing stays the decided state until the next version is built.
                generation = serving.generation if serving.ranker is None else 0
                self._publish(
                    Serving(None, generation, floor, self._absence(serving, state.live_digest, floor))
                )

    def _absence(self, serving: Serving, live_digest: str, floor: int) -> FallbackReason:
        below = BelowErasureFloor.code
        if (
            (serving.ranker is not None and serving.ranker.forget_epoch < floor)
            or serving.absence == below
            or self._builder.error(live_digest) == below
        ):
            return "below_erasure_floor"
        return "no_version"

    def _publish(self, serving: Serving) -> None:
        before = self._live.serving
        if (before.ranker, before.generation, before.floor, before.absence) == (
            serving.ranker, serving.generation, serving.floor, serving.absence,
        ):  # fmt: skip
            return
        self._live.publish(serving)
        self._metrics.generation.set(serving.generation)
        self._metrics.erasure_floor.set(serving.floor)
        if before.ranker is not serving.ranker:
            digest = serving.ranker.digest if serving.ranker else None
            self._cache.enter(digest)
            if digest is not None:
                self._metrics.swaps.inc()
            _log.info(
                "serving.swapped",
                version=digest,
                generation=serving.generation,
                erasure_floor=serving.floor,
            )

    def _acknowledge(self, state: ControlState, feed_error: str | None, floor_error: str | None) -> None:
        serving = self._live.serving
        live_digest = serving.ranker.digest if serving.ranker else None
        candidate = state.candidate_digest
        ready = candidate is not None and (
            candidate == live_digest or self._builder.ready(candidate) is not None
        )
        residents = self._loader.resident_versions()
        for version in self._residents.difference(residents):
            _log.info("serving.version.released", version=version)
        self._residents = frozenset(residents)
        self._metrics.set_resident(residents)
        wanted = [digest for digest in (state.live_digest, candidate) if digest is not None]
        errors = [feed_error, *(self._builder.error(digest) for digest in wanted), floor_error]
        self._report = ReplicaReport(
            replica_id=self._config.replica_id,
            generation=serving.generation,
            live_digest=live_digest,
            ready_digest=candidate if ready else None,
            epoch=self._suppression.epoch,
            resident_versions=residents,
            error=next((error for error in errors if error is not None), None),
            outside_engine=self._loader.outside_engine,
        )
        self._reporter.offer(self._report)
