"""The base that a version was made on, as this worker holds it."""

from __future__ import annotations

from dataclasses import replace

from recommender import OtherCatalogue
from worker.process import WorkerProcess
from worker.versions import LoadedVersion


class OtherBase(Exception):
    """The live version belongs to another base, or to other items, than LETHE_BASE held when this worker started:
    restart the worker.
    """

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


def require_base_of(process: WorkerProcess, digest: str) -> None:
    """
    Raises:
        OtherBase: an edit of this version, on this process's base, would put that base in its place.
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
    """The process with the items that the version was made for, where items were added since.

    What is read of an edit is compared with what was read of users when the version was fitted: both have to ask the
    same questions, and new items are new answers. A consolidation takes the new items into the fit.

    Raises:
        OtherBase: it was made for other items.
    """
    try:
        base = process.base.with_catalogue(version.catalogue_digest, version.catalogue_items)
    except OtherCatalogue as error:
        raise OtherBase from error
    return process if base is process.base else replace(process, base=base)
