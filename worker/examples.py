"""The stored events as training data. Only this module reads them from the database, once per run and fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.interactions import queries as interaction_queries
from app.selections import queries as selections
from app.suppressions import queries as suppressions
from worker.process import WorkerProcess
from worker.stored_events import read_events
from worker.training_data import TrainingData, split_training_data
from worker.versions import FitRecord


def unlike_what_was_read(session: Session, fit: FitRecord, subjects: Collection[str]) -> frozenset[str]:
    """Those of these subjects of whom other events are shown than the fit may have read. What is shown measures too
    little of what the fit knows.
    """
    # Of events that were selected or taken down, the ladder sees nothing, and the version may know them.
    hidden = selections.hidden_among(session, subjects, up_to=fit.watermark)
    # Of what is shown again it sees more than the version has read.
    return hidden | selections.shown_again_among(session, subjects, left_out_up_to=fit.excludes_up_to_epoch)


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
    Subjects of whom the fit has read other events than are shown are ``waiting``: nothing can be measured of them.

    Args:
        subjects: the subjects to unlearn.
        covers_epoch: an epoch up to which every suppression is in the database.
    """
    # One state of the database, so that no event of it was selected, and nobody suppressed, at an epoch up to the last
    # suppression without these queries seeing that, and none is hidden to one of them and shown to another.
    with process.database.read(snapshot=True) as session:
        watermark = max(fit.watermark, interaction_queries.watermark(session)) if newest else fit.watermark
        histories = read_events(session, process.base, up_to=watermark)
        suppressed = suppressions.suppression_epochs(session)
        unlike = unlike_what_was_read(session, fit, subjects)
    # Leave out whom the fit left out. No version of the fit knows them, and no later run could remove what was cached.
    left_out = fit.left_out(suppressed)
    kept = {subject: events for subject, events in histories.items() if subject not in left_out}
    data = split_training_data(
        kept,
        [subject for subject in subjects if subject not in unlike],
        set(suppressed),
        first_target=process.base.style.first_target,
    )
    # Any suppression that is not in `suppressed` has a higher epoch than all of these.
    excluded = max(covers_epoch, *suppressed.values()) if suppressed else covers_epoch
    return Examples(data, replace(fit, watermark=watermark, excludes_up_to_epoch=excluded))
