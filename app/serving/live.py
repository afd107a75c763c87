"""The version that serves now: one immutable value behind one reference."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from app.serving.errors import VersionLost
from app.serving.ranker import Ranker, RankingRequest
from app.serving.recommendation import FallbackReason, RankedItem


@dataclass(frozen=True)
class Answer:
    """Items, with the version and the generation that computed them."""

    items: tuple[RankedItem, ...]
    version: str
    generation: int
    forget_epoch: int


@dataclass(frozen=True, eq=False)
class Serving:
    """A ranker with the generation under which it serves, or the reason why there is none.

    ``floor`` is the highest erasure floor that this replica has read. A ranker below it is never published.

    Raises:
        ValueError: the ranker is below the floor.
    """

    ranker: Ranker | None
    generation: int
    floor: int
    absence: FallbackReason = "no_version"

    def __post_init__(self) -> None:
        if self.ranker is not None and self.ranker.forget_epoch < self.floor:
            raise ValueError("a ranker below the erasure floor may not serve")

    @property
    def decided(self) -> bool:
        """Whether this follows from the serving pointer: a version serves, or none because the last was withdrawn."""
        return self.ranker is not None or self.generation > 0

    def answer(self, requests: Sequence[RankingRequest]) -> list[Answer | FallbackReason]:
        """Answer a whole batch with this one version. A version that is lost meanwhile answers nothing."""
        ranker = self.ranker
        if ranker is None:
            return [self.absence for _ in requests]
        try:
            found = ranker.rank(requests)
        except VersionLost:
            return ["no_version" for _ in requests]
        return [Answer(items, ranker.digest, self.generation, ranker.forget_epoch) for items in found]


NOTHING = Serving(None, 0, 0)


class LiveVersion:
    """The reference that a swap replaces. One thread publishes, and any thread reads, without a lock.

    A reader reads the reference once and uses only that value, so no answer mixes two versions.
    """

    def __init__(self) -> None:
        self._serving = NOTHING
        self._published = threading.Condition()

    @property
    def serving(self) -> Serving:
        return self._serving

    def publish(self, serving: Serving) -> None:
        """Swap to this value.

        Raises:
            ValueError: its erasure floor is lower than the present one.
        """
        if serving.floor < self._serving.floor:
            raise ValueError("the erasure floor only grows")
        with self._published:
            self._serving = serving
            self._published.notify_all()

    def wait_for_version(self, timeout_seconds: float) -> bool:
        """Block until a version serves. Returns False if none does in time."""
        with self._published:
            return self._published.wait_for(lambda: self._serving.ranker is not None, timeout_seconds)
