"""The store: immutable versions of the adapter, with their measurements and the subjects they have forgotten.

A version is named by the SHA-256 of its manifest, a blob by the SHA-256 of its bytes. Both are created once and never
changed. The store accepts only safetensors and JSON, and returns nothing before its digest matches.
The store does not know which version serves: that is a row of the database.

This package imports the standard library only, and obstore where the store lies in a bucket: no other package of this
project, no tensor library.
"""

from model_store.artefacts import read_version
from model_store.checkpoints import Checkpoint
from model_store.errors import (
    BlobMissing,
    DigestMismatch,
    HostileArtefact,
    InvalidCheckpoint,
    InvalidDigest,
    InvalidFloor,
    InvalidJournalEntry,
    InvalidManifest,
    InvalidRecord,
    InvalidTimeline,
    JournalConflict,
    ManifestMissing,
    PublicationSwept,
    StoreEmptied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    StoreUnsuitable,
    UnsupportedStoreUrl,
    VersionBelowFloor,
    VersionDestroyed,
)
from model_store.floors import Floor
from model_store.interface import Destruction, Store, StoreHealth
from model_store.journal import JournalEntry
from model_store.local import LocalStore
from model_store.manifest import ADAPTER_WEIGHTS, BlobRef, Manifest
from model_store.memory import MemoryStore
from model_store.opening import open_store
from model_store.safetensors_header import TensorInfo, inspect_safetensors
from model_store.timelines import Timeline

__all__ = [
    "ADAPTER_WEIGHTS",
    "BlobMissing",
    "BlobRef",
    "Checkpoint",
    "Destruction",
    "DigestMismatch",
    "Floor",
    "HostileArtefact",
    "InvalidCheckpoint",
    "InvalidDigest",
    "InvalidFloor",
    "InvalidJournalEntry",
    "InvalidManifest",
    "InvalidRecord",
    "InvalidTimeline",
    "JournalConflict",
    "JournalEntry",
    "LocalStore",
    "Manifest",
    "ManifestMissing",
    "MemoryStore",
    "PublicationSwept",
    "Store",
    "StoreEmptied",
    "StoreError",
    "StoreFull",
    "StoreHealth",
    "StoreReadOnly",
    "StoreUnavailable",
    "StoreUnsuitable",
    "TensorInfo",
    "Timeline",
    "UnsupportedStoreUrl",
    "VersionBelowFloor",
    "VersionDestroyed",
    "inspect_safetensors",
    "open_store",
    "read_version",
]
