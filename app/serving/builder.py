"""Prepares versions on a thread of its own, so that neither requests nor the suppression feed wait for a load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from app.codes import ReplicaError
from app.serving.errors import VersionRefused
from app.serving.metrics import ServingMetrics
from app.serving.ranker import Ranker
from model_store import StoreError

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MAX_BACKOFF = 32


@dataclass(frozen=True)
class _Failure:
    code: str
    attempts: int
    retry_at: float


class RankerBuilder:
    """Prepares the wanted versions. It is level-triggered: `want` states the whole target, as often as necessary.

    Args:
        build: (digest, floor) -> ranker, as `RankerLoader.load`; raises `VersionRefused` or `StoreError`.
        on_change: called on the builder's thread after every try.
        retry_seconds: pause after a failure. It doubles with each further failure, up to 32 times the first pause.
    """

    def __init__(
        self,
        build: Callable[[str, int], Ranker],
        *,
        on_change: Callable[[], None],
        metrics: ServingMetrics,
        retry_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._build = build
        self._on_change = on_change
        self._metrics = metrics
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._wake = threading.Condition()
        self._wanted: tuple[str, ...] = ()
        self._floor = 0
        self._ready: dict[str, Ranker] = {}
        self._failures: dict[str, _Failure] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="lethe-builder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Drop prepared rankers and begin nothing new. A load under way finishes, and its ranker is dropped."""
        with self._wake:
            self._closed = True
            self._wanted = ()
            self._ready.clear()
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def want(self, digests: Sequence[str], floor: int) -> None:
        """Set the versions that should be ready, the most urgent first. Rankers of all others are dropped.

        A higher floor also drops the rankers below it, and one that is lost is loaded anew. A version that failed is
        tried again after its pause.
        """
        with self._wake:
            if self._closed:
                return
            self._wanted = tuple(dict.fromkeys(digests))
            self._floor = floor
            for digest in [
                d for d, r in self._ready.items() if d not in self._wanted or r.forget_epoch < floor or r.lost
            ]:
                del self._ready[digest]
            for digest in [d for d in self._failures if d not in self._wanted]:
                del self._failures[digest]
            self._wake.notify_all()

    def ready(self, digest: str) -> Ranker | None:
        """The prepared ranker, if there is one."""
        with self._wake:
            return self._ready.get(digest)

    def error(self, digest: str) -> str | None:
        """Code of the last failure to prepare this version; None if it has not failed."""
        with self._wake:
            failure = self._failures.get(digest)
            return failure.code if failure else None

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            self._attempt(*job)
            self._on_change()

    def _next(self) -> tuple[str, int] | None:
        with self._wake:
            while not self._closed:
                now = self._clock()
                missing = [digest for digest in self._wanted if digest not in self._ready]
                for digest in missing:
                    failure = self._failures.get(digest)
                    if failure is None or failure.retry_at <= now:
                        return digest, self._floor
                pauses = [self._failures[digest].retry_at - now for digest in missing]
                self._wake.wait(min(pauses, default=None))
            return None

    def _attempt(self, digest: str, floor: int) -> None:
        started = self._clock()
        try:
            ranker = self._build(digest, floor)
        except VersionRefused as error:
            code, detail = error.code, str(error)
        except StoreError as error:
            code, detail = ReplicaError.STORE_UNAVAILABLE, str(error)
        except Exception as error:  # noqa: BLE001 - the thread must go on after any failure of a load
            code, detail = ReplicaError.BUILD_FAILED, type(error).__name__
            _log.exception("serving.build.crashed", version=digest)
        else:
            self._metrics.build_seconds.observe(self._clock() - started)
            with self._wake:
                self._failures.pop(digest, None)
                if digest in self._wanted and ranker.forget_epoch >= self._floor:
                    self._ready[digest] = ranker
            return
        self._metrics.refusals.labels(code).inc()
        _log.warning("serving.build.refused", version=digest, code=code, detail=detail)
        with self._wake:
            earlier = self._failures.get(digest)
            attempts = earlier.attempts + 1 if earlier else 1
            pause = self._retry_seconds * min(2 ** (attempts - 1), _MAX_BACKOFF)
            self._failures[digest] = _Failure(code, attempts, self._clock() + pause)
