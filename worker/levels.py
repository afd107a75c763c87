"""The levels that forgetting has to reach: cross-fitted once per watermark, then read by every run.

The first process that needs the levels makes them: `lethe init`, `lethe levels`, or the first run. Other processes that
need them meanwhile wait. If the maker dies, the next one goes on from the parts that were finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
import torch
from sqlalchemy.orm import Session

from app.db.errors import MakingLost, PointerMoved
from app.db.ledger import lock_ledger
from app.db.models import PartReading
from app.interactions import service as interactions
from app.levels import makings
from app.levels import queries as level_queries
from app.levels import service as levels
from app.levels.makings import Elsewhere
from app.runs import service as runs
from app.runs.service import Claim
from app.takedowns import queries as takedowns
from app.versions import queries as pointer
from recommender import Interrupted
from unlearning import NeverSeen, Progress, cross_fit
from unlearning.levels.cross_fitting import PartReadings, scheme_for
from unlearning.progress import check_stop
from worker.examples import read_examples, unlike_what_was_read
from worker.faults import FAULTS_OF_A_METHOD
from worker.lease import Lease
from worker.live_base import on_catalogue_of
from worker.making import Making
from worker.process import WorkerProcess
from worker.training_data import TrainingData
from worker.versions import FitRecord, LoadedVersion

log = structlog.get_logger()

OnStep = Callable[[Progress], None]

# How often a waiting process checks whether the levels are made, and how often it checks whether it has to stop.
_LOOK_EVERY_SECONDS = 2.0
_TICK_SECONDS = 0.2


def ensure_levels(
    process: WorkerProcess,
    claim: Claim,
    parent: LoadedVersion,
    data: TrainingData,
    lease: Lease,
    *,
    give_up_at: float | None,
) -> Mapping[str, NeverSeen] | None:
    """The level of each subject of these data, in their order. Makes missing levels, or waits for another maker.

    The result is None if a subject has no level or if no levels can be made (fewer than four users, fits that diverge
    or need more memory than the accelerator has, no time). The run then goes on with what the gate predicts from other
    users, and methods that need levels are refused.

    Args:
        data: of the parent's fit.
        give_up_at: reading of `time.monotonic` to stop at; parts that are finished by then stay for the next run. With
            None, levels are neither made nor waited for.

    Raises:
        FenceLost: another worker took the run over; nothing was stored.
        PointerMoved: a version of another fit is live by now; nothing was stored.
    """
    if not levels_are_made(process, parent):
        log.info("levels.missing", watermark=parent.fit.watermark, making=give_up_at is not None)
        if give_up_at is None:
            return None

        def progress(step: Progress) -> None:
            lease.note(f"levels: {step.stage} {step.step}/{step.steps}")

        def owned(session: Session) -> None:
            runs.owned(session, claim.run_id, claim.fence)

        def should_stop() -> bool:
            return lease.lost() or time.monotonic() >= give_up_at

        try:
            users = _make_once(
                process,
                parent,
                lambda: data,
                owned,
                actor="worker",
                on_step=progress,
                should_stop=should_stop,
            )
            log.info("levels.made", users=users)
        except Interrupted:
            lease.check()
            log.warning("levels.out_of_time")
            return None
        except FAULTS_OF_A_METHOD as error:
            log.warning("levels.impossible", error=type(error).__name__, detail=str(error))
            return None
    return _stored(process, parent, tuple(data.subjects))


def make_levels(process: WorkerProcess, parent: LoadedVersion, *, actor: str, on_step: OnStep) -> None:
    """Make the levels of a live version outside any run.

    Raises:
        UnlearningError: there are too few users, or the fits diverge.
        PointerMoved: a version fitted on other events is live by now; nothing was stored.
        OtherBase: the version was made for other items.
    """
    fit = parent.fit
    process = on_catalogue_of(process, parent)

    def read() -> TrainingData:
        epoch = fit.excludes_up_to_epoch
        return read_examples(process, fit, subjects=(), covers_epoch=epoch, newest=False).data

    _make_once(process, parent, read, lambda _: None, actor=actor, on_step=on_step, should_stop=None)


def levels_are_made(process: WorkerProcess, parent: LoadedVersion) -> bool:
    """Whether the levels for this version's watermark and the policy's smoothing are stored."""
    with process.database.read() as session:
        return _are_made(session, process, parent)


def _are_made(session: Session, process: WorkerProcess, parent: LoadedVersion) -> bool:
    smoothing = process.policy.evaluation.smoothing
    return level_queries.are_made(session, watermark=parent.fit.watermark, smoothing=smoothing)


def _make_once(
    process: WorkerProcess,
    parent: LoadedVersion,
    read: Callable[[], TrainingData],
    still_wanted: Callable[[Session], None],
    *,
    actor: str,
    on_step: OnStep,
    should_stop: Callable[[], bool] | None,
) -> int:
    """Make the levels, or wait while another process makes them; how many users this process read.

    Raises:
        Interrupted: `should_stop` returned true.
        PointerMoved: the live version was by now fitted on other events or on another base.
    """
    while True:
        making = Making(process.database, process.settings)
        with process.database.unit_of_work() as session:
            # Levels are stored under this lock too, so nobody can finish theirs between this check and `take`.
            lock_ledger(session)
            if _are_made(session, process, parent):
                return 0
            elsewhere = making.take(
                session, watermark=parent.fit.watermark, smoothing=process.policy.evaluation.smoothing
            )
        if elsewhere is not None:
            _wait(elsewhere, on_step, should_stop)
            with process.database.read() as session:
                # Otherwise this process would wait for levels that nobody makes any more.
                _require_same_fit(session, process, parent)
            continue

        def stop(making: Making = making) -> bool:
            return making.lost() or (should_stop is not None and should_stop())

        def note(step: Progress, making: Making = making) -> None:
            making.note(step)
            on_step(step)

        try:
            with making:
                return _make(
                    process, parent, read(), still_wanted, making, actor=actor, on_step=note, should_stop=stop
                )
        except (Interrupted, MakingLost) as stopped:
            check_stop(should_stop)
            if isinstance(stopped, Interrupted) and not making.lost():
                raise
            with process.database.read() as session:
                _require_same_fit(session, process, parent)


def _wait(elsewhere: Elsewhere, on_step: OnStep, should_stop: Callable[[], bool] | None) -> None:
    if elsewhere.parts:
        on_step(Progress("cross-fit elsewhere", elsewhere.done, elsewhere.parts))
    end = time.monotonic() + _LOOK_EVERY_SECONDS
    while time.monotonic() < end:
        check_stop(should_stop)
        time.sleep(_TICK_SECONDS)


def _make(
    process: WorkerProcess,
    parent: LoadedVersion,
    data: TrainingData,
    still_wanted: Callable[[Session], None],
    making: Making,
    *,
    actor: str,
    on_step: OnStep,
    should_stop: Callable[[], bool],
) -> int:
    """Cross-fit, drop the adapters, store the readings after each part; how many users were read.

    Reads everyone whom the version's fit read and whose events are still stored. That includes subjects whose run is
    yet to come: without a level now, their run would have to pay for the cross-fitting again.
    """
    everyone = data.everyone
    smoothing = process.policy.evaluation.smoothing
    users = tuple(everyone)

    def write(keep: Callable[[Session], None]) -> None:
        with process.database.unit_of_work() as session:
            lock_ledger(session)
            still_wanted(session)
            _require_same_fit(session, process, parent)
            keep(session)

    scheme = scheme_for(len(users))
    write(lambda session: makings.settle_scheme(session, making.maker, scheme.name))
    with process.database.read() as session:
        done = _parts(makings.kept(session), users)

    def keep(number: int, part: PartReadings) -> None:
        # One slice per transaction. `_parts` ignores a part that is incomplete.
        rows = _rows(part, users)
        write(lambda session: makings.forget_part(session, making.maker, number))
        for start in range(0, len(rows), interactions.ROWS_PER_SLICE):
            some = rows[start : start + interactions.ROWS_PER_SLICE]
            write(partial(makings.keep_readings, maker=making.maker, part=number, rows=some))

    found = cross_fit(
        process.base,
        parent.adapter,
        tuple(everyone.values()),
        adapter_config=parent.fit.adapter_config,
        training=parent.fit.training,
        smoothing=smoothing,
        scheme=scheme,
        # The seed of the fit, not of the run: every maker makes the same levels.
        seed=parent.fit.training.seed,
        done=done,
        on_part=keep,
        on_step=on_step,
        should_stop=should_stop,
    )
    rows = [
        {
            "subject_hmac": user,
            "smoothed_nll": level.smoothed_nll,
            "deviation": level.deviation,
            "seen_smoothed_nll": level.seen_smoothed_nll,
        }
        for user, level in zip(users, found, strict=True)
    ]
    with process.transaction() as transaction:
        still_wanted(transaction.session)
        _require_same_fit(transaction.session, process, parent)
        makings.require_maker(transaction.session, making.maker)
        levels.replace_all(
            transaction,
            rows,
            watermark=parent.fit.watermark,
            smoothing=smoothing,
            actor=actor,
            now=transaction.now(),
        )
    return len(rows)


def _rows(part: PartReadings, users: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "subject_hmac": user,
            "member": index in part.members,
            "smoothed_nll": part.own[index],
            "validation_nll": float(part.held_out[index, 0]),
            "test_nll": float(part.held_out[index, 1]),
        }
        for index, user in enumerate(users)
    ]


def _parts(kept: Iterable[PartReading], users: Sequence[str]) -> dict[int, PartReadings]:
    """The finished parts that have read all of these users.

    The readings of users who were erased since are left out. A part that lacks one of these users is fitted anew.
    """
    by_part: dict[int, dict[str, PartReading]] = {}
    for row in kept:
        by_part.setdefault(row.part, {})[row.subject_hmac] = row
    return {
        number: PartReadings(
            members=frozenset(index for index, user in enumerate(users) if rows[user].member),
            own=tuple(rows[user].smoothed_nll for user in users),
            held_out=torch.tensor(
                [[rows[user].validation_nll, rows[user].test_nll] for user in users], dtype=torch.float64
            ),
        )
        for number, rows in by_part.items()
        if rows.keys() >= set(users)
    }


def _require_same_fit(session: Session, process: WorkerProcess, parent: LoadedVersion) -> None:
    """
    Raises:
        PointerMoved: the live version is by now of other events, items or base, or the parent of an erased item's.
    """
    digest = pointer.current(session).digest
    if digest is None:
        raise PointerMoved
    manifest = process.store.read_manifest(digest)
    if (
        manifest.base_digest != process.base.digest
        # Levels are read among the items that there are: a consolidation may have taken in new ones.
        or manifest.catalogue_digest != parent.catalogue_digest
        or FitRecord.from_plain(manifest.trained_on).watermark != parent.fit.watermark
        or takedowns.erased_since(session, parent.fit.excludes_up_to_epoch)
    ):
        raise PointerMoved


def _stored(
    process: WorkerProcess, parent: LoadedVersion, subjects: tuple[str, ...]
) -> Mapping[str, NeverSeen] | None:
    fit, smoothing = parent.fit, process.policy.evaluation.smoothing
    with process.database.read(snapshot=True) as session:
        rows = level_queries.of_subjects(session, subjects, watermark=fit.watermark, smoothing=smoothing)
        # Another process may have measured these without an event that was hidden since this run has read it.
        unlike = unlike_what_was_read(session, fit, subjects)
    missing = sum(subject not in rows or subject in unlike for subject in subjects)
    if missing:
        log.warning("levels.missing_for_subjects", subjects=missing)
        return None
    found = {}
    for subject, row in ((subject, rows[subject]) for subject in subjects):
        assert row.seen_smoothed_nll is not None  # a row without it counts as not made
        found[subject] = NeverSeen(row.smoothed_nll, row.deviation, row.seen_smoothed_nll)
    return found
