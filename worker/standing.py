"""Who of a run's subjects is known to what, and so what is left to do for them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.db.models import RunStage
from app.forget_requests import queries as forget_requests
from app.interactions import queries as interactions
from app.readers import queries as readers
from app.runs.service import Claim
from worker.process import WorkerProcess
from worker.readership import read_by_version, read_partly
from worker.training_data import split_training_data
from worker.versions import read_fit_record


@dataclass(frozen=True)
class Standing:
    """A run's subjects by what has read them.

    ``known``: the live version has read them, and their events are there to unlearn them by. ``unmeasured``: it has
    read them or may have, and too few of their events are there to measure anything, or not all of what it has read:
    only a fit without them will do. ``unread``: nothing that exists has read them, the base included, and nothing had
    when an earlier version was replaced. Whoever is in none was left out of the fit that the live version is or
    descends from, or was read only by what does not serve, which is destroyed, or by the base, which needs a person.
    """

    known: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()


def standing_of(process: WorkerProcess, claim: Claim) -> Standing:
    """
    Raises:
        StoreError: a version that exists cannot be read.
    """
    if claim.stage == RunStage.ERASING:
        # Settled on their requests already, and their events are gone.
        return Standing()
    by_version = read_by_version(process.store, claim.subjects)
    with process.database.read() as session:
        requests = {row.subject_hmac: row for row in forget_requests.of_run(session, claim.run_id)}
        of_base = readers.base_readers_among(session, process.base.digest, claim.subjects)
        before = readers.past_readers_among(session, claim.subjects)
    unread = frozenset(claim.subjects).difference(of_base, before, *by_version.values())
    live = by_version.get(claim.parent_digest) if claim.parent_digest is not None else None
    if live is None:
        # Nothing serves: what other versions know of them goes with these.
        return Standing(unread=unread)
    assert claim.parent_digest is not None
    fit = read_fit_record(process.store, claim.parent_digest)
    # A version without a record of its readers may have read anybody, but not whom its fit left out.
    live = frozenset(s for s in live if s in requests and requests[s].epoch > fit.excludes_up_to_epoch)
    partly = read_partly(process.store, claim.parent_digest, live)
    measured = _with_sequences(process, live - partly, up_to=fit.watermark)
    return Standing(
        known=tuple(subject for subject in claim.subjects if subject in measured),
        unmeasured=tuple(subject for subject in claim.subjects if subject in live - measured),
        unread=unread,
    )


def _with_sequences(process: WorkerProcess, subjects: Collection[str], *, up_to: int) -> frozenset[str]:
    """Those of them whose events are enough to be unlearned by."""
    with process.database.read() as session:
        histories = interactions.histories(session, up_to=up_to, only=subjects)
    data = split_training_data(histories, process.base.catalogue, sorted(subjects), set(subjects))
    return frozenset(data.subjects)
