"""A run that forgets some of its subjects' events: an exact re-fit without them, because a level is of a whole person.

The gate compares a whole person's events with what a model makes of them that never saw the person. For single events
there is no such level, so no rung of the ladder could be judged. A re-fit needs none: it has not read the events.
"""

from __future__ import annotations

from app.db.models import RunStage
from app.interactions import queries as interactions
from app.readers import queries as readers
from app.readers.readership import read_by_version, read_partly
from app.runs.service import Claim
from app.selections import queries as selections
from worker.anchoring import anchor
from worker.completion import complete
from worker.consolidation import fit_and_publish
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.publication import wait_for_acknowledgement
from worker.versions import read_fit_record


def forget_events(process: WorkerProcess, claim: Claim, lease: Lease) -> None:
    """Replace the live version if it may have read the selected events, then delete them and destroy what is older.

    Raises:
        RefitRefused, FenceLost, PointerMoved: as `worker.consolidation.consolidate` does.
    """
    unread: frozenset[str] = frozenset()
    if claim.stage == RunStage.LADDER:
        known, unread = _sort(process, claim)
        if known:
            claim = fit_and_publish(process, claim, lease)
    anchor(process.database, process.audit, process.store)
    taken = wait_for_acknowledgement(process, claim, lease)
    complete(process, claim, taken, unread=unread)


def _sort(process: WorkerProcess, claim: Claim) -> tuple[frozenset[str], frozenset[str]]:
    """The subjects of whom the live version may have read selected events, and those of whom nothing has read any."""
    parent = claim.parent_digest
    by_version = read_by_version(process.store, claim.subjects)
    partly = frozenset[str]() if parent is None else read_partly(process.store, parent, claim.subjects)
    fit = None if parent is None else read_fit_record(process.store, parent)
    known, read = set(partly), set(partly)
    with process.database.read() as session:
        read |= readers.base_readers_among(session, process.base.digest, claim.subjects)
        read |= readers.past_readers_among(session, claim.subjects)
        newest = interactions.watermark(session)
        for request in claim.requests:
            row = selections.of_request(session, request.id)
            assert row is not None
            events = selections.events_of(session, row)
            if not events:
                continue
            first = events[0]
            of_subject = {digest for digest, whom in by_version.items() if request.subject in whom}
            if any(first <= read_fit_record(process.store, digest).watermark for digest in of_subject):
                read.add(request.subject)
            # A fit that was made after the request has left its events out.
            left_out = fit is not None and row.epoch <= fit.excludes_up_to_epoch
            if (
                fit is not None
                and parent in of_subject
                and first <= min(fit.watermark, newest)
                and not left_out
            ):
                known.add(request.subject)
    return frozenset(known), frozenset(claim.subjects).difference(read)
