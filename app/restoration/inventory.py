"""Compares database and store, finds what either has lost, and repairs what can be repaired without a guess.

Nothing is repaired by making somebody less forgotten: weights are only ever deleted, records only ever added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import select

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.audit.version_events import JournalCompleted, VersionDestructionFinished
from app.codes import DetailCode
from app.db.models import Ledger, Run, RunStatus, Version
from app.db.session import Database
from app.restoration.differences import Said
from app.restoration.journal import journal_of
from app.versions.floor import vouch_for_floor
from app.versions.queries import current
from model_store import (
    BlobMissing,
    DigestMismatch,
    HostileArtefact,
    InvalidManifest,
    InvalidRecord,
    JournalConflict,
    JournalEntry,
    Manifest,
    Store,
)

_ACTOR = "lethe store check"
_DAMAGED = (DigestMismatch, HostileArtefact, InvalidManifest)


class Lack(StrEnum):
    """What is wrong. Those in `REPAIRABLE` can be put right without a copy of what was lost."""

    TIMELINE = "other_timeline"
    FLOOR_BEHIND = "floor_behind"
    JOURNAL_GAP = "journal_gap"
    JOURNAL_UNKNOWN = "journal_unknown"
    JOURNAL_DAMAGED = "journal_damaged"
    MANIFEST_MISSING = DetailCode.MANIFEST_MISSING.value
    MANIFEST_DAMAGED = "manifest_damaged"
    BLOB_MISSING = DetailCode.BLOB_MISSING.value
    BLOB_DAMAGED = "blob_damaged"
    BLOBS_WITHOUT_MANIFEST = "blobs_without_manifest"
    DESTRUCTION_HALF_DONE = "destruction_half_done"
    VERSION_BELOW_FLOOR = DetailCode.VERSION_BELOW_FLOOR.value
    LIVE_UNSERVABLE = "live_unservable"


# A run that is under way finishes what these name, or is what they show.
_OF_RUNS = frozenset({Lack.BLOBS_WITHOUT_MANIFEST, Lack.DESTRUCTION_HALF_DONE, Lack.VERSION_BELOW_FLOOR})
REPAIRABLE = _OF_RUNS | {Lack.FLOOR_BEHIND, Lack.JOURNAL_GAP}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``about`` is a digest, an epoch, or empty; ``repaired`` says whether it is no longer."""

    lack: Lack
    about: str
    detail: str
    repaired: bool = False


@dataclass(frozen=True)
class Inventory:
    """What was looked at, and what was found. ``versions`` counts those whose every byte was read."""

    findings: tuple[Finding, ...]
    versions: int
    destroyed: int
    journal: int

    @property
    def left(self) -> tuple[Finding, ...]:
        """What is still wrong."""
        return tuple(finding for finding in self.findings if not finding.repaired)


