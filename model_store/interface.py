"""What every store does, whatever holds the bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from model_store.checkpoints import Checkpoint
from model_store.floors import Floor
from model_store.journal import JournalEntry
from model_store.manifest import Manifest
from model_store.timelines import Timeline


@dataclass(frozen=True)
class StoreHealth:
    """Whether a small object can be written now. ``free_bytes`` is None where there is no such figure."""

    writable: bool
    free_bytes: int | None
    detail: str = ""


@dataclass(frozen=True)
class Destruction:
    """What :meth:`Store.destroy` left: ``deleted`` blobs are gone, ``kept`` ones serve another version."""

    version: str
    destroyed_at: str
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


class Store(Protocol):
    """Immutable bytes. Every object is created once and never changed; only blobs are ever deleted.

    All methods may be called from several threads and processes at once. Any of them may raise
    :class:`~model_store.StoreUnavailable`; those that write, :class:`~model_store.StoreReadOnly` and
    :class:`~model_store.StoreFull`; those that take a digest, :class:`~model_store.InvalidDigest`.
    """

    def put_blob(self, data: bytes) -> str:
        """Store ``data`` and return its digest. The same bytes again are a no-op.

        Durable when it returns. Raises DigestMismatch if damaged bytes already stand under that name.
        """
        ...

    def read_blob(self, digest: str) -> bytes:
        """The blob's bytes, verified against ``digest`` before any is returned.

        Raises BlobMissing, VersionDestroyed, DigestMismatch, or HostileArtefact if what stands under the
        name is not an ordinary file.
        """
        ...

    def put_manifest(self, manifest: Manifest) -> str:
        """Publish a version and return its digest. The same manifest again is a no-op.

        Every blob must be in the store, verify, have the stated size, and be well-formed for its name:
        raises BlobMissing, DigestMismatch, HostileArtefact, InvalidManifest; VersionDestroyed if this
        version was destroyed before, VersionBelowFloor if it covers less than the erasure floor.
        """
        ...

    def read_manifest(self, digest: str) -> Manifest:
        """The version's manifest, also after its destruction.

        Raises ManifestMissing, DigestMismatch, InvalidManifest, HostileArtefact.
        """
        ...

    def append_journal(self, entry: JournalEntry) -> None:
        """Record a suppression. The same subject again is a no-op, and the first entry stays.

        Raises JournalConflict if the epoch is another subject's.
        """
        ...

    def journal(self, after: int = 0) -> Iterator[JournalEntry]:
        """The entries with an epoch greater than ``after``, in order of epoch.

        Raises InvalidJournalEntry at an entry that was damaged, and names its object.
        """
        ...

    def journal_epochs(self) -> list[int]:
        """The epochs that have an entry, in order; no entry is read."""
        ...

    def start_timeline(self, timeline: Timeline) -> bool:
        """Record a timeline; whether it is this one that stands under its number now.

        The same again is a no-op. Raises InvalidTimeline if what stands there was damaged.
        """
        ...

    def newest_timeline(self) -> Timeline | None:
        """The timeline of the greatest number, or None before the first.

        Raises InvalidTimeline if it was damaged.
        """
        ...

    def put_checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Record how far the audit log has come; whether it is this that stands there for its entry now.

        The same again is a no-op. Raises InvalidCheckpoint if what stands there was damaged.
        """
        ...

    def newest_checkpoints(self) -> dict[int, Checkpoint]:
        """The last checkpoint of each timeline that has one, by the timeline's number, in order.

        Raises InvalidCheckpoint if one was damaged.
        """
        ...

    def raise_floor(self, floor: Floor) -> None:
        """Record an erasure floor; a lower one than the greatest changes nothing.

        Raises InvalidFloor if what stands there was damaged.
        """
        ...

    def erasure_floor(self) -> int:
        """The greatest floor that was ever recorded, 0 before the first.

        Raises InvalidFloor if it was damaged.
        """
        ...

    def destroy(self, digest: str) -> Destruction:
        """Destroy a version: record that (first), then delete the blobs that no living version names.

        The manifest stays. Call it again after a crash: it ends in the same state, and ``destroyed_at``
        is that of the first call. Deletes the names; what the medium keeps of the bytes is the
        operator's to settle. Raises ManifestMissing.
        """
        ...

    def delete_orphans(self) -> tuple[str, ...]:
        """Delete every blob that no living version names, and return their digests.

        An interrupted publication leaves such blobs, and an interrupted writer part of one; they can hold weights that
        ought to be gone. What is being written stays. A publication under way between its blobs and its manifest loses
        the blobs and is refused with BlobMissing: it must put them again.
        """
        ...

    def is_destroyed(self, digest: str) -> bool:
        """Whether the destruction of that version was recorded, even if deleting was interrupted."""
        ...

    def versions(self) -> list[str]:
        """The digests of all published versions, destroyed ones included, sorted."""
        ...

    def check(self) -> StoreHealth:
        """Try a small write and look at the free space. Never raises."""
        ...
