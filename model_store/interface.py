"""What every store does, whatever holds the bytes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_store.checkpoints import Checkpoint
from model_store.content import Content
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
    """What :meth:`Store.destroy` did: the ``deleted`` blobs of the version are gone."""

    version: str
    destroyed_at: str
    deleted: tuple[str, ...]


class Store(Protocol):
    """Immutable bytes. Every object is created once and never changed; only blobs are ever deleted.

    All methods may be called from several threads, processes and hosts at once, and none of them holds a lock: what a
    store relies on is what an object store does (:mod:`model_store.objects`). Which version may be destroyed is not
    decided here. Whoever destroys has decided it in the database, under the ledger's lock, by what can never become
    untrue (`worker.completion`, `worker.sweeping`).

    Any method may raise :class:`~model_store.StoreUnavailable`; those that write, :class:`~model_store.StoreReadOnly`
    and :class:`~model_store.StoreFull`; those that take a digest, :class:`~model_store.InvalidDigest`.
    """

    def publish(self, manifest: Manifest, contents: Mapping[str, Content]) -> str:
        """Publish a version, blobs first and manifest last, and return its digest. The same again is a no-op.

        Durable when it returns. A file is copied piece by piece. Nothing is published whose content is not what the
        manifest says, is not well-formed for its name or was damaged in the store: raises InvalidManifest if the names
        differ, DigestMismatch, HostileArtefact; VersionDestroyed if this version was destroyed, also meanwhile,
        VersionBelowFloor if it covers less than the erasure floor. Raises PublicationSwept if a sweep took its blobs:
        then it must be published as another version.
        """
        ...

    def read_blob(self, version: str, digest: str) -> bytes:
        """A blob of the version, whole in memory, verified against ``digest`` before any of it is returned.

        Raises BlobMissing, VersionDestroyed, DigestMismatch, or HostileArtefact if what stands under the
        name is not an ordinary file.
        """
        ...

    def save_blob(self, version: str, digest: str, path: Path) -> None:
        """The same into a file, piece by piece: it gets the name ``path`` when it is verified."""
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

    def journal(self, known: Collection[int] = ()) -> Iterator[JournalEntry]:
        """The entries in order of epoch, but those of ``known`` epochs: an entry never changes.

        One listing, and one read of each entry. Raises InvalidJournalEntry at an entry that was damaged, and names its
        object.
        """
        ...

    def journal_epochs(self) -> list[int]:
        """The epochs that have an entry, in order, by one listing; no entry is read."""
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
        """Destroy a version: record that (first), then delete its blobs.

        The manifest stays. Call it again after a crash: it ends in the same state, and ``destroyed_at``
        is that of the first call. Deletes the names; what the medium keeps of the bytes is the
        operator's to settle. Raises ManifestMissing.
        """
        ...

    def delete_orphans(self) -> tuple[str, ...]:
        """Delete the blobs of versions that are destroyed or have no manifest; the digests of these versions.

        An interrupted publication leaves such blobs, and an interrupted writer part of one; they can hold weights that
        ought to be gone. What is being written stays. A publication under way between its blobs and its manifest is
        taken for an interrupted one, and refused with PublicationSwept.
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