def take_inventory(
    database: Database,
    audit: AuditLog,
    store: Store,
    *,
    repair: bool = False,
    show: Callable[[str], None] = lambda _text: None,
) -> Inventory:
    """Look at every version, every blob and every entry of the journal. It may run while the service does.

    Args:
        repair: whether to put right what `REPAIRABLE` names.

    Raises:
        StoreError: the store does not answer, or refuses a repair.
        DatabaseError: the database does not answer.
    """
    # The store first: whatever is in it by now was in the database before.
    stored, epochs, floor = store.versions(), store.journal_epochs(), store.erasure_floor()
    newest, orphans = store.newest_timeline(), frozenset(store.orphans())
    with database.read(snapshot=True) as session:
        rows = {row.digest: row.destroyed_at is not None for row in session.scalars(select(Version))}
        serving = current(session)
        ledger = session.get_one(Ledger, 1)
        live, token = serving.digest, ledger.timeline
        # A floor beyond all epochs is an error of the row.
        row_floor = serving.erasure_floor if serving.erasure_floor <= ledger.epoch else 0
        entries = {entry.epoch: entry for entry in journal_of(session)}
    findings: list[Finding] = []
    if newest is None or newest.token != token:
        findings.append(
            Finding(
                Lack.TIMELINE, "", "the store and the database are not of one timeline: run lethe recover"
            )
        )
    if floor < row_floor:
        findings.append(
            Finding(Lack.FLOOR_BEHIND, "", f"the store vouches for {floor}, the row for {row_floor}")
        )
    findings += _journal(store, epochs, entries)
    for digest, gone in rows.items():
        if digest not in stored and not (gone and digest != live):
            findings.append(_missing(digest, live))
    read = destroyed = 0
    for number, digest in enumerate(stored):
        show(f"versions {number}/{len(stored)}")
        found, is_gone = _version(
            store,
            digest,
            rows.get(digest),
            max(floor, row_floor),
            lives=digest == live,
            blobs=digest in orphans,
        )
        findings += found
        destroyed += is_gone
        read += not is_gone and not found
    findings += [
        Finding(
            Lack.BLOBS_WITHOUT_MANIFEST,
            digest,
            "a publication that was interrupted, or a manifest that is lost",
        )
        for digest in sorted(orphans.difference(stored))
    ]
    # While the timelines differ, one of the two is not what it seems: nothing is repaired by it.
    if repair and not any(finding.lack is Lack.TIMELINE for finding in findings):
        findings = _repaired(database, audit, store, findings, entries)
    return Inventory(tuple(findings), read, destroyed, len(epochs))


def _journal(store: Store, epochs: list[int], entries: dict[int, JournalEntry]) -> Iterator[Finding]:
    held, read = set(epochs), dict[int, JournalEntry]()
    for epoch in sorted(entries.keys() - held):
        yield Finding(Lack.JOURNAL_GAP, str(epoch), "the database has this epoch, and the journal lacks it")
    looked_at: set[int] = set()
    while looked_at != held:
        try:
            for entry in store.journal(known=looked_at):
                read[entry.epoch] = entry
                looked_at.add(entry.epoch)
            break
        except InvalidRecord as error:
            # They come in order: the first that was not read is the damaged one.
            damaged = min(held - looked_at)
            looked_at.add(damaged)
            yield Finding(Lack.JOURNAL_DAMAGED, str(damaged), str(error))
    # After a restore a request has a new epoch, and its entry under the old one stays for ever.
    known = {name for entry in entries.values() for name in (entry.request, entry.subject_hmac)}
    withdrawn = {entry.request for entry in read.values() if entry.lifted is not None}
    for epoch, entry in sorted(read.items()):
        ours = entries.get(epoch)
        if ours is not None and not Said.of(ours).says_the_same(entry):
            yield Finding(
                Lack.JOURNAL_UNKNOWN, str(epoch), "it is not what the database has there: run lethe recover"
            )
        elif (
            ours is None
            and known.isdisjoint({entry.request or entry.subject_hmac})
            and entry.request not in withdrawn
        ):
            yield Finding(
                Lack.JOURNAL_UNKNOWN,
                str(epoch),
                "the journal has it, and the database lacks it: run lethe recover",
            )


def _missing(digest: str, live: str | None) -> Finding:
    serves = ", and it serves" if digest == live else ""
    return Finding(
        Lack.MANIFEST_MISSING,
        digest,
        f"the database knows it{serves}: put the manifest back from a copy of the store",
    )


