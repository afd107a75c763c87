"""A version as the worker needs it: its adapter, how it was fitted, and whom the fit has read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as library_version
from typing import Any

from app.db.base import utc_now
from app.readers.readership import READERSHIP, Readership, read_readership
from model_store import ADAPTER_WEIGHTS, BlobRef, Manifest, PublicationSwept, Store, read_version
from recommender import Adapter, AdapterConfig, Base, Scorer, TrainingConfig, attach, canary_fingerprint
from worker.readership_artefact import readership_artefact

ARTEFACTS = "method_artefacts.safetensors"
_MOST_TRIES = 5
_LIBRARIES = ("numpy", "peft", "safetensors", "torch", "transformers")


@dataclass(frozen=True)
class FitRecord:
    """How an adapter was fitted, and on which events: those with an id up to ``watermark``.

    The fit left out the events of everyone suppressed up to ``excludes_up_to_epoch``. An edited adapter keeps the
    record of the fit that it descends from.
    """

    watermark: int
    training: TrainingConfig
    adapter_config: AdapterConfig
    excludes_up_to_epoch: int = 0

    def left_out(self, epochs: Mapping[str, int]) -> frozenset[str]:
        """Those of these suppressed people (with their epochs) whose events the fit left out."""
        return frozenset(subject for subject, epoch in epochs.items() if epoch <= self.excludes_up_to_epoch)

    def to_plain(self) -> dict[str, Any]:
        return {
            "watermark": self.watermark,
            "training": self.training.to_plain(),
            "adapter_config": self.adapter_config.to_plain(),
            "excludes_up_to_epoch": self.excludes_up_to_epoch,
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> FitRecord:
        return cls(
            watermark=int(data["watermark"]),
            training=TrainingConfig.from_plain(data["training"]),
            adapter_config=AdapterConfig.from_plain(data["adapter_config"]),
            # The first versions ever written lack this field: nobody is known to have been left out.
            excludes_up_to_epoch=int(data.get("excludes_up_to_epoch", 0)),
        )


@dataclass(frozen=True)
class LoadedVersion:
    """A version to work on.

    `exact` is true if the adapter is a fit and not an edit of one. `readership` is None if it was not recorded.
    `catalogue_digest` and `catalogue_items` are of the catalogue that it was made for, see `Base.with_catalogue`.
    """

    digest: str
    adapter: Adapter
    fit: FitRecord
    readership: Readership | None
    exact: bool
    catalogue_digest: str
    catalogue_items: int | None


def read_fit_record(store: Store, digest: str) -> FitRecord:
    """
    Raises:
        StoreError: there is no such version, or its manifest is damaged.
    """
    return FitRecord.from_plain(store.read_manifest(digest).trained_on)


def load_version(store: Store, digest: str) -> LoadedVersion:
    """Read a version from the store. Digests and headers are checked before a tensor is made.

    Raises:
        StoreError: something is missing, damaged or destroyed.
    """
    manifest, blobs = read_version(store, digest, [ADAPTER_WEIGHTS])
    return LoadedVersion(
        digest=digest,
        adapter=Adapter.from_bytes(manifest.adapter_config, blobs[ADAPTER_WEIGHTS]),
        fit=FitRecord.from_plain(manifest.trained_on),
        readership=read_readership(store, digest),
        # The report of a first version has no such field, because no run made it.
        exact=bool(manifest.report.get("exact", True)),
        catalogue_digest=manifest.catalogue_digest,
        catalogue_items=manifest.catalogue_items,
    )


def store_version(
    store: Store,
    base: Base,
    adapter: Adapter,
    *,
    parent: str | None,
    forget_epoch: int,
    method: str,
    config: Mapping[str, Any],
    report: Mapping[str, Any],
    policy_hash: str | None,
    fit: FitRecord,
    readership: Readership | None,
    artefacts: Mapping[str, bytes],
) -> str:
    """Put an adapter into the store, first the blobs and then the manifest; the version's digest.

    The version does not serve yet: only the serving pointer decides that. An interrupted call leaves blobs that no
    manifest names. A run that completes meanwhile may delete these blobs as orphans; then they are put again, and the
    version gets another time of creation and so another digest.

    Args:
        readership: whom the adapter's fit has read (the fit that it is or descends from); None if it was not recorded.

    Raises:
        StoreError: the store is read-only, full or unreachable.
    """
    blobs = {ADAPTER_WEIGHTS: adapter.to_bytes(), **artefacts}
    if readership is not None:
        blobs[READERSHIP] = readership_artefact(readership)
    fingerprint = canary_fingerprint(Scorer(attach(base, adapter), base.style))
    for left in reversed(range(_MOST_TRIES)):
        try:
            return store.publish(
                Manifest(
                    base_digest=base.digest,
                    catalogue_digest=base.catalogue_digest,
                    catalogue_items=len(base.catalogue),
                    parent=parent,
                    forget_epoch=forget_epoch,
                    method=method,
                    config=dict(config),
                    report=dict(report),
                    policy_hash=policy_hash,
                    canary_fingerprint=fingerprint,
                    adapter_config=dict(adapter.config),
                    blobs={name: BlobRef.of(data) for name, data in blobs.items()},
                    trained_on=fit.to_plain(),
                    created_at=utc_now().isoformat(),
                    library_versions={name: library_version(name) for name in _LIBRARIES},
                ),
                blobs,
            )
        except PublicationSwept:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")
