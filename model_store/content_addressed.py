"""The store's rules, on top of any place that can create, read, list and delete named bytes.

Publishing, destroying and sweeping may run at the same time without a lock. Two rules make that safe. Each version has
its own blobs, so deleting one version's blobs never removes another's. And each of the three operations first announces
itself by an object that is created once, and only then looks for the announcements of the other two.
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from model_store.artefacts import check_artefact
from model_store.canonical_json import NotCanonical, decode_canonical, encode
from model_store.checkpoints import Checkpoint, timeline_of
from model_store.content import Content, pieces
from model_store.digests import check_digest, checked, is_digest, require_digest, sha256_hex
from model_store.errors import (
    BlobMissing,
    HostileArtefact,
    InvalidJournalEntry,
    InvalidManifest,
    JournalConflict,
    ManifestMissing,
    PublicationSwept,
    StoreUnavailable,
    VersionBelowFloor,
    VersionDestroyed,
)
from model_store.filesystem_errors import translated
from model_store.floors import Floor
from model_store.interface import Destruction, StoreHealth
from model_store.journal import JournalEntry
from model_store.manifest import MAX_MANIFEST_BYTES, BlobRef, Manifest
from model_store.numbered import Numbered
from model_store.objects import Objects, read_whole
from model_store.timelines import Timeline

MAX_BLOB_BYTES = 16 * 2**30
_MAX_TOMBSTONE_BYTES = 4096
# A publication under way may put each blob once more before it sees the tombstone.
_MOST_DELETIONS = 5


class ContentAddressedStore:
    """A :class:`~model_store.Store` over :class:`~model_store.objects.Objects`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._journal = Numbered(objects, JournalEntry)
        self._timelines = Numbered(objects, Timeline)
        self._checkpoints = Numbered(objects, Checkpoint)
        self._floors = Numbered(objects, Floor)

    def publish(self, manifest: Manifest, contents: Mapping[str, Content]) -> str:
        """See :meth:`model_store.Store.publish`."""
        data = manifest.to_bytes()
        digest = sha256_hex(data)
        if contents.keys() != manifest.blobs.keys():
            raise InvalidManifest(
                f"the manifest names {sorted(manifest.blobs)}; given are {sorted(contents)}"
            )
        self._require_publishable(digest, manifest)
        for name, ref in manifest.blobs.items():
            check_artefact(name, ref, contents[name])
        for name, ref in manifest.blobs.items():
            self._put_blob(digest, ref, name, contents[name])
        self._put_manifest(digest, data)
        # Destroying and sweeping announce themselves first and delete second. This checks again after the manifest is
        # written. So either they have seen the manifest, or this check sees their announcement.
        try:
            self._require_publishable(digest, manifest)
        except PublicationSwept:
            # The manifest stays for ever and the blobs are gone. The tombstone shows that the version does not exist.
            self._entomb(digest)
            self._delete_blobs(digest)
            raise
        return digest

    def read_blob(self, version: str, digest: str) -> bytes:
        """See :meth:`model_store.Store.read_blob`."""
        held = io.BytesIO()
        self._copy_blob(version, digest, held.write)
        return held.getvalue()

    def verify_blob(self, version: str, digest: str) -> None:
        """See :meth:`model_store.Store.verify_blob`."""
        self._copy_blob(version, digest, _nowhere)

    def save_blob(self, version: str, digest: str, path: Path) -> None:
        """See :meth:`model_store.Store.save_blob`."""
        unverified = path.with_name(f"{path.name}.unverified")
        try:
            with translated("create", unverified), unverified.open("wb") as file:
                self._copy_blob(version, digest, file.write)
            with translated("create", path):
                unverified.replace(path)
        finally:
            unverified.unlink(missing_ok=True)

    def read_manifest(self, digest: str) -> Manifest:
        """See :meth:`model_store.Store.read_manifest`."""
        check_digest(digest)
        held = io.BytesIO()
        key = _manifest_key(digest)
        if not self._copy_verified(key, digest, "manifest", MAX_MANIFEST_BYTES, held.write):
            raise ManifestMissing(
                f"no version {digest} in the store: check the store's address, or publish it first"
            )
        return Manifest.from_bytes(held.getvalue())

    def append_journal(self, entry: JournalEntry) -> None:
        """See :meth:`model_store.Store.append_journal`."""
        if self._journal.create(entry) or self._says_the_same(entry):
            return
        raise JournalConflict(
            f"epoch {entry.epoch} is already taken by another suppression: the database was restored from a "
            "backup, or two databases share this store. Replay the journal before accepting requests."
        )

    def journal(self, known: Collection[int] = ()) -> Iterator[JournalEntry]:
        """See :meth:`model_store.Store.journal`."""
        return self._journal.read_all([epoch for epoch in self.journal_epochs() if epoch not in known])

    def journal_epochs(self) -> list[int]:
        """See :meth:`model_store.Store.journal_epochs`."""
        return self._journal.numbers()

    def start_timeline(self, timeline: Timeline) -> bool:
        """See :meth:`model_store.Store.start_timeline`."""
        return self._timelines.create(timeline) or self._timelines.read(timeline.number) == timeline

    def newest_timeline(self) -> Timeline | None:
        """See :meth:`model_store.Store.newest_timeline`."""
        numbers = self._timelines.numbers()
        return self._timelines.read(numbers[-1]) if numbers else None

    def put_checkpoint(self, checkpoint: Checkpoint) -> bool:
        """See :meth:`model_store.Store.put_checkpoint`."""
        return self._checkpoints.create(checkpoint) or self._checkpoints.read(checkpoint.place) == checkpoint

    def newest_checkpoints(self) -> dict[int, Checkpoint]:
        """See :meth:`model_store.Store.newest_checkpoints`."""
        newest = {timeline_of(place): place for place in self._checkpoints.numbers()}
        return {timeline: self._checkpoints.read(place) for timeline, place in newest.items()}

    def raise_floor(self, floor: Floor) -> None:
        """See :meth:`model_store.Store.raise_floor`."""
        if not self._floors.create(floor):
            self._floors.read(floor.epoch)

    def erasure_floor(self) -> int:
        """See :meth:`model_store.Store.erasure_floor`."""
        epochs = self._floors.numbers()
        return self._floors.read(epochs[-1]).epoch if epochs else 0

    def destroy(self, digest: str) -> Destruction:
        """See :meth:`model_store.Store.destroy`."""
        manifest = self.read_manifest(digest)
        destroyed_at = self._entomb(digest)
        left = [digest]
        for _ in range(_MOST_DELETIONS):
            self._delete_blobs(digest)
            left = self._blobs_of(digest)
            if not left:
                break
        if left:
            raise StoreUnavailable(
                f"{len(left)} blobs of version {digest} were deleted and are still there: the place does not do what "
                "it says, or somebody puts them back"
            )
        return Destruction(
            digest, destroyed_at, deleted=tuple(sorted({ref.digest for ref in manifest.blobs.values()}))
        )

    def delete_orphans(self) -> tuple[str, ...]:
        """See :meth:`model_store.Store.delete_orphans`."""
        self._objects.sweep()
        versions = filter(is_digest, self._objects.names("blobs"))
        return tuple(sorted(version for version in versions if self._sweep_blobs(version)))

    def orphans(self) -> tuple[str, ...]:
        """See :meth:`model_store.Store.orphans`."""
        return tuple(
            sorted(
                version
                for version in filter(is_digest, self._objects.names("blobs"))
                if (self.is_destroyed(version) or not self._objects.exists(_manifest_key(version)))
                and self._blobs_of(version)
            )
        )

    def is_destroyed(self, digest: str) -> bool:
        """See :meth:`model_store.Store.is_destroyed`."""
        return self._objects.exists(_tombstone_key(check_digest(digest)))

    def versions(self) -> list[str]:
        """See :meth:`model_store.Store.versions`."""
        return sorted(self._names("manifests"))

    def check(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        return self._objects.health()

    def _says_the_same(self, entry: JournalEntry) -> bool:
        try:
            held = self._journal.read(entry.epoch)
        except InvalidJournalEntry:
            return False
        # Entries of an earlier release do not name their request.
        return (
            (held.subject_hmac, held.lifted, held.selection is None, held.item)
            == (entry.subject_hmac, entry.lifted, entry.selection is None, entry.item)
        ) and (None in (held.request, entry.request) or held.request == entry.request)

    def _require_publishable(self, digest: str, manifest: Manifest) -> None:
        if self.is_destroyed(digest):
            raise VersionDestroyed(f"version {digest} was destroyed and cannot be published again")
        if self._objects.exists(_swept_key(digest)):
            raise PublicationSwept(f"version {digest} was swept before its manifest was there")
        if manifest.forget_epoch < (floor := self.erasure_floor()):
            raise VersionBelowFloor(
                f"version {digest} covers epoch {manifest.forget_epoch}, below the erasure floor {floor}"
            )

    def _put_blob(self, version: str, ref: BlobRef, name: str, content: Content) -> None:
        if ref.bytes > MAX_BLOB_BYTES:
            raise HostileArtefact(f"a blob of {ref.bytes} bytes; the limit is {MAX_BLOB_BYTES}")
        key = _blob_key(version, ref.digest)
        if not self._objects.create(key, checked(pieces(content), ref.digest, name)):
            self._copy_verified(key, ref.digest, "blob", MAX_BLOB_BYTES, _nowhere)

    def _put_manifest(self, digest: str, data: bytes) -> None:
        if not self._objects.create(_manifest_key(digest), [data]):
            self._copy_verified(_manifest_key(digest), digest, "manifest", MAX_MANIFEST_BYTES, _nowhere)

    def _sweep_blobs(self, version: str) -> bool:
        """Delete the blobs of a version that is destroyed or has no manifest. Returns whether there were any."""
        if not self._blobs_of(version):
            return False
        if not self.is_destroyed(version):
            if self._objects.exists(_manifest_key(version)):
                return False
            # This object stays for ever: a publisher that wakes up a week later must still see it.
            self._objects.create(_swept_key(version), [encode({"version": version})])
            if self._objects.exists(_manifest_key(version)):
                return False
        self._delete_blobs(version)
        return True

    def _blobs_of(self, version: str) -> list[str]:
        return sorted(filter(is_digest, self._objects.names(f"blobs/{version}")))

    def _delete_blobs(self, version: str) -> None:
        for blob in self._blobs_of(version):
            self._objects.delete(_blob_key(version, blob))

    def _copy_blob(self, version: str, digest: str, write: Callable[[bytes], object]) -> None:
        check_digest(version)
        check_digest(digest)
        if self._copy_verified(_blob_key(version, digest), digest, "blob", MAX_BLOB_BYTES, write):
            return
        if self.is_destroyed(version):
            raise VersionDestroyed(f"blob {digest} was destroyed with version {version}")
        raise BlobMissing(
            f"no blob {digest} of version {version} in the store: put it back from a copy, or check the store's address"
        )

    def _copy_verified(
        self, key: str, digest: str, what: str, limit: int, write: Callable[[bytes], object]
    ) -> bool:
        actual = hashlib.sha256()

        def pass_on(piece: bytes) -> None:
            actual.update(piece)
            write(piece)

        found = self._objects.read(key, limit, pass_on)
        if found:
            require_digest(actual.hexdigest(), digest, what)
        return found

    def _entomb(self, digest: str) -> str:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"destroyed_at": moment, "version": digest}
        if self._objects.create(_tombstone_key(digest), [encode(record)]):
            return moment
        data = read_whole(self._objects, _tombstone_key(digest), _MAX_TOMBSTONE_BYTES)
        try:
            return str(decode_canonical(data or b"")["destroyed_at"])
        except (NotCanonical, TypeError, KeyError) as error:
            raise HostileArtefact(
                f"the tombstone of version {digest} is damaged; it still counts as destroyed"
            ) from error

    def _names(self, folder: str) -> set[str]:
        stems = (name.removesuffix(".json") for name in self._objects.names(folder) if name.endswith(".json"))
        return {stem for stem in stems if is_digest(stem)}


def _nowhere(_piece: bytes) -> None:
    """Discards the bytes, for a caller that only verifies them."""


def _blob_key(version: str, digest: str) -> str:
    return f"blobs/{version}/{digest}"


def _manifest_key(digest: str) -> str:
    return f"manifests/{digest}.json"


def _tombstone_key(digest: str) -> str:
    return f"tombstones/{digest}.json"


def _swept_key(digest: str) -> str:
    return f"swept/{digest}.json"
