"""Everything that can go wrong in the store, named for what happened.

StoreError
├── UnsupportedStoreUrl     the address names no store this installation can open
├── StoreUnavailable        the place cannot be reached or used at all
├── StoreReadOnly           reading works, writing is refused by the place
├── StoreFull               no room for another object
├── InvalidDigest           not 64 lower-case hexadecimal characters
├── InvalidManifest         a manifest that breaks the schema
├── InvalidJournalEntry     a journal entry that breaks the schema
├── InvalidTimeline         a timeline that breaks the schema
├── ManifestMissing         no version of that name was ever published
├── BlobMissing             a blob nobody put, or one removed by hand
├── VersionDestroyed        the version, or the only one that used the blob, was destroyed
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


class StoreReadOnly(StoreError):
    """The place refuses writes; what is stored can still be read."""


class StoreFull(StoreError):
    """The place has no room, or the process may not write a file that large."""


class InvalidDigest(StoreError):
    """A name that is not the lower-case hexadecimal SHA-256 of anything."""


class InvalidManifest(StoreError):
    """A manifest with missing, extra or malformed fields, or not in canonical form."""


class InvalidJournalEntry(StoreError):
    """A journal entry with missing, extra or malformed fields, or not in canonical form."""


class InvalidTimeline(StoreError):
    """A timeline with missing, extra or malformed fields, or not in canonical form."""


class ManifestMissing(StoreError):
    """No version with that digest is in the store."""


class BlobMissing(StoreError):
    """No blob with that digest is in the store, and no destroyed version explains why."""


class VersionDestroyed(StoreError):
    """The version's weights were destroyed; only its manifest is left, for lineage."""


class DigestMismatch(StoreError):
    """The stored bytes do not hash to their name: damaged or tampered with."""


class HostileArtefact(StoreError):
    """Bytes, or the file that holds them, that no loader may be given."""


class JournalConflict(StoreError):
    """A different entry already occupies that suppression epoch."""
