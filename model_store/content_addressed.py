"""The store's rules over any place that can create, read and delete named bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from model_store.artefacts import check_artefact
from model_store.canonical_json import NotCanonical, decode_canonical, encode
from model_store.checkpoints import Checkpoint, timeline_of
from model_store.digests import check_digest, is_digest, sha256_hex, verify
from model_store.errors import (
    BlobMissing,
    HostileArtefact,
    InvalidJournalEntry,
    JournalConflict,
    ManifestMissing,
    StoreError,
    VersionBelowFloor,
    VersionDestroyed,
)
from model_store.floors import Floor
from model_store.interface import Destruction, StoreHealth
from model_store.journal import JournalEntry
from model_store.manifest import MAX_MANIFEST_BYTES, Manifest
from model_store.numbered import Numbered
from model_store.objects import Objects
from model_store.timelines import Timeline

MAX_BLOB_BYTES = 16 * 2**30
_MAX_TOMBSTONE_BYTES = 4096


class ContentAddressedStore:
    """A :class:`~model_store.Store` over :class:`~model_store.objects.Objects`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._journal = Numbered(objects, JournalEntry)
        self._timelines = Numbered(objects, Timeline)
        self._checkpoints = Numbered(objects, Checkpoint)
        self._floors = Numbered(objects, Floor)

    def put_blob(self, data: bytes) -> str:
        """See :meth:`model_store.Store.put_blob`."""
        if len(data) > MAX_BLOB_BYTES:
            raise HostileArtefact(f"a blob of {len(data)} bytes; the limit is {MAX_BLOB_BYTES}")
        digest = sha256_hex(data)
        if not self._objects.create(_blob_key(digest), data):
            self._read_verified(_blob_key(digest), digest, "blob", MAX_BLOB_BYTES)
        return digest

    def read_blob(self, digest: str) -> bytes:
        """See :meth:`model_store.Store.read_blob`."""
        check_digest(digest)
        data = self._read_verified(_blob_key(digest), digest, "blob", MAX_BLOB_BYTES)
        if data is None:
            raise self._why_missing(digest)
        return data

    def put_manifest(self, manifest: Manifest) -> str:
        """See :meth:`model_store.Store.put_manifest`."""
        data = manifest.to_bytes()
        digest = sha256_hex(data)
        with self._objects.exclusive():
            if self.is_destroyed(digest):
                raise VersionDestroyed(f"version {digest} was destroyed and cannot be published again")
            if manifest.forget_epoch < (floor := self.erasure_floor()):
                raise VersionBelowFloor(
                    f"version {digest} covers epoch {manifest.forget_epoch}, below the erasure floor {floor}"
                )
            for name, ref in manifest.blobs.items():
                check_artefact(name, ref, self.read_blob(ref.digest))
            if not self._objects.create(_manifest_key(digest), data):
                self._read_verified(_manifest_key(digest), digest, "manifest", MAX_MANIFEST_BYTES)
        return digest

    def read_manifest(self, digest: str) -> Manifest:
        """See :meth:`model_store.Store.read_manifest`."""
        check_digest(digest)
        data = self._read_verified(_manifest_key(digest), digest, "manifest", MAX_MANIFEST_BYTES)
        if data is None:
            raise ManifestMissing(
                f"no version {digest} in the store: check the store's address, or publish it first"
            )
        return Manifest.from_bytes(data)

    def append_journal(self, entry: JournalEntry) -> None:
        """See :meth:`model_store.Store.append_journal`."""
        if self._journal.create(entry) or self._is_of_same_subject(entry):
            return
        raise JournalConflict(
            f"epoch {entry.epoch} is already taken by another suppression: the database was restored from a "
            "backup, or two databases share this store. Replay the journal before accepting requests."
        )

    def journal(self, after: int = 0) -> Iterator[JournalEntry]:
        """See :meth:`model_store.Store.journal`."""
        return (self._journal.read(epoch) for epoch in self.journal_epochs() if epoch > after)

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
        with self._objects.exclusive():
            manifest = self.read_manifest(digest)
            destroyed_at = self._entomb(digest)
            names = {ref.digest for ref in manifest.blobs.values()}
            kept = names & self._blobs_of_the_living()
            for blob in sorted(names - kept):
                self._objects.delete(_blob_key(blob))
        return Destruction(
            digest, destroyed_at, deleted=tuple(sorted(names - kept)), kept=tuple(sorted(kept))
        )

    def delete_orphans(self) -> tuple[str, ...]:
        """See :meth:`model_store.Store.delete_orphans`."""
        self._objects.sweep()
        with self._objects.exclusive():
            living = self._blobs_of_the_living()
            stored = [
                name
                for shard in range(256)
                for name in self._objects.names(f"blobs/{shard:02x}")
                if is_digest(name)
            ]
            orphans = tuple(sorted(set(stored) - living))
            for blob in orphans:
                self._objects.delete(_blob_key(blob))
        return orphans

    def is_destroyed(self, digest: str) -> bool:
        """See :meth:`model_store.Store.is_destroyed`."""
        return self._objects.exists(_tombstone_key(check_digest(digest)))

    def versions(self) -> list[str]:
        """See :meth:`model_store.Store.versions`."""
        return sorted(self._names("manifests"))

    def check(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        return self._objects.health()

    def _is_of_same_subject(self, entry: JournalEntry) -> bool:
        try:
            return self._journal.read(entry.epoch).subject_hmac == entry.subject_hmac
        except InvalidJournalEntry:
            return False

    def _read_verified(self, key: str, digest: str, what: str, limit: int) -> bytes | None:
        data = self._objects.read(key, limit)
        return None if data is None else verify(data, digest, what)

    def _entomb(self, digest: str) -> str:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"destroyed_at": moment, "version": digest}
        if self._objects.create(_tombstone_key(digest), encode(record)):
            return moment
        data = self._objects.read(_tombstone_key(digest), _MAX_TOMBSTONE_BYTES)
        try:
            return str(decode_canonical(data or b"")["destroyed_at"])
        except (NotCanonical, TypeError, KeyError) as error:
            raise HostileArtefact(
                f"the tombstone of version {digest} is damaged; it still counts as destroyed"
            ) from error

    def _blobs_of_the_living(self) -> set[str]:
        destroyed = self._names("tombstones")
        living = (self.read_manifest(version) for version in self.versions() if version not in destroyed)
        return {ref.digest for manifest in living for ref in manifest.blobs.values()}

    def _names(self, folder: str) -> set[str]:
        stems = (name.removesuffix(".json") for name in self._objects.names(folder) if name.endswith(".json"))
        return {stem for stem in stems if is_digest(stem)}

    def _why_missing(self, digest: str) -> StoreError:
        for version in self.versions():
            if self.is_destroyed(version) and any(
                ref.digest == digest for ref in self.read_manifest(version).blobs.values()
            ):
                return VersionDestroyed(f"blob {digest} was destroyed with version {version}")
        return BlobMissing(f"no blob {digest} in the store: put it again, or check the store's address")


def _blob_key(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _manifest_key(digest: str) -> str:
    return f"manifests/{digest}.json"


def _tombstone_key(digest: str) -> str:
    return f"tombstones/{digest}.json"
