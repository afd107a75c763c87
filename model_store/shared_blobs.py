"""Stores of earlier releases, in which versions shared their blobs: ``blobs/ab/<sha256>``, ab its first two characters.

Whoever opens such a store gives each living version copies of its own and deletes the shared ones. Killed in between,
the next one goes on; where several do it at once, each ends with the same.
"""

import re

from model_store.digests import is_digest
from model_store.errors import DigestMismatch, HostileArtefact, InvalidManifest
from model_store.interface import Store
from model_store.objects import Objects, read_whole

_SHARD = re.compile(r"[0-9a-f]{2}")
_MAX_BLOB_BYTES = 16 * 2**30


def give_each_version_its_blobs(store: Store, objects: Objects, *, leave_damaged: bool) -> None:
    """Do nothing where no blobs are shared.

    Args:
        leave_damaged: keep the shared blobs where a manifest that may name them is damaged, and raise nothing.

    Raises:
        StoreError: the store cannot be read, or cannot be written and would have to be; or a manifest is damaged.
    """
    try:
        shards = list(filter(_SHARD.fullmatch, objects.names("blobs")))
    except HostileArtefact:
        # Whoever reads a blob is told.
        return
    shared = {
        digest: f"blobs/{shard}/{digest}"
        for shard in shards
        for digest in filter(is_digest, objects.names(f"blobs/{shard}"))
    }
    if not shared:
        return
    unread = False
    wanted_by: dict[str, list[str]] = {}
    for version in store.versions():
        if store.is_destroyed(version):
            continue
        try:
            blobs = store.read_manifest(version).blobs.values()
        except (DigestMismatch, HostileArtefact, InvalidManifest):
            if not leave_damaged:
                raise
            # It may be put back from a copy, and then needs what it names.
            unread = True
            continue
        for ref in blobs:
            wanted_by.setdefault(ref.digest, []).append(version)
    # One after the other, so that the copies of one blob are all the room that is needed beside them.
    for digest, key in shared.items():
        for version in wanted_by.get(digest, ()):
            _copy(store, objects, key, version, digest)
        if not unread:
            objects.delete(key)


def _copy(store: Store, objects: Objects, key: str, version: str, digest: str) -> None:
    own = f"blobs/{version}/{digest}"
    # Verified whenever it is read.
    data = None if objects.exists(own) else read_whole(objects, key, _MAX_BLOB_BYTES)
    if data is not None:
        objects.create(own, [data])
        # Whoever destroys says so first and deletes second: what they have not seen is deleted here.
        if store.is_destroyed(version):
            objects.delete(own)
