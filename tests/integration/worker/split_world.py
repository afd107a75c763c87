"""Users whom a tiny adapter remembers, and policies whose thresholds fall between what is measured on them.

The figures come from real models, so nobody knows them by heart: a test reads them first and puts the gate where one
subject fails and the others pass, or where all together fail and half of them pass.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from app.db.base import utc_now
from app.db.models import NeverSeenLevel
from app.versions import queries as pointer
from recommender import AdapterConfig, TrainingConfig
from tests.integration.tiny_model import ITEMS, FirstFit, subject_of
from unlearning import EvaluationInputs, ForgetTask, Policy, Report, Rung, build_method, evaluate
from unlearning.gate.band import z_score
from worker.process import WorkerProcess
from worker.stored_events import read_events
from worker.training_data import split_training_data
from worker.versions import load_version, read_fit_record


def _history(number: int) -> list[int]:
    """Eight items that follow a pattern, to be learnt, then two that follow none: held out, and not to be guessed."""
    learnt = [(number * 5 + 7 * step) % ITEMS for step in range(8)]
    others = [item for item in range(ITEMS) if item not in learnt]
    return learnt + random.Random(number).sample(others, 2)


USERS = {f"user-{number}": _history(number) for number in range(20)}
TRAINING = TrainingConfig(epochs=60, lr=1e-2, batch_size=4, patience=None, seed=1)
SHAPE = AdapterConfig(r=8, alpha=16)
SPLIT_WORLD = FirstFit(USERS, TRAINING, SHAPE)
# Knows nothing of the subjects and draws nothing: the same candidate for any group of them.
SHRINK = Rung("uniform_shrink", {"factor": 0.2})


def lenient(policy: Policy, *, ladder: Sequence[Rung]) -> Policy:
    """Tests membership alone, on as few users as there are; an exact rung is always let through."""
    return replace(
        policy,
        ladder=tuple(ladder),
        min_reference_users=2,
        utility_margin=100.0,
        held_out_margin=100.0,
        wide_held_out_margin=100.0,
        neighbour_margin=100.0,
        relearning_margin=100.0,
        tail_z=1e9,
        exact_alarm_z=1e9,
        # Without these two the band is as narrow for all subjects together as for one, and only on one side wrong.
        reference_error=0.1,
        memory_variation=0.0,
    )


def measured(process: WorkerProcess, rung: Rung, users: Sequence[str]) -> Report:
    """The report on what a rung makes of the live version for these users."""
    with process.database.read() as session:
        digest = pointer.current(session).digest
        assert digest is not None
        parent = load_version(process.store, digest)
        histories = read_events(session, process.base, up_to=parent.fit.watermark)
    subjects = [subject_of(user) for user in users]
    data = split_training_data(histories, subjects, set(subjects))
    task = ForgetTask(
        base=process.base,
        adapter=parent.adapter,
        forget=data.forget,
        retain=data.retain,
        retain_validation=(),
        statistics=None,
        training=parent.fit.training,
        adapter_config=parent.fit.adapter_config,
        seed=0,
    )
    inputs = EvaluationInputs.prepare(
        process.base, parent.adapter, subjects=data.forget, retained=data.retained, seed=0
    )
    method = build_method(rung.method, rung.config)
    return evaluate(inputs, method.run(task), method)


def do_without_levels(process: WorkerProcess) -> None:
    """The thresholds are put between figures measured without levels. Levels that none of the subjects is among are
    made already, says this row, so the runs do without as well.
    """
    with process.database.unit_of_work() as session:
        digest = pointer.current(session).digest
        assert digest is not None
        session.add(
            NeverSeenLevel(
                subject_hmac=subject_of("somebody-else"),
                watermark=read_fit_record(process.store, digest).watermark,
                smoothing=process.policy.evaluation.smoothing,
                smoothed_nll=2.0,
                deviation=0.5,
                seen_smoothed_nll=1.0,
                created_at=utc_now(),
            )
        )


def limited(policy: Policy, z: float) -> Policy:
    """The same policy with this edge of the band."""
    return replace(policy, membership_z=z, min_power=z)


def z_of_each(report: Report, policy: Policy) -> list[float]:
    """Where each subject lies in its band."""
    return [z_score(evidence, policy) for evidence in report.membership.subjects]


def z_of_all(report: Report, policy: Policy) -> float:
    """Where they lie all together."""
    return z_score(report.membership.run, policy)
