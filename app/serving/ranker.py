"""The seam between the engine and whatever computes a ranking: what every loaded version can do, and how one is loaded.

A way of inference (transformers in this process, a server over HTTP) is one sub-package with a `RankerLoader` and its
`Ranker`s. `app.serving.assembly` chooses it; the engine is given it and knows these protocols only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from app.serving.recommendation import RankedItem


class RankingRequest(NamedTuple):
    """The events of a history, oldest first, and how many items to rank. Says nothing about whose they are.

    An event is what `RankerLoader.event` makes of an item and its rating: for most models the item's index.
    ``candidates`` are the only items that may be ranked, None for the whole catalogue.
    """

    history: tuple[int, ...]
    k: int
    candidates: tuple[int, ...] | None = None


class Catalogue(Protocol):
    """The items there are; an item index means the same item for as long as the digest is the same."""

    @property
    def item_ids(self) -> Sequence[str]: ...

    @property
    def titles(self) -> Sequence[str]: ...

    @property
    def digest(self) -> str: ...

    def index(self, item_id: str) -> int | None:
        """Index of an item id in any of its spellings, None if there is no such item."""

    def __len__(self) -> int: ...


class Ranker(Protocol):
    """One version, loaded and ready to answer. Immutable: to swap is to exchange the reference to a ranker.

    It knows nothing of the serving pointer, so one ranker may serve under two generations. There is no `close`:
    batches may still hold a ranker after the swap, and what it occupies is given back with the last reference to it.
    """

    @property
    def digest(self) -> str:
        """The version's name."""

    @property
    def forget_epoch(self) -> int:
        """Every suppression up to this epoch is covered: the version has forgotten those subjects."""

    @property
    def catalogue(self) -> Catalogue:
        """What its item indices mean."""

    def rank(self, requests: Sequence[RankingRequest]) -> Sequence[tuple[RankedItem, ...]]:
        """For each request, in order, the best ``k`` items that are not in its history; best first.

        Fewer than ``k`` if fewer are unseen. Equal scores are ordered by item index. The answer to a request does not
        depend on the others in the batch. Called from one thread at a time.

        Raises:
            InferenceFailed: the model computed something that is not a number.
        """

    def tokens(self, request: RankingRequest) -> int:
        """The tokens that a request takes up in a batch; the batcher fills its token budget by them."""


class RankerLoader(Protocol):
    """Turns versions into rankers. Safe for any thread."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of every ranker that this loads."""

    @property
    def base_digest(self) -> str:
        """Of the base model that all of them share."""

    @property
    def candidates(self) -> int | None:
        """Most candidates that a request to its rankers may name, and must; None if they rank the whole catalogue."""

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
        """Verify a version and make it ready to answer; may take seconds and disturbs no ranker that serves.

        A version is refused unless its bytes have the digests that its manifest gives, it covers the erasure floor,
        it fits this replica's base model and catalogue, and it computes the canary fingerprint in its manifest.

        Args:
            floor: the erasure floor, the lowest forget epoch that may serve.

        Raises:
            VersionRefused: a subclass says why.
            StoreError: the store cannot be read at the moment; worth another try.
        """

    def resident_versions(self) -> tuple[str, ...]:
        """Digests of the versions of which anything is still in memory, sorted; returns at once.

        A forgotten version counts as released by evidence, not by intention: its digest stays here until its weights
        are gone.
        """
