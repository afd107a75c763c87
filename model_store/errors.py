"""The store's errors.

StoreError
├── UnsupportedStoreUrl     the address names no store this installation can open
├── StoreUnavailable        the place cannot be reached or used at all
│   ├── StoreEmptied        the place is there, but holds nothing of what the database knows
│   └── StoreUnsuitable     the place replaces what exists, or keeps what is deleted
├── StoreReadOnly           reading works, writing is refused by the place
├── StoreFull               no room for another object
├── InvalidDigest           not 64 lower-case hexadecimal characters
├── InvalidManifest         a manifest that breaks the schema
├── InvalidRecord           a record that breaks its schema, or was damaged in the store
│   ├── InvalidJournalEntry
│   ├── InvalidTimeline
│   ├── InvalidCheckpoint
│   └── InvalidFloor
├── ManifestMissing         no version of that name was ever published
├── BlobMissing             a blob that was never stored, or was removed by hand
├── VersionDestroyed        the version was destroyed
├── PublicationSwept        a sweep took the unfinished publication for an abandoned one
├── VersionBelowFloor       the version covers less than the erasure floor in the store
├── DigestMismatch          stored bytes do not hash to their name
├── HostileArtefact         bytes that must not be given to a loader
└── JournalConflict         the epoch belongs to another subject
"""


class StoreError(Exception):
    """Root of every error this package raises on purpose."""


class UnsupportedStoreUrl(StoreError):
    """The address is neither ``memory:``, ``file:///path``, ``s3://bucket/prefix`` nor a plain path."""


class StoreUnavailable(StoreError):
    """The store's place cannot be reached or used (missing folder, I/O error, no hard links)."""


class StoreEmptied(StoreUnavailable):
    """The store has no timeline and the database has one: not mounted, another database's store, or emptied."""


class StoreUnsuitable(StoreUnavailable):
    """The place cannot hold a store: it replaces objects that exist, or keeps objects that were deleted.

    An operator has to change the place, or to name another one.
    """


class StoreReadOnly(StoreError):
    """The place refuses writes; what is stored can still be read."""


class StoreFull(StoreError):
    """The place has no room, or the process may not write a file that large."""


class InvalidDigest(StoreError):
    """A name that is not the lower-case hexadecimal SHA-256 of anything."""


class InvalidManifest(StoreError):
    """A manifest with missing, extra or malformed fields, or not in canonical form."""


class InvalidRecord(StoreError):
    """A record with missing, extra or malformed fields, or not in canonical form.

    For a record read from the store, the message names the object.
    """


class InvalidJournalEntry(InvalidRecord):
    """An invalid entry of the erasure journal."""


class InvalidTimeline(InvalidRecord):
    """An invalid timeline."""


class InvalidCheckpoint(InvalidRecord):
    """An invalid checkpoint of the audit log."""


class InvalidFloor(InvalidRecord):
    """An invalid erasure floor."""


class ManifestMissing(StoreError):
    """No version with that digest is in the store."""


class BlobMissing(StoreError):
    """No blob with that digest is in the store, and its version was not destroyed."""


class VersionDestroyed(StoreError):
    """The version's weights were destroyed. Its manifest is kept for lineage."""


class PublicationSwept(StoreError):
    """A sweep took the unfinished publication for an abandoned one: publish it again as another version."""


class VersionBelowFloor(StoreError):
    """The version lies below the erasure floor: its weights may be neither published nor read."""


class DigestMismatch(StoreError):
    """The stored bytes do not hash to their name: damaged or tampered with."""


class HostileArtefact(StoreError):
    """Bytes, or the file that holds them, that no loader may be given."""


class JournalConflict(StoreError):
    """The journal already has an entry of another subject for that epoch."""
