"""Writes a version as an ordinary PEFT folder, for use outside Lethe."""

from __future__ import annotations

import json
import os
from pathlib import Path

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.audit.version_events import VersionExported
from app.db.session import Database
from model_store import ADAPTER_WEIGHTS, Manifest, Store, read_version
from recommender import Adapter

# Lies beside PEFT's two files, which do not say what they are an export of.
LINEAGE_FILE = "lethe.json"


class FolderTaken(Exception):
    """The folder exists: an export never changes what is there."""


def export_version(database: Database, audit: AuditLog, store: Store, digest: str, folder: Path) -> Manifest:
    """Write the version into a new ``folder``: PEFT's two files, and :data:`LINEAGE_FILE`.

    The weights leave the store by this: no forget request reaches them any more. The audit log says so before the
    first byte is written.

    Raises:
        FolderTaken: the folder exists.
        StoreError: there is no such version, it is destroyed or below the erasure floor, or it is damaged.
        DatabaseError: the export cannot be recorded, and was not made.
    """
    manifest, blobs = read_version(store, digest, [ADAPTER_WEIGHTS])
    adapter = Adapter.from_bytes(manifest.adapter_config, blobs[ADAPTER_WEIGHTS])
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    if folder.exists() or unfinished.exists():
        raise FolderTaken(f"{folder} exists: name a new folder")
    with Transaction.begin(database, audit) as transaction:
        transaction.record(VersionExported(digest, manifest.forget_epoch), actor="lethe versions export")
    adapter.save(unfinished)
    lineage = {
        "version": digest,
        "parent": manifest.parent,
        "method": manifest.method,
        "forget_epoch": manifest.forget_epoch,
        "base_digest": manifest.base_digest,
        "catalogue_digest": manifest.catalogue_digest,
        "created_at": manifest.created_at,
    }
    (unfinished / LINEAGE_FILE).write_text(json.dumps(lineage, indent=2, sort_keys=True), encoding="utf-8")
    unfinished.rename(folder)
    return manifest
