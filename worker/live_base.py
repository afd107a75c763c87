"""Checks that this worker holds the base on which a version was made."""

from __future__ import annotations

from dataclasses import replace

from recommender import OtherCatalogue
from worker.process import WorkerProcess
from worker.versions import LoadedVersion


class OtherBase(Exception):
    """The live version belongs to another base, or to other items, than LETHE_BASE held when this worker started:
    restart the worker.
    """

    def __init__(self, what: str | None = None) -> None:
        super().__init__(what or " ".join((self.__doc__ or "").split()))


def require_base_of(process: WorkerProcess, digest: str) -> None:
    """
    Raises:
        OtherBase: this process holds another base, and an edit of the version would put that base in its place.
        StoreError: there is no such version, or its manifest is damaged.
    """
    manifest = process.store.read_manifest(digest)
    if manifest.base_digest != process.base.digest:
        raise OtherBase
    try:
        process.base.with_catalogue(manifest.catalogue_digest, manifest.catalogue_items)
    except OtherCatalogue as error:
        raise OtherBase from error


def on_catalogue_of(process: WorkerProcess, version: LoadedVersion) -> WorkerProcess:
    """The process with the catalogue that the version was made for, without the items that were added since.

    The gate compares readings of an edit with readings from the time of the fit. Both must ask the same questions, and
    new items would be new answers. A consolidation takes the new items into the fit.

    Raises:
        OtherBase: the version was made for other items.
    """
    try:
        base = process.base.with_catalogue(version.catalogue_digest, version.catalogue_items)
    except OtherCatalogue as error:
        raise OtherBase from error
    return process if base is process.base else replace(process, base=base)
