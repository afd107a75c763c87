"""Stable codes that one process writes and another process, or a caller, reads.

`docs/reference/problems.md` explains each code.

Pure module: worker and replica import it, so that both use the same spelling.
"""

from __future__ import annotations

from enum import StrEnum


class DetailCode(StrEnum):
    """Why a run or a forget request waits, or has ended: ``detail_code`` in the API.

    A defect has no code: the name of its exception is used instead.
    """

    # An outage: the run goes on by itself.
    STORE_FULL = "store_full"
    STORE_READ_ONLY = "store_read_only"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_EMPTIED = "store_emptied"
    STORE_UNSUITABLE = "store_unsuitable"
    MANIFEST_MISSING = "manifest_missing"
    DATABASE_UNAVAILABLE = "database_unavailable"
    REPLICAS_SILENT = "replicas_silent"
    ENGINES_SILENT = "engines_silent"
    OTHER_BASE = "other_base"

    # The run is done, and others are not.
    RECIPIENTS_SILENT = "recipients_silent"

    # A person has to decide.
    LADDER_EXHAUSTED = "ladder_exhausted"
    REFIT_REFUSED = "refit_refused"
    CONSOLIDATION_REFUSED = "consolidation_refused"
    CANDIDATE_REFUSED = "candidate_refused"
    INVALID_INPUT = "invalid_input"
    CLAIMS_EXHAUSTED = "claims_exhausted"
    KNOWN_TO_BASE = "known_to_base"

    # The serving state has changed while the run worked.
    POINTER_MOVED = "pointer_moved"
    BELOW_ERASURE_FLOOR = "below_erasure_floor"
    NOTHING_TO_CONSOLIDATE = "nothing_to_consolidate"

    # Something in the store is missing or damaged.
    BLOB_MISSING = "blob_missing"
    DIGEST_MISMATCH = "digest_mismatch"
    HOSTILE_ARTEFACT = "hostile_artefact"
    INVALID_DIGEST = "invalid_digest"
    INVALID_MANIFEST = "invalid_manifest"
    INVALID_RECORD = "invalid_record"
    INVALID_CHECKPOINT = "invalid_checkpoint"
    INVALID_FLOOR = "invalid_floor"
    INVALID_JOURNAL_ENTRY = "invalid_journal_entry"
    INVALID_TIMELINE = "invalid_timeline"
    JOURNAL_CONFLICT = "journal_conflict"
    PUBLICATION_SWEPT = "publication_swept"
    VERSION_BELOW_FLOOR = "version_below_floor"
    VERSION_DESTROYED = "version_destroyed"


class ReplicaError(StrEnum):
    """Why a replica does not serve or has not prepared the version that it should: ``error`` of its report."""

    # The version may not serve at all, or not on this replica.
    BELOW_ERASURE_FLOOR = "below_erasure_floor"
    VERSION_DESTROYED = "version_destroyed"
    WRONG_BASE = "wrong_base"
    WRONG_CATALOGUE = "wrong_catalogue"
    CORRUPT_VERSION = "corrupt_version"
    INCOMPATIBLE_ADAPTER = "incompatible_adapter"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"

    # Loading is tried again.
    STORE_UNAVAILABLE = "store_unavailable"
    BUILD_FAILED = "build_failed"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_UNTRUSTED = "engine_untrusted"

    # The database has an older state than this replica has seen.
    FEED_REWOUND = "feed_rewound"
    FLOOR_LOWERED = "floor_lowered"
