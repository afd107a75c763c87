"""The interface of every store, whatever holds the bytes."""

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
    """Whether a small object can be written now. ``free_bytes`` is None if the place reports no free space."""

    writable: bool
    free_bytes: int | None
    detail: str = ""


@dataclass(frozen=True)
class Destruction:
    """The result of :meth:`Store.destroy`: the ``deleted`` blobs of the version are gone."""

    version: str
    destroyed_at: str
    deleted: tuple[str, ...]


class Store(Protocol):
    """Immutable bytes. Every object is created once and never changed; only blobs are ever deleted.

    All methods may be called from several threads, processes and hosts at once. None holds a lock: a store relies only
    on what an object store guarantees (:mod:`model_store.objects`). The store does not decide which version may be
    destroyed. The caller decides that in the database, under the ledger's lock, from facts that can never become
    untrue (`worker.completion`, `worker.sweeping`).

    Any method may raise :class:`~model_store.StoreUnavailable`; those that write, :class:`~model_store.StoreReadOnly`
    and :class:`~model_store.StoreFull`; those that take a digest, :class:`~model_store.InvalidDigest`.
    """

    def publish(self, manifest: Manifest, contents: Mapping[str, Content]) -> str:
        """Publish a version, blobs first and manifest last, and return its digest. A repeat is a no-op.

        The version is durable when this returns. Files are copied piece by piece. Content is refused if it is not what
        the manifest says, is malformed, or was damaged in the store.

        Raises InvalidManifest if ``contents`` and the manifest name different blobs; DigestMismatch; HostileArtefact;
        VersionDestroyed if the version was destroyed, before or during this call; VersionBelowFloor if it covers less
        than the erasure floor; PublicationSwept if a sweep took its blobs: publish it as another version then.
        """
        ...

    def read_blob(self, version: str, digest: str) -> bytes:
        """A blob of the version, whole in memory and verified against ``digest``.

        Raises BlobMissing, VersionDestroyed, DigestMismatch, or HostileArtefact if the name does not belong to an
        ordinary file.
        """
        ...

    def verify_blob(self, version: str, digest: str) -> None:
        """Read a blob, piece by piece, and keep nothing. Raises as :meth:`read_blob` does."""
        ...

    def save_blob(self, version: str, digest: str, path: Path) -> None:
        """Write a blob into a file, piece by piece. The file gets the name ``path`` only after it is verified.

        Raises as :meth:`read_blob` does.
        """
        ...

    def read_manifest(self, digest: str) -> Manifest:
        """The version's manifest, which outlives the version's destruction.

        Raises ManifestMissing, DigestMismatch, InvalidManifest, HostileArtefact.
        """
        ...

    def append_journal(self, entry: JournalEntry) -> None:
        """Record a suppression. A second entry of the same subject for this epoch is a no-op: the first one stays.

        Raises JournalConflict if the epoch belongs to another subject.
        """
        ...

    def journal(self, known: Collection[int] = ()) -> Iterator[JournalEntry]:
        """The entries in order of epoch, without those of the ``known`` epochs, because an entry never changes.

        Costs one listing and one read of each entry. Raises InvalidJournalEntry, which names the object, at a damaged
        entry.
        """
        ...

    def journal_epochs(self) -> list[int]:
        """The epochs that have an entry, in order. Costs one listing; no entry is read."""
        ...

    def start_timeline(self, timeline: Timeline) -> bool:
        """Record a timeline. Returns whether its number belongs to this timeline now, and not to another one.

        A repeat is a no-op. Raises InvalidTimeline if the stored one was damaged.
        """
        ...

    def newest_timeline(self) -> Timeline | None:
        """The timeline with the greatest number, or None before the first.

        Raises InvalidTimeline if it was damaged.
        """
        ...

    def put_checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Record how far the audit log has come. Returns whether the store holds this checkpoint for the entry now.

        A repeat is a no-op. Raises InvalidCheckpoint if the stored one was damaged.
        """
        ...

    def newest_checkpoints(self) -> dict[int, Checkpoint]:
        """The last checkpoint of each timeline that has one, keyed by the timeline's number, in order.

        Raises InvalidCheckpoint if one was damaged.
        """
        ...

    def raise_floor(self, floor: Floor) -> None:
        """Record an erasure floor. One that is lower than the recorded floor changes nothing.

        Raises InvalidFloor if the stored one was damaged.
        """
        ...

    def erasure_floor(self) -> int:
        """The greatest floor ever recorded; 0 before the first.

        Raises InvalidFloor if it was damaged.
        """
        ...

    def destroy(self, digest: str) -> Destruction:
        """Destroy a version: record the destruction first, then delete the blobs. The manifest stays.

        Call it again after a crash: the result is the same, with the ``destroyed_at`` of the first call. It deletes
        names; remains of the bytes on the disk are for the operator to remove. When it returns, a listing has shown
        that no blob is left. Raises ManifestMissing, and StoreUnavailable if a blob is there that was deleted.
        """
        ...

    def delete_orphans(self) -> tuple[str, ...]:
        """Delete the blobs of versions that are destroyed or have no manifest. Returns the digests of these versions.

        An interrupted publication leaves such blobs, an interrupted writer leaves part of one, and both can hold
        weights that should be gone. A blob that is being written stays. A running publication that has stored its
        blobs but not its manifest looks like an interrupted one: it ends with PublicationSwept.
        """
        ...

    def orphans(self) -> tuple[str, ...]:
        """The digests of the versions whose blobs :meth:`delete_orphans` would delete."""
        ...

    def is_destroyed(self, digest: str) -> bool:
        """Whether the destruction of that version was recorded, even if the deletion of its blobs was interrupted."""
        ...

    def versions(self) -> list[str]:
        """The digests of all published versions, destroyed ones included, sorted."""
        ...

    def check(self) -> StoreHealth:
        """Try a small write and read the free space. Never raises."""
        ...
