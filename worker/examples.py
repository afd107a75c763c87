"""The stored events as training data. Only this module reads them from the database, once per run and fit."""

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
    """Training data. ``exact_fit`` is the record of a fit on the retained users of ``data``."""

    data: TrainingData
    exact_fit: FitRecord


def read_examples(
    process: WorkerProcess, fit: FitRecord, *, subjects: Sequence[str], covers_epoch: int, newest: bool
) -> Examples:
    """The events on which ``fit`` was made, or with ``newest`` all events that are stored by now.

    Users whom the fit left out are left out here too. Users who were suppressed since the fit are not retained.

    Args:
        subjects: the subjects to unlearn.
        covers_epoch: an epoch up to which every suppression is in the database.
    """
    # One state of the database, so that no event of it was selected, and nobody suppressed, at an epoch up to the last
    # suppression without these queries seeing that.
    with process.database.read(snapshot=True) as session:
        watermark = max(fit.watermark, interaction_queries.watermark(session)) if newest else fit.watermark
        histories = read_events(session, process.base, up_to=watermark)
        suppressed = suppressions.suppression_epochs(session)
    # Leave out whom the fit left out. No version of the fit knows them, and no later run could remove what was cached.
    left_out = fit.left_out(suppressed)
    kept = {subject: events for subject, events in histories.items() if subject not in left_out}
    data = split_training_data(
        kept,
        subjects,
        set(suppressed),
        first_target=process.base.style.first_target,
    )
    # Any suppression that is not in `suppressed` has a higher epoch than all of these.
    excluded = max(covers_epoch, *suppressed.values()) if suppressed else covers_epoch
    return Examples(data, replace(fit, watermark=watermark, excludes_up_to_epoch=excluded))
