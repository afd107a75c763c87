"""The serving engine, which the HTTP layer calls from its event loop, and others from any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from app.serving.asked import checked_request
from app.serving.batcher import MicroBatcher
from app.serving.cache import CacheKey, ResultCache, history_digest
from app.serving.clock import elapsed
from app.serving.config import ServingConfig
from app.serving.control import ControlPlane
from app.serving.errors import Draining
from app.serving.fallback import PopularityFallback
from app.serving.live import Answer, LiveVersion, Serving
from app.serving.metrics import ServingMetrics
from app.serving.ranker import RankerLoader, RankingRequest
from app.serving.recommendation import FallbackReason, Recommendation
from app.serving.reconciler import Reconciler
from app.serving.status import EngineStatus
from app.serving.steps import Steps, run, run_soon
from app.serving.suppression import SuppressionSet
from app.serving.takedowns import TakenItems
from app.serving.vouched_floor import VouchedFloor
from model_store import Store


class ServingEngine:
    """One replica: the version that serves, and all that decides who gets it.

    Args:
        loader: loads versions; its catalogue is the engine's.
        store: read for the erasure floor only; the loader reads everything else.
        fallback: the answer for everyone who must not, or cannot, be personalised.
        registry: registry of the metrics; by default one of its own.
        clock: a clock in seconds that goes on while this process is suspended or its machine asleep.
    """

    def __init__(
        self,
        config: ServingConfig,
        loader: RankerLoader,
        store: Store,
        control: ControlPlane,
        fallback: PopularityFallback,
        *,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self.config = config
        self.catalogue = loader.catalogue
        self.metrics = ServingMetrics(registry if registry is not None else CollectorRegistry())
        self._loader = loader
        self._fallback = self._fitting(fallback)
        self._live = LiveVersion()
        self._suppression = SuppressionSet(clock)
        self._taken = TakenItems(loader.catalogue)
        self._cache = ResultCache(config.cache_entries)
        self._draining = False
        self._batcher: MicroBatcher[Serving, RankingRequest, Answer | FallbackReason] = MicroBatcher(
            lambda: self._live.serving,
            Serving.answer,
            token_budget=config.token_budget,
            max_queue=config.max_queue,
            metrics=self.metrics,
            clock=clock,
        )
        self._reconciler = Reconciler(
            config,
            control,
            loader,
            live=self._live,
            suppression=self._suppression,
            taken=self._taken,
            cache=self._cache,
            metrics=self.metrics,
            vouched_floor=lambda: self._vouched.floor,
            clock=clock,
        )
        self._vouched = VouchedFloor(
            store, interval_seconds=config.floor_interval_seconds, on_raise=self._reconciler.poke
        )
        self.metrics.watch_feed(self._suppression.age_seconds, self._suppression.__len__)

    def start(self) -> None:
        """Begin to follow the control plane. Until a version is loaded, all answers are the fallback."""
        self._batcher.start()
        self._vouched.start()
        self._reconciler.start()

    def stop(self) -> bool:
        """Answer queued requests, then end all threads. Afterwards every answer is the fallback.

        Returns:
            Whether all queued requests were answered within ``drain_seconds``.
        """
        self._draining = True
        drained = self._batcher.stop(self.config.drain_seconds)
        self._reconciler.stop(self.config.drain_seconds)
        self._vouched.stop(self.config.drain_seconds)
        return drained

    def wait_for_version(self, timeout_seconds: float) -> bool:
        """Block until a version serves. Returns False if none does in time."""
        return self._live.wait_for_version(timeout_seconds)

    def when_purged(self, also: Callable[[str], object]) -> None:
        """Call this with each subject who is suppressed: what the caller keeps of them must go. Before `start`."""
        self._cache.when_purged(also)

    def poke(self) -> None:
        """Read the control plane now, not only at the next poll."""
        self._reconciler.poke()

    def suppress(self, epoch: int, subject_hmac: str) -> None:
        """Stop personalising for a subject at once. Call right after this replica has committed the acceptance."""
        self._suppression.apply(epoch, subject_hmac)
        self._cache.purge(subject_hmac)

    def is_suppressed(self, subject_hmac: str) -> bool:
        """Whether this replica knows the subject to be suppressed."""
        return subject_hmac in self._suppression

    def suppressed(self) -> frozenset[str]:
        """All subjects whom this replica knows to be suppressed."""
        return frozenset(self._suppression.epochs())

    def suppression_epochs(self) -> dict[str, int]:
        """All subjects whom this replica knows to be suppressed, with the epochs of their suppressions."""
        return self._suppression.epochs()

    def take_down(self, epoch: int, item_id: str) -> None:
        """Never name this item again. Call right after this replica has committed the takedown."""
        self._taken.add([(epoch, item_id)])

    @property
    def taken_down(self) -> frozenset[int]:
        """Catalogue indices of the items that must not be named."""
        return self._taken.indices

    def takedown_epochs(self) -> dict[str, int]:
        """All ids of items that this replica knows to be taken down, with the epochs of their takedowns."""
        return self._taken.epochs()

    def reason_to_fall_back(self, subject_hmac: str) -> FallbackReason | None:
        """Why this subject gets the fallback, whatever their history is; None if their history is to be read."""
        return "draining" if self._draining else self._obstacle(subject_hmac)

    def still_holds(self, subject_hmac: str, answer: Recommendation, k: int) -> Recommendation:
        """The answer, or the fallback if the answer may not be given any more, without items that were taken down
        meanwhile. Call right before it is sent.

        This process may have been suspended since it computed the answer, for seconds or for hours.
        """
        if answer.personalised:
            reason = self._suppression.obstacle(subject_hmac, self.config.lease_seconds)
            if reason is not None:
                return self.fall_back(k, reason)
        return self._taken.without(answer)

    @property
    def feed_is_stale(self) -> bool:
        """Whether the lease on the suppression feed has lapsed. Then nobody is personalised."""
        return self._suppression.is_stale(self.config.lease_seconds)

    @property
    def serves_a_version(self) -> bool:
        """Whether a version is loaded and may serve."""
        return self._live.serving.ranker is not None

    @property
    def base_digest(self) -> str:
        """Digest of the base that every version here shares."""
        return self._loader.base_digest

    @property
    def most_candidates(self) -> int | None:
        """Most candidates that one request may name, and must; None if the whole catalogue is ranked."""
        return self._loader.candidates

    @property
    def needs_ratings(self) -> bool:
        """Whether events are told by their ratings."""
        return self._loader.needs_ratings

    def event(self, item: int, rating: float | None = None) -> int:
        """The event of meeting an item, as histories hold it; see `RankerLoader.event`."""
        return self._loader.event(item, rating)

    def replace_fallback(self, fallback: PopularityFallback) -> None:
        """Use another popularity list from now on. Answers name the list.

        Raises:
            ValueError: the list is for another catalogue.
        """
        self._fallback = self._fitting(fallback).without(self._taken.indices)

    def status(self) -> EngineStatus:
        serving = self._live.serving
        return EngineStatus(
            ready=serving.decided and not self.feed_is_stale and not self._draining,
            draining=self._draining,
            generation=serving.generation,
            live_digest=serving.ranker.digest if serving.ranker else None,
            erasure_floor=serving.floor,
            epoch=self._suppression.epoch,
            feed_age_seconds=self._suppression.age_seconds(),
            queue_depth=self._batcher.queue_depth(),
            resident_versions=self._loader.resident_versions(),
            report=self._reconciler.report,
        )

    def recommend(
        self,
        subject_hmac: str,
        history: Sequence[int],
        k: int,
        *,
        candidates: Sequence[int] | None = None,
        timeout_seconds: float | None = None,
    ) -> Recommendation:
        """The best ``k`` items that the subject has not seen, or the labelled fallback. Blocks the calling thread.

        Args:
            subject_hmac: the subject's pseudonym; not passed to the model or to any metric.
            history: events, oldest first (see `event`); empty for an unknown user.
            k: how many items. Fewer are returned only if fewer are unseen, or fewer are candidates.
            candidates: the only item indices that may be ranked; required if `most_candidates` is not None.
            timeout_seconds: replaces the configured ``request_timeout_seconds``.

        Raises:
            InvalidRequest: ``k`` is not in [1, size of the catalogue], an item or an event is not in the catalogue, or
                the version needs candidates and got none or too many.
            QueueFull, DeadlineExceeded: the engine is too busy; both have ``retry_after_seconds``.
            InferenceFailed: the model failed on this batch.
        """
        return run(self._steps(subject_hmac, history, k, candidates, timeout_seconds), self._batcher.wait)

    async def recommend_soon(
        self,
        subject_hmac: str,
        history: Sequence[int],
        k: int,
        *,
        candidates: Sequence[int] | None = None,
    ) -> Recommendation:
        """`recommend` for the event loop, which goes on while the batch runs. No thread waits for the answer."""
        asked = self._steps(subject_hmac, history, k, candidates, None)
        return await run_soon(asked, self._batcher.answer)

    def _steps(
        self,
        subject_hmac: str,
        history: Sequence[int],
        k: int,
        candidates: Sequence[int] | None,
        timeout_seconds: float | None,
    ) -> Steps[Recommendation]:
        request = checked_request(self._loader, history, k, candidates)
        timeout = self.config.request_timeout_seconds if timeout_seconds is None else timeout_seconds
        outcome = yield from self._personalise(subject_hmac, request, timeout)
        if isinstance(outcome, Answer):
            self.metrics.answers.inc()
            found = Recommendation(outcome.items, True, None, outcome.version, outcome.generation)
            # An item may have been taken down while the last try was under way.
            return self._taken.without(found)
        return self.fall_back(k, outcome)

    def fall_back(self, k: int, reason: FallbackReason) -> Recommendation:
        """The labelled fallback, for a caller that already knows the reason.

        Raises:
            InvalidRequest: ``k`` is not in [1, size of the catalogue].
        """
        fallback, taken = self._fallback, self._taken.indices
        if fallback.left_out is not taken:
            # Threads that do this at once make the same list.
            self._fallback = fallback = fallback.without(taken)
        answer = self._taken.without(fallback.recommend(k, reason))
        self.metrics.fallbacks.labels(reason).inc()
        return answer

    def _personalise(
        self, subject: str, request: RankingRequest, timeout: float
    ) -> Steps[Answer | FallbackReason]:
        if self._draining:
            return "draining"
        for attempt in range(2):
            if attempt:
                self.metrics.repeats.inc()
            if reason := self._obstacle(subject):
                return reason
            if not request.history:
                return "unknown_user"
            asked = request.without(self._taken.indices)
            if asked.candidates == () and request.candidates:
                return "no_candidates"
            answer = yield from self._answer(subject, asked, timeout)
            # Check again: while the batch ran, the subject may have been suppressed, or the lease may have lapsed.
            if reason := self._obstacle(subject):
                self._cache.purge(subject)
                return reason
            if not isinstance(answer, Answer):
                return answer
            # The floor may have risen above the version that computed the answer. Then try again with its successor.
            # If an item of the answer was taken down meanwhile, try again for the best of the others.
            repeat = not attempt and self._taken.names(answer.items)
            if answer.forget_epoch >= self._live.serving.floor and not repeat:
                return answer
        return "below_erasure_floor"

    def _obstacle(self, subject: str) -> FallbackReason | None:
        if reason := self._suppression.obstacle(subject, self.config.lease_seconds):
            return reason
        serving = self._live.serving
        return serving.absence if serving.ranker is None else None

    def _answer(
        self, subject: str, request: RankingRequest, timeout: float
    ) -> Steps[Answer | FallbackReason]:
        serving = self._live.serving
        ranker = serving.ranker
        if ranker is None:
            return serving.absence
        digest = history_digest(request.history, request.candidates)
        key = CacheKey(
            ranker.digest, ranker.catalogue.digest, subject, digest, request.k, len(request.left_out)
        )
        items = self._cache.get(key)
        self.metrics.cache_lookups.labels("miss" if items is None else "hit").inc()
        if items is not None:
            return Answer(items, ranker.digest, serving.generation, ranker.forget_epoch)
        tokens = ranker.tokens(request)
        # Drop the references, so that waiting for a batch does not keep a retired version in memory.
        del serving, ranker
        try:
            waiting = self._batcher.submit(request, tokens=tokens, timeout_seconds=timeout)
        except Draining:
            return "draining"
        answer = yield waiting
        if isinstance(answer, Answer):
            self._cache.put(key._replace(version=answer.version), answer.items)
        return answer

    def _fitting(self, fallback: PopularityFallback) -> PopularityFallback:
        if fallback.catalogue_digest != self.catalogue.digest:
            raise ValueError("the popularity list is for another catalogue")
        return fallback
