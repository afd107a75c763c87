"""Loads a version from the store as a model in memory, and refuses it unless all checks hold.

Nothing here calls a PEFT method that changes a model, because all versions share the base, even the one that serves.
"""

from __future__ import annotations

import torch
import transformers

from app.failures import naming
from app.serving.errors import FingerprintMismatch, IncompatibleAdapter
from app.serving.resident import ResidentVersions
from app.serving.stored_version import BaseFacts, read_stored_version
from app.serving.transformers_ranker.ranker import TransformersRanker
from app.settings import Settings
from model_store import Store
from recommender import (
    AdapterMismatch,
    Base,
    RecommenderError,
    Scorer,
    attach,
    canary_fingerprint,
    fingerprint_tolerance,
    fingerprints_match,
    load_base,
    require_device,
)


class TransformersLoader(BaseFacts[Base]):
    """Loads versions onto one base, which all of them share and none of them changes.

    Args:
        token_budget: most tokens of one forward pass, padding included.
        tolerance: largest absolute difference allowed between a canary value and the manifest's; None for that of
            the base's precision.
    """

    def __init__(
        self, base: Base, store: Store, *, token_budget: int = 8192, tolerance: float | None = None
    ) -> None:
        self.resident = ResidentVersions()
        super().__init__(base)
        self._store = store
        self._token_budget = token_budget
        self._tolerance = fingerprint_tolerance(base) if tolerance is None else tolerance

    def load(self, digest: str, floor: int) -> TransformersRanker:
        """Read, verify and load a version; see `RankerLoader.load`.

        The canary fingerprint finds what no digest of the adapter can: another base, another scaling, another order of
        tokens.
        """
        base = self._base
        manifest, adapter, as_made = read_stored_version(self._store, digest, floor, base)
        try:
            model = attach(base, adapter)
        except AdapterMismatch as error:
            raise IncompatibleAdapter(str(error)) from error
        shared = {id(tensor) for tensor in [*base.model.parameters(), *base.model.buffers()]}
        private = [tensor for tensor in [*model.parameters(), *model.buffers()] if id(tensor) not in shared]
        self.resident.watch(digest, [model, *private])
        # The catalogue may have grown since. Compute the fingerprint over the items that existed then.
        computed = canary_fingerprint(Scorer(model, as_made.style, token_budget=self._token_budget))
        if not fingerprints_match(manifest.canary_fingerprint, computed, self._tolerance):
            raise FingerprintMismatch
        scorer = Scorer(model, base.style, token_budget=self._token_budget)
        return TransformersRanker(digest, manifest.forget_epoch, base.catalogue, scorer)

    def resident_versions(self) -> tuple[str, ...]:
        return self.resident.versions()

    @property
    def outside_engine(self) -> None:
        return None


def open_loader(settings: Settings, store: Store, *, token_budget: int) -> TransformersLoader:
    """A loader with the base that the settings name. This loads the base.

    Raises:
        recommender.RecommenderError: the base is missing or unusable, or the device does not exist.
    """
    torch.set_num_threads(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    with naming("LETHE_DEVICE", RecommenderError):
        require_device(settings.device)
    with naming("LETHE_BASE", RecommenderError):
        base = load_base(settings.base, device=settings.device)
    return TransformersLoader(base, store, token_budget=token_budget)
