"""Training data as of one moment, with the record that an exact fit on it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.interactions import queries as interaction_queries
from app.runs.service import Claim
from app.suppressions import queries as suppressions
from worker.process import WorkerProcess
from worker.training_data import TrainingData, split_training_data
from worker.versions import FitRecord


@dataclass(frozen=True)
class Examples:
    """``exact_fit`` is how a version fitted on the retained users of ``data`` was fitted, and whom it left out."""

    data: TrainingData
    exact_fit: FitRecord


def read_examples(
    process: WorkerProcess, claim: Claim, fit: FitRecord, *, subjects: Sequence[str], newest: bool
) -> Examples:
    """The events ``fit`` was made on, or with ``newest`` all there are by now, without anyone suppressed by now.

    Args:
        subjects: those of the claim whose sequences are wanted, to unlearn them.
    """
    with process.database.read() as session:
        watermark = max(fit.watermark, interaction_queries.watermark(session)) if newest else fit.watermark
        histories = interaction_queries.histories(session, up_to=watermark)
        # Read last, so that nobody suppressed meanwhile is trained on.
        suppressed = suppressions.suppression_epochs(session)
    # Whom the fit left out is in none of its versions: nothing of theirs is cached, and no later run takes it out.
    left_out = {subject for subject, epoch in suppressed.items() if epoch <= fit.excludes_up_to_epoch}
    kept = {subject: items for subject, items in histories.items() if subject not in left_out}
    data = split_training_data(kept, process.base.catalogue, subjects, set(suppressed))
    # Everyone with an epoch up to here is in `suppressed`: see there, and the claim came before.
    excluded = max(claim.covers_epoch, *suppressed.values()) if suppressed else claim.covers_epoch
    return Examples(data, replace(fit, watermark=watermark, excludes_up_to_epoch=excluded))
