"""The stored events as training data: read from the database here only, once for a run and a fit that it works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.interactions import queries as interaction_queries
from app.suppressions import queries as suppressions
from worker.process import WorkerProcess
from worker.stored_events import read_events
from worker.training_data import TrainingData, split_training_data
from worker.versions import FitRecord


@dataclass(frozen=True)
class Examples:
    """``exact_fit`` is how a version fitted on the retained users of ``data`` was fitted, and whom it left out."""

    data: TrainingData
    exact_fit: FitRecord


def read_examples(
    process: WorkerProcess, fit: FitRecord, *, subjects: Sequence[str], covers_epoch: int, newest: bool
) -> Examples:
    """The events ``fit`` was made on, or with ``newest`` all there are by now.

    Whom the fit left out is in no part of it. Whoever was suppressed since is not retained.

    Args:
        subjects: those whose sequences are wanted, to unlearn them.
        covers_epoch: everyone with an epoch up to this one is suppressed by now.
    """
    with process.database.read() as session:
        watermark = max(fit.watermark, interaction_queries.watermark(session)) if newest else fit.watermark
        histories = read_events(session, process.base, up_to=watermark)
        # Read last, so that nobody suppressed meanwhile is trained on.
        suppressed = suppressions.suppression_epochs(session)
    # Whom the fit left out is in none of its versions: nothing of theirs is cached, and no later run takes it out.
    left_out = fit.left_out(suppressed)
    kept = {subject: events for subject, events in histories.items() if subject not in left_out}
    data = split_training_data(
        kept,
        subjects,
        set(suppressed),
        first_target=process.base.style.first_target,
    )
    # Whoever is not in `suppressed` has a higher epoch than all of these.
    excluded = max(covers_epoch, *suppressed.values()) if suppressed else covers_epoch
    return Examples(data, replace(fit, watermark=watermark, excludes_up_to_epoch=excluded))
