"""Everything that can go wrong in the store, named for what happened.

StoreError
├── UnsupportedStoreUrl     the address names no store this installation can open
├── StoreUnavailable        the place cannot be reached or used at all
│   └── StoreEmptied        it is there, and nothing of what the database knows is in it
├── StoreReadOnly           reading works, writing is refused by the place
├── StoreFull               no room for another object
├── InvalidDigest           not 64 lower-case hexadecimal characters
├── InvalidManifest         a manifest that breaks the schema
├── InvalidRecord           a small numbered object that breaks the schema, or was damaged in the store
│   ├── InvalidJournalEntry
│   ├── InvalidTimeline
│   ├── InvalidCheckpoint
│   └── InvalidFloor
├── ManifestMissing         no version of that name was ever published
├── BlobMissing             a blob nobody put, or one removed by hand
├── VersionDestroyed        the version, or the only one that used the blob, was destroyed
├── PublicationSwept        the version was taken for one that its publisher had given up
├── VersionBelowFloor       the version does not cover everyone whom the store vouches to be forgotten
├── DigestMismatch          stored bytes are not the bytes their name promises
├── HostileArtefact         bytes that must not be given to a loader
└── JournalConflict         an epoch already stands for someone else
"""


class StoreError(Exception):
    """Root of every error this package raises on purpose."""


class UnsupportedStoreUrl(StoreError):
    """The address is neither ``memory:``, ``file:///path`` nor a plain path."""


class StoreUnavailable(StoreError):
    """The store's place cannot be reached or used (missing folder, I/O error, no hard links)."""


class StoreEmptied(StoreUnavailable):
    """A folder without a timeline for a database that has one: not mounted, another one's, or emptied."""


class StoreReadOnly(StoreError):
    """The place refuses writes; what is stored can still be read."""


class StoreFull(StoreError):
    """The place has no room, or the process may not write a file that large."""


class InvalidDigest(StoreError):
    """A name that is not the lower-case hexadecimal SHA-256 of anything."""


class InvalidManifest(StoreError):
    """A manifest with missing, extra or malformed fields, or not in canonical form."""


class InvalidRecord(StoreError):
    """A record with missing, extra or malformed fields, or not in canonical form; in the store, its object is named."""


class InvalidJournalEntry(InvalidRecord):
    """An entry of the erasure journal that is not one."""


class InvalidTimeline(InvalidRecord):
    """A timeline that is not one."""


class InvalidCheckpoint(InvalidRecord):
    """A checkpoint of the audit log that is not one."""


class InvalidFloor(InvalidRecord):
    """An erasure floor that is not one."""


class ManifestMissing(StoreError):
    """No version with that digest is in the store."""


class BlobMissing(StoreError):
    """No blob with that digest is in the store, and no destroyed version explains why."""


class VersionDestroyed(StoreError):
    """The version's weights were destroyed; only its manifest is left, for lineage."""


class PublicationSwept(StoreError):
    """A sweep took the version for one that was given up before its manifest: publish it again, as another."""


class VersionBelowFloor(StoreError):
    """The version lies below the erasure floor: its weights may neither be published nor read again."""


class DigestMismatch(StoreError):
    """The stored bytes do not hash to their name: damaged or tampered with."""


class HostileArtefact(StoreError):
    """Bytes, or the file that holds them, that no loader may be given."""


class JournalConflict(StoreError):
    """A different entry already occupies that suppression epoch."""
