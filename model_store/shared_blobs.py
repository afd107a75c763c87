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


def give_each_version_its_blobs(store: Store, objects: Objects) -> None:
    """Do nothing where no blobs are shared.

    Raises:
        StoreError: the store cannot be read, or cannot be written and would have to be.
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
    for version in store.versions():
        if store.is_destroyed(version):
            continue
        try:
            wanted = {ref.digest for ref in store.read_manifest(version).blobs.values()}
        except (DigestMismatch, HostileArtefact, InvalidManifest):
            # It may be put back from a copy, and then needs what it names.
            unread = True
            continue
        for digest in wanted & shared.keys():
            # Verified whenever it is read.
            data = read_whole(objects, shared[digest], _MAX_BLOB_BYTES)
            if data is not None:
                objects.create(f"blobs/{version}/{digest}", [data])
    if not unread:
        for key in shared.values():
            objects.delete(key)
