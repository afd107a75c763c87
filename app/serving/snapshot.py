"""One version, loaded: immutable, sharing the base model's tensors, and refused unless it proves to be itself.

Nothing here or after it calls a PEFT method that changes a model: swapping is done by the reference to a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from app.serving.errors import (
    BelowErasureFloor,
    CorruptVersion,
    FingerprintMismatch,
    IncompatibleAdapter,
    InferenceFailed,
    VersionDestroyed,
    WrongBase,
    WrongCatalogue,
)
from app.serving.recommendation import RankedItem
from app.serving.resident import ResidentVersions
from model_store import (
    ADAPTER_WEIGHTS,
    BlobMissing,
    DigestMismatch,
    HostileArtefact,
    InvalidDigest,
    InvalidManifest,
    Manifest,
    ManifestMissing,
    Store,
    VersionBelowFloor,
    read_version,
)
from model_store import VersionDestroyed as DestroyedInStore
from recommender import (
    Adapter,
    AdapterMismatch,
    Base,
    Catalogue,
    ModelLoadError,
    Scorer,
    attach,
    canary_fingerprint,
    fingerprints_match,
    top_k,
)

_NOT_WHAT_WAS_PUBLISHED = (
    InvalidDigest, InvalidManifest, ManifestMissing, BlobMissing, DigestMismatch, HostileArtefact, ModelLoadError,
)  # fmt: skip


class RankingRequest(NamedTuple):
    """Item indices of a history, oldest first, and how many items to rank. Says nothing about whose they are."""

    history: tuple[int, ...]
    k: int


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A version that can answer. It knows nothing of the pointer: the same snapshot may serve two generations.

    ``digest`` is the version's name, ``forget_epoch`` the suppressions it covers, ``catalogue`` what its item
    indices mean. The adapter's tensors live exactly as long as the last reference to the snapshot.
    """

    digest: str
    forget_epoch: int
    catalogue: Catalogue
    scorer: Scorer = field(repr=False)

    def rank(self, requests: Sequence[RankingRequest]) -> list[tuple[RankedItem, ...]]:
        """Per request the best ``k`` items not in its history, best first, ties by catalogue index.

        Fewer than ``k`` if fewer are unseen. One forward pass per token budget of the scorer.

        Raises:
            InferenceFailed: the model computed something that is not a number.
        """
        scores = self.scorer.scores([request.history for request in requests], mask_seen=True)
        if bool(torch.isnan(scores).any()):
            raise InferenceFailed
        widest = max((request.k for request in requests), default=0)
        order = top_k(scores, widest)
        best = scores.gather(1, order)
        return [
            tuple(
                RankedItem(item, self.catalogue.item_ids[item], self.catalogue.titles[item], score)
                for item, score in zip(items[: request.k], values[: request.k], strict=True)
                if score != -torch.inf
            )
            for request, items, values in zip(requests, order.tolist(), best.tolist(), strict=True)
        ]


def build_snapshot(
    store: Store,
    digest: str,
    base: Base,
    floor: int,
    *,
    resident: ResidentVersions | None = None,
    token_budget: int = 8192,
    fingerprint_tolerance: float = 1e-3,
) -> Snapshot:
    """Read, verify and load a version; takes seconds and never touches a model that serves.

    Everything that can be refused from the manifest is refused before a blob is read, and everything that can be
    refused from the bytes before a tensor is made. The canary fingerprint then finds what no hash of the adapter
    can: another base, another scaling, another order of tokens.

    Args:
        floor: the erasure floor, the lowest forget epoch that may serve.
        resident: told of the private tensors, so that their release can be proved.
        fingerprint_tolerance: largest absolute difference between a canary value and the manifest's.

    Raises:
        SnapshotRefused: a subclass says why.
        StoreError: the store cannot be read at the moment; worth another try.
    """
    try:
        manifest = store.read_manifest(digest)
        _check_manifest(manifest, base, floor)
        _, artefacts = read_version(store, digest, [ADAPTER_WEIGHTS])
        adapter = Adapter.from_bytes(manifest.adapter_config, artefacts[ADAPTER_WEIGHTS])
    except VersionBelowFloor as error:
        raise BelowErasureFloor from error
    except DestroyedInStore as error:
        raise VersionDestroyed from error
    except _NOT_WHAT_WAS_PUBLISHED as error:
        raise CorruptVersion(f"{CorruptVersion.__doc__} ({type(error).__name__})") from error
    try:
        model = attach(base, adapter)
    except AdapterMismatch as error:
        raise IncompatibleAdapter(str(error)) from error
    if resident is not None:
        shared = {id(tensor) for tensor in [*base.model.parameters(), *base.model.buffers()]}
        private = [tensor for tensor in [*model.parameters(), *model.buffers()] if id(tensor) not in shared]
        resident.watch(digest, [model, *private])
    scorer = Scorer(model, base.style, token_budget=token_budget)
    computed = canary_fingerprint(scorer)
    if not fingerprints_match(manifest.canary_fingerprint, computed, fingerprint_tolerance):
        raise FingerprintMismatch
    return Snapshot(digest, manifest.forget_epoch, base.catalogue, scorer)


def _check_manifest(manifest: Manifest, base: Base, floor: int) -> None:
    if manifest.forget_epoch < floor:
        raise BelowErasureFloor
    if manifest.base_digest != base.digest:
        raise WrongBase
    if manifest.catalogue_digest != base.catalogue.digest:
        raise WrongCatalogue
