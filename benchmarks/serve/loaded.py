"""A version, loaded as the gateway loads it, without the gateway: base, adapter and scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_store import ADAPTER_WEIGHTS, open_store, read_version
from recommender import Adapter, Base, Scorer, attach


@dataclass(frozen=True)
class Loaded:
    """Ranks as the gateway does, for whole batches."""

    base: Base
    scorer: Scorer

    def rank(
        self, histories: Sequence[Sequence[int]], ks: Sequence[int]
    ) -> list[list[tuple[str, str, float]]]:
        """For each history the best `k` items that are not in it: id, title and score."""
        catalogue = self.base.catalogue
        return [
            [(catalogue.item_ids[item], catalogue.titles[item], score) for item, score in items]
            for items in self.scorer.best(histories, ks)
        ]


def load(base: Base, store: str, digest: str) -> Loaded:
    manifest, blobs = read_version(open_store(store), digest, [ADAPTER_WEIGHTS])
    adapter = Adapter.from_bytes(manifest.adapter_config, blobs[ADAPTER_WEIGHTS])
    return Loaded(base, Scorer(attach(base, adapter), base.style))
