"""A run's subjects, sorted by what has read them: what is left to do for each follows from that."""

from __future__ import annotations

from dataclasses import dataclass

from app.db.models import RunStage
from app.forget_requests import queries as forget_requests
from app.readers import queries as readers
from app.runs.service import Claim
from worker.process import WorkerProcess
from worker.readership import read_by_version, read_partly
from worker.versions import read_fit_record


@dataclass(frozen=True)
class SortedSubjects:
    """A run's subjects by what has read them.

    ``known``: the live version has read them or may have, so it must be replaced. ``partly_stored``: those of them of
    whom it has read more than the events that are stored. ``unread``: nothing that exists has read them, the base
    included, and nothing had when an earlier version was replaced. Whoever is in none was left out of the fit that the
    live version is or descends from, or was read only by what does not serve, which is destroyed, or by the base, which
    needs a person.
    """

    known: tuple[str, ...] = ()
    partly_stored: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()


def sort_subjects(process: WorkerProcess, claim: Claim) -> SortedSubjects:
    """
    Raises:
        StoreError: a version that exists cannot be read.
    """
    if claim.stage == RunStage.ERASING:
        # Settled on their requests already, and their events are gone.
        return SortedSubjects()
    by_version = read_by_version(process.store, claim.subjects)
    with process.database.read() as session:
        epochs = {row.subject_hmac: row.epoch for row in forget_requests.of_run(session, claim.run_id)}
        of_base = readers.base_readers_among(session, process.base.digest, claim.subjects)
        before = readers.past_readers_among(session, claim.subjects)
    unread = frozenset(claim.subjects).difference(of_base, before, *by_version.values())
    live = by_version.get(claim.parent_digest) if claim.parent_digest is not None else None
    if live is None:
        # Nothing serves: what other versions know of them goes with these.
        return SortedSubjects(unread=unread)
    assert claim.parent_digest is not None
    fit = read_fit_record(process.store, claim.parent_digest)
    # A version without a record of its readers may have read anybody, but not whom its fit left out.
    known = live.intersection(epochs) - fit.left_out(epochs)
    return SortedSubjects(
        known=tuple(subject for subject in claim.subjects if subject in known),
        partly_stored=read_partly(process.store, claim.parent_digest, known),
        unread=unread,
    )
