"""Items that were taken down: which of them the version that serves has left out, and the erasure of their events.

A takedown is erased by the first run that completes while a fit serves that was made after it, as a rule by a
consolidation. The order is that of a person's erasure: every replica has acknowledged, the events are deleted, every
version that may have read them is destroyed, and only then does anybody say so (invariant I13).
"""

from __future__ import annotations

from dataclasses import dataclass

from app.interactions.service import ROWS_PER_SLICE
from app.runs.service import Claim
from app.takedowns import queries as takedowns
from app.takedowns import service
from app.versions import queries as versions
from model_store import JournalEntry, Store
from worker.process import WorkerProcess
from worker.versions import read_fit_record


@dataclass(frozen=True)
class LeftOut:
    """Takedowns that are not erased yet and whose items' events the version that serves has not read.

    Attributes:
        takedowns: their ids.
        epoch: the highest of their epochs; 0 without any. A fit has left them all out if it has left out what was asked
            for up to this epoch.
        version: the digest of the version that serves; None if none does.
    """

    takedowns: tuple[str, ...] = ()
    epoch: int = 0
    version: str | None = None


NOTHING = LeftOut()


def left_out(process: WorkerProcess) -> LeftOut:
    """
    Raises:
        StoreError: the version that serves cannot be read.
    """
    with process.database.read() as session:
        waiting = [(row.epoch, row.id) for row in takedowns.pending(session)]
        pointer = versions.current(session)
        digest, floor = pointer.digest, pointer.erasure_floor
    if not waiting:
        return NOTHING
    # Without a version, nothing below the floor may serve again, and everything below it is destroyed.
    up_to = floor if digest is None else read_fit_record(process.store, digest).excludes_up_to_epoch
    found = [(epoch, takedown) for epoch, takedown in waiting if epoch <= up_to]
    return LeftOut(tuple(one for _, one in found), max((epoch for epoch, _ in found), default=0), digest)


def may_know(store: Store, digest: str, found: LeftOut) -> bool:
    """Whether a version may have read events of these items: it is a fit, or an edit of one, from before a takedown.

    Raises:
        StoreError: there is no such version, or its manifest is damaged.
    """
    return bool(found.takedowns) and read_fit_record(store, digest).excludes_up_to_epoch < found.epoch


def record_in_journal(process: WorkerProcess, found: LeftOut) -> None:
    """Write the takedowns into the journal. The gateway writes them too, but nothing may be erased without them.

    Raises:
        StoreError: the store does not take them.
        JournalConflict: the database was restored, and nobody has noticed yet.
    """
    with process.database.read() as session:
        entries = [service.entry_of(session, one) for one in found.takedowns]
    for entry in entries:
        assert isinstance(entry, JournalEntry)
        process.store.append_journal(entry)


def erase(process: WorkerProcess, claim: Claim, found: LeftOut) -> int:
    """Delete the items' events, and the levels that were measured with them. Returns how many events were deleted.

    In slices, so that no forget request waits for all of them. No new events arrive meanwhile: they are dropped.

    Raises:
        FenceLost: another worker holds the run and does the rest.
        StoreError, JournalConflict: as `record_in_journal`; nothing was deleted.
    """
    if not found.takedowns:
        return 0
    record_in_journal(process, found)
    with process.transaction() as transaction:
        service.drop_levels(transaction, claim)
    erased = 0
    for takedown in found.takedowns:
        rows = ROWS_PER_SLICE
        while rows == ROWS_PER_SLICE:
            with process.transaction() as transaction:
                rows = service.erase_events(transaction, claim, takedown, limit=ROWS_PER_SLICE)
            erased += rows
    return erased
