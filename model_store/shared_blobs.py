"""Stores of earlier releases, in which versions shared blobs: ``blobs/ab/<sha256>``, ab its first two characters.

The process that opens such a store gives each version that is not destroyed its own copies, and deletes the shared
blobs. If it is killed, the next process goes on. Several processes may do it at once, with the same result.
"""

import re

from model_store.digests import is_digest
from model_store.errors import DigestMismatch, HostileArtefact, InvalidManifest
from model_store.interface import Store
from model_store.objects import Objects, read_whole

_SHARD = re.compile(r"[0-9a-f]{2}")
_MAX_BLOB_BYTES = 16 * 2**30


def give_each_version_its_blobs(store: Store, objects: Objects, *, leave_damaged: bool) -> None:
    """Give each version its own copies of shared blobs. Does nothing if no blobs are shared.

    Args:
        leave_damaged: if a manifest is damaged, keep all shared blobs, which it may name, and raise nothing.

    Raises:
        StoreError: the store cannot be read, cannot be written although it must be, or a manifest is damaged.
    """
    try:
        shards = list(filter(_SHARD.fullmatch, objects.names("blobs")))
    except HostileArtefact:
        # The next reader of a blob gets the error.
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
            # The manifest may be restored from a copy, and then needs the blobs that it names.
            unread = True
            continue
        for ref in blobs:
            wanted_by.setdefault(ref.digest, []).append(version)
    # One blob after the other, so that only the copies of one blob need additional room.
    for digest, key in shared.items():
        for version in wanted_by.get(digest, ()):
            _copy(store, objects, key, version, digest)
        if not unread:
            objects.delete(key)


def _copy(store: Store, objects: Objects, key: str, version: str, digest: str) -> None:
    own = f"blobs/{version}/{digest}"
    # Not verified here: every reader of the copy verifies it.
    data = None if objects.exists(own) else read_whole(objects, key, _MAX_BLOB_BYTES)
    if data is not None:
        objects.create(own, [data])
        # Destroying announces itself first and deletes second, so it may have missed this copy. Then delete it here.
        if store.is_destroyed(version):
            objects.delete(own)
