"""What the live version holds of a run's subjects, and so what is left to do for them."""

from __future__ import annotations

from dataclasses import dataclass

from app.db import forget_requests, interactions
from app.db.models import RunStage
from app.db.runs import Claim
from worker.process import WorkerProcess
from worker.training_data import split_training_data
from worker.versions import read_fit_record


@dataclass(frozen=True)
class Standing:
    """A run's subjects by what the version it starts from may have learnt of them.

    ``known``: trained on, and to be unlearned. ``unknown``: no training ever saw enough of them to learn. Whoever is
    in neither was left out of the exact fit that the version is or descends from: only their events are left to erase.
    """

    known: tuple[str, ...]
    unknown: frozenset[str]


def standing_of(process: WorkerProcess, claim: Claim) -> Standing:
    """
    Raises:
        StoreError: the parent's manifest cannot be read.
    """
    if claim.stage == RunStage.ERASING:
        # Settled on their requests already, and their events are gone.
        return Standing((), frozenset())
    if claim.parent_digest is None:
        return Standing((), frozenset(claim.subjects))
    fit = read_fit_record(process.store, claim.parent_digest)
    with process.database.read() as session:
        histories = interactions.histories(session, up_to=fit.watermark, only=claim.subjects)
        requests = forget_requests.of_run(session, claim.run_id)
    data = split_training_data(histories, process.base.catalogue, claim.subjects, set(claim.subjects))
    left_out = {row.subject_hmac for row in requests if row.epoch <= fit.excludes_up_to_epoch}
    return Standing(
        known=tuple(subject for subject in data.subjects if subject not in left_out),
        unknown=frozenset(claim.subjects) - data.subjects.keys(),
    )
