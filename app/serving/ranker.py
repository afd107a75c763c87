"""The interface between the engine and the code that computes rankings: loaded versions, and how to load them.

Each way of inference (transformers in this process, a server over HTTP) is a sub-package with a `RankerLoader` and its
`Ranker`s. `app.serving.assembly` chooses one. The engine knows these protocols only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from app.serving.errors import InferenceFailed
from app.serving.recommendation import RankedItem


class RankingRequest(NamedTuple):
    """The events of a history, oldest first, and how many items to rank. It does not name the user.

    An event is what `RankerLoader.event` makes of an item and its rating: for most models the item's index.
    ``candidates`` are the only items that may be ranked; None for the whole catalogue. ``left_out`` are items that must
    not be ranked: they were taken down. No candidate is among them.
    """

    history: tuple[int, ...]
    k: int
    candidates: tuple[int, ...] | None = None
    left_out: frozenset[int] = frozenset()

    def without(self, left_out: frozenset[int]) -> RankingRequest:
        """The request without these items."""
        if self.candidates is None:
            return self._replace(left_out=left_out)
        kept = tuple(item for item in self.candidates if item not in left_out)
        return self._replace(candidates=kept, left_out=left_out)


class Catalogue(Protocol):
    """The items that exist. An index means the same item as long as the digest is the same."""

    @property
    def item_ids(self) -> Sequence[str]: ...

    @property
    def titles(self) -> Sequence[str]: ...

    @property
    def digest(self) -> str: ...

    def index(self, item_id: str) -> int | None:
        """Index of an item id in any of its spellings; None if there is no such item."""

    def __len__(self) -> int: ...


class Ranker(Protocol):
    """One version, loaded and ready to answer. Immutable: a swap replaces the reference to a ranker.

    A ranker does not know the serving pointer, so it may serve under two generations. There is no `close`: batches may
    still use a ranker after the swap, and its memory is freed with the last reference to it.
    """

    @property
    def digest(self) -> str:
        """The version's name."""

    @property
    def forget_epoch(self) -> int:
        """The version covers every suppression up to this epoch: it has forgotten these subjects."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that its item indices refer to."""

    @property
    def lost(self) -> bool:
        """Whether it cannot answer for its version any more. Then it is dropped, and the version loaded anew."""

    def rank(self, requests: Sequence[RankingRequest]) -> Sequence[tuple[RankedItem, ...]]:
        """For each request, in order, the best ``k`` items that are neither in its history nor left out, best first.

        There are fewer than ``k`` if fewer are unseen. Equal scores are ordered by item index. The answer to a request
        does not depend on the other requests in the batch. Called from one thread at a time.

        Raises:
            InferenceFailed: the model computed a value that is not a number.
            VersionLost: what computes has lost the version or does not answer; from now on the ranker is `lost`.
        """

    def tokens(self, request: RankingRequest) -> int:
        """How many tokens a request takes in a batch. The batcher counts them against its token budget."""


class RankerLoader(Protocol):
    """Loads versions as rankers. Safe for any thread."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of all rankers that this loads."""

    @property
    def base_digest(self) -> str:
        """Digest of the base that all rankers share."""

    @property
    def candidates(self) -> int | None:
        """Most candidates that a request may name, and must; None if the rankers rank the whole catalogue."""

    @property
    def needs_ratings(self) -> bool:
        """Whether its rankers tell events by their ratings."""

    @property
    def event_kinds(self) -> int:
        """How many different events there are: each is a number from 0 to below it."""

    def event(self, item: int, rating: float | None) -> int:
        """The event of meeting the item with this index. Without a rating it is not read where they are needed, but
        its item counts as seen all the same.
        """

    def load(self, digest: str, floor: int) -> Ranker:
        """Verify and load a version. This may take seconds, and does not disturb a ranker that serves.

        A version is refused unless its bytes have the digests in its manifest, it covers the erasure floor, it fits
        this replica's base and catalogue, and it computes the canary fingerprint in its manifest.

        Args:
            floor: the erasure floor, the lowest forget epoch that may serve.

        Raises:
            VersionRefused: a subclass says why.
            StoreError: the store cannot be read at the moment; try again later.
        """

    def resident_versions(self) -> tuple[str, ...]:
        """Digests of the versions of which anything is still in memory, sorted. Returns at once.

        The digest of a retired version stays here until its weights have really been freed, not only dropped.
        """

    @property
    def outside_engine(self) -> str | None:
        """What identifies the engine's memory if it outlives this process; None if it ends with it.

        A later process that finds this memory has the same value, and names what is left there as resident.
        """


class Scores(Protocol):
    """What ranks by numbers, whatever computes them: `recommender.Scorer` and `recommender.AskedScorer`."""

    def best(
        self,
        histories: Sequence[Sequence[int]],
        k: Sequence[int],
        candidates: Sequence[Sequence[int] | None],
        left_out: Sequence[Collection[int]],
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """The best items of each history with their scores; see `recommender.Scorer.best`."""


def ranked(
    scores: Scores, catalogue: Catalogue, requests: Sequence[RankingRequest]
) -> list[tuple[RankedItem, ...]]:
    """The best items of each request by these scores; see `Ranker.rank`.

    Raises:
        InferenceFailed: a score is not a number.
    """
    found = scores.best(
        [request.history for request in requests],
        [request.k for request in requests],
        [request.candidates for request in requests],
        [request.left_out for request in requests],
    )
    if any(math.isnan(score) for items in found for _, score in items):
        raise InferenceFailed
    return [
        tuple(
            RankedItem(item, catalogue.item_ids[item], catalogue.titles[item], score) for item, score in items
        )
        for items in found
    ]
