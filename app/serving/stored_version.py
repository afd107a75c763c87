"""Reads a version from the store and refuses it unless it may serve here. What computes with it comes afterwards."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from app.serving.errors import (
    BelowErasureFloor,
    CorruptVersion,
    VersionDestroyed,
    WrongBase,
    WrongCatalogue,
)
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
from recommender import Adapter, Base, BaseFiles, Catalogue, ModelLoadError, OtherCatalogue

_NOT_WHAT_WAS_PUBLISHED = (
    InvalidDigest, InvalidManifest, ManifestMissing, BlobMissing, DigestMismatch, HostileArtefact, ModelLoadError,
)  # fmt: skip
AnyBase = TypeVar("AnyBase", Base, BaseFiles)


class BaseFacts(Generic[AnyBase]):
    """What every loader says of its base; see `app.serving.ranker.RankerLoader`."""

    def __init__(self, base: AnyBase) -> None:
        self._base: AnyBase = base

    @property
    def catalogue(self) -> Catalogue:
        return self._base.catalogue

    @property
    def base_digest(self) -> str:
        return self._base.digest

    @property
    def candidates(self) -> int | None:
        return self._base.style.candidates

    @property
    def needs_ratings(self) -> bool:
        return self._base.style.needs_ratings

    @property
    def event_kinds(self) -> int:
        return self._base.style.event_kinds

    def event(self, item: int, rating: float | None) -> int:
        return self._base.style.event(item, rating)


class StoredVersion(NamedTuple, Generic[AnyBase]):
    """A version's verified content, and the base with the catalogue that it was made for."""

    manifest: Manifest
    adapter: Adapter
    base: AnyBase


def read_stored_version(store: Store, digest: str, floor: int, base: AnyBase) -> StoredVersion[AnyBase]:
    """Read and verify a version. The manifest is checked before a blob is read, and the bytes before a tensor is made.

    Args:
        floor: the erasure floor, the lowest forget epoch that may serve.

    Raises:
        VersionRefused: it covers too little, fits another base or catalogue, or is not what was published.
        StoreError: the store cannot be read at the moment; try again later.
    """
    try:
        manifest = store.read_manifest(digest)
        as_made = _check_manifest(manifest, base, floor)
        _, artefacts = read_version(store, digest, [ADAPTER_WEIGHTS])
        adapter = Adapter.from_bytes(manifest.adapter_config, artefacts[ADAPTER_WEIGHTS])
    except VersionBelowFloor as error:
        raise BelowErasureFloor from error
    except DestroyedInStore as error:
        raise VersionDestroyed from error
    except _NOT_WHAT_WAS_PUBLISHED as error:
        raise CorruptVersion(f"{CorruptVersion.__doc__} ({type(error).__name__})") from error
    return StoredVersion(manifest, adapter, as_made)


def _check_manifest(manifest: Manifest, base: AnyBase, floor: int) -> AnyBase:
    """The base with the catalogue that the version was made for."""
    if manifest.forget_epoch < floor:
        raise BelowErasureFloor
    if manifest.base_digest != base.digest:
        raise WrongBase
    try:
        return base.with_catalogue(manifest.catalogue_digest, manifest.catalogue_items)
    except OtherCatalogue as error:
        raise WrongCatalogue from error
