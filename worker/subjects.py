"""A run's subjects, sorted by what has read them. This decides what the run has to do for each of them."""

from __future__ import annotations

from dataclasses import dataclass

from app.db.models import RunStage
from app.forget_requests import queries as forget_requests
from app.readers import queries as readers
from app.readers.readership import read_by_version, read_partly
from app.runs.service import Claim
from worker.process import WorkerProcess
from worker.versions import read_fit_record


@dataclass(frozen=True)
class SortedSubjects:
    """A run's subjects by what has read them.

    Attributes:
        known: the live version has read them, or may have, so it must be replaced.
        partly_stored: those of the ``known`` of whom the live version has read more events than are stored. Whose
            events are stored but hidden is not known yet: `worker.examples.read_examples` finds out.
        unread: neither the base nor any version has read them, and they are no past readers.

    Any other subject was left out of the fit that the live version is or descends from, or was read only by versions
    that do not serve, which are destroyed, or by the base, which needs a person.
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
        # Already recorded on the requests, and the events are deleted.
        return SortedSubjects()
    by_version = read_by_version(process.store, claim.subjects)
    with process.database.read() as session:
        epochs = {row.subject_hmac: row.epoch for row in forget_requests.of_run(session, claim.run_id)}
        of_base = readers.base_readers_among(session, process.base.digest, claim.subjects)
        before = readers.past_readers_among(session, claim.subjects)
        fit = None if claim.parent_digest is None else read_fit_record(process.store, claim.parent_digest)
    unread = frozenset(claim.subjects).difference(of_base, before, *by_version.values())
    live = by_version.get(claim.parent_digest) if claim.parent_digest is not None else None
    if live is None:
        # Nothing serves, so nothing must be replaced. Other versions that have read the subjects are destroyed.
        return SortedSubjects(unread=unread)
    assert claim.parent_digest is not None
    assert fit is not None
    # A version without a readership may have read anybody, except those whom its fit left out.
    known = live.intersection(epochs) - fit.left_out(epochs)
    return SortedSubjects(
        known=tuple(subject for subject in claim.subjects if subject in known),
        partly_stored=read_partly(process.store, claim.parent_digest, known),
        unread=unread,
    )