def _version(
    store: Store, digest: str, row_gone: bool | None, floor: int, *, lives: bool, blobs: bool
) -> tuple[list[Finding], bool]:
    """What is wrong with a version that has a manifest, and whether it is destroyed.

    Args:
        row_gone: whether its row says that it is destroyed; None if it has no row: it was never published.
        lives: whether the pointer says that it serves.
        blobs: whether blobs of it are left, if it is destroyed.
    """
    entombed = store.is_destroyed(digest)
    if entombed or row_gone:
        if lives:
            return [Finding(Lack.LIVE_UNSERVABLE, digest, "it is destroyed: run lethe recover")], True
        return _destroyed(digest, entombed=entombed, row_gone=row_gone, blobs=blobs), True
    try:
        manifest = store.read_manifest(digest)
    except _DAMAGED as error:
        return [Finding(Lack.MANIFEST_DAMAGED, digest, str(error))], False
    if manifest.forget_epoch < floor:
        detail = f"it covers epoch {manifest.forget_epoch}, and nothing below {floor} may serve"
        if lives:
            return [Finding(Lack.LIVE_UNSERVABLE, digest, f"{detail}: run lethe recover")], False
        return [Finding(Lack.VERSION_BELOW_FLOOR, digest, detail)], False
    return list(_blobs(store, digest, manifest)), False


def _destroyed(digest: str, *, entombed: bool, row_gone: bool | None, blobs: bool) -> list[Finding]:
    lacks = []
    if not entombed:
        lacks.append("the store has no tombstone")
    if row_gone is False:
        lacks.append("the row does not say so")
    if blobs:
        lacks.append("blobs are there")
    if not lacks:
        return []
    return [Finding(Lack.DESTRUCTION_HALF_DONE, digest, f"it is destroyed, but {' and '.join(lacks)}")]


def _blobs(store: Store, digest: str, manifest: Manifest) -> Iterator[Finding]:
    for name, ref in sorted(manifest.blobs.items()):
        try:
            store.verify_blob(digest, ref.digest)
        except BlobMissing:
            yield Finding(Lack.BLOB_MISSING, digest, f"{name}: put it back from a copy of the store")
        except _DAMAGED as error:
            yield Finding(Lack.BLOB_DAMAGED, digest, f"{name}: {error}")


def _repaired(
    database: Database,
    audit: AuditLog,
    store: Store,
    findings: list[Finding],
    entries: dict[int, JournalEntry],
) -> list[Finding]:
    with database.read() as session:
        busy = session.scalar(select(Run.id).where(Run.status == RunStatus.RUNNING).limit(1)) is not None
    able = REPAIRABLE - _OF_RUNS if busy else REPAIRABLE
    if any(one.lack is Lack.MANIFEST_MISSING for one in findings):
        # Blobs without a manifest may be those of the version whose manifest is lost: a copy of it brings them back.
        able -= {Lack.BLOBS_WITHOUT_MANIFEST}
    to_repair = [one for one in findings if one.lack in able]
    if any(one.lack is Lack.FLOOR_BEHIND for one in to_repair):
        vouch_for_floor(database, store)
    written: list[int] = []
    for one in to_repair:
        if one.lack is Lack.JOURNAL_GAP:
            # Another subject took the epoch meanwhile: lethe recover numbers one of them anew.
            with suppress(JournalConflict):
                store.append_journal(entries[int(one.about)])
                written.append(int(one.about))
        elif one.lack in (Lack.DESTRUCTION_HALF_DONE, Lack.VERSION_BELOW_FLOOR):
            _finish_destruction(database, audit, store, one.about)
    if any(one.lack is Lack.BLOBS_WITHOUT_MANIFEST for one in to_repair):
        store.delete_orphans()
    if written:
        with Transaction.begin(database, audit) as transaction:
            transaction.record(JournalCompleted(written), actor=_ACTOR)
    done = [one for one in to_repair if one.lack is not Lack.JOURNAL_GAP or int(one.about) in written]
    return [replace(one, repaired=one in done) for one in findings]


def _finish_destruction(database: Database, audit: AuditLog, store: Store, digest: str) -> None:
    """Delete what is left of a version that is destroyed, or that may not exist, and say so in row and log.

    A version below the floor can never become live again, so nothing that happens meanwhile makes this wrong.
    """
    blobs = len(store.destroy(digest).deleted)
    with Transaction.begin(database, audit) as transaction:
        row = transaction.session.get(Version, digest)
        if row is not None and row.destroyed_at is None:
            row.destroyed_at = transaction.now()
        transaction.record(VersionDestructionFinished(digest, blobs), actor=_ACTOR)
