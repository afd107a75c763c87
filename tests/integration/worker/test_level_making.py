"""Levels are made once, by one maker at a time, and a maker that dies leaves its finished parts to the next."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import worker.levels
from app.attempts import queries as attempt_queries
from app.db.base import utc_now
from app.db.models import LevelMaking
from app.levels import makings
from app.levels import service as levels
from recommender import Interrupted
from tests.integration.killing import Killed
from tests.integration.tiny_model import subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.test_levels import (
    EVERYBODY,
    REFIT,
    ladder,
    live_version,
    make,
    makings_on_record,
    rows,
    status,
)
from unlearning.levels import cross_fitting
from worker.execution import execute
from worker.process import WorkerProcess


def part_readings(process: WorkerProcess) -> set[int]:
    """The parts of which readings are kept."""
    with process.database.read() as session:
        return {row.part for row in makings.kept(session)}


def let_the_making_lapse(process: WorkerProcess) -> None:
    """What time would do to a maker that is gone."""
    with process.database.unit_of_work() as session:
        session.get_one(LevelMaking, 1).lease_until = utc_now() - timedelta(seconds=1)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the parts that are fitted from here on."""
    fitted: list[int] = []
    real = cross_fitting.fit_anew

    def fit(base: Any, sequences: Any, shape: Any, training: Any, **named: Any) -> Any:
        fitted.append(training.seed)
        return real(base, sequences, shape, training, **named)

    monkeypatch.setattr(worker.levels, "cross_fit", partial(cross_fitting.cross_fit, fit=fit))
    return fitted


def make_one_part(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker is told to stop before its second."""
    real = makings.forget_part

    def stop(session: Any, maker: str, part: int) -> None:
        if part == 1:
            raise Interrupted("enough")
        real(session, maker, part)

    with monkeypatch.context() as patched:
        patched.setattr(makings, "forget_part", stop)
        with pytest.raises(Interrupted):
            make(process)
    assert part_readings(process) == {0}


def test_a_run_that_needs_them_waits_for_whoever_makes_them(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lethe up` makes them in one process while its worker's first run begins in another."""
    fitted = counting(monkeypatch)
    monkeypatch.setattr(worker.levels, "_LOOK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(worker.levels, "_TICK_SECONDS", 0.01)
    waiting = threading.Event()
    real_wait, real_cross_fit = worker.levels._wait, worker.levels.cross_fit

    def wait(*arguments: Any) -> None:
        waiting.set()
        real_wait(*arguments)

    def cross_fit(*arguments: Any, **named: Any) -> Any:
        found = real_cross_fit(*arguments, **named)
        # Not before the run has come and seen that somebody makes them.
        assert waiting.wait(300)
        return found

    monkeypatch.setattr(worker.levels, "_wait", wait)
    monkeypatch.setattr(worker.levels, "cross_fit", cross_fit)
    parent = live_version(process)
    refitting = ladder(process, REFIT)
    run_id = request_forgetting(process, "user-1")
    taken = threading.Event()
    real_take = makings.take

    def take(*arguments: Any, **named: Any) -> Any:
        found = real_take(*arguments, **named)
        taken.set()
        return found

    monkeypatch.setattr(makings, "take", take)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(make, process, parent)
        assert taken.wait(300)
        execute(refitting, run_id)
        making.result()
    assert len(fitted) == 4
    assert len(makings_on_record(process)) == 1
    assert rows(process).keys() == EVERYBODY - {subject_of("user-1")}
    with process.database.read() as session:
        (attempt,) = attempt_queries.of_run(session, run_id)
    assert all(one["never_seen"] for one in attempt.report["membership"]["subjects"])
    assert part_readings(process) == set()


def test_levels_that_are_stored_between_a_look_and_a_step_are_not_made_again(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits looks, sees none, and would take up the making that has just come to its end."""
    parent = live_version(process)
    fitted = counting(monkeypatch)
    real, done = worker.levels.levels_are_made, []

    def looked(*arguments: Any) -> bool:
        found = real(*arguments)
        if not done:
            done.append(None)
            make(process, parent)
        return found

    monkeypatch.setattr(worker.levels, "levels_are_made", looked)
    run_id = request_forgetting(process, "user-1")
    execute(ladder(process, REFIT), run_id)
    assert status(process, run_id) == "completed"
    assert len(fitted) == 4


def test_a_run_goes_on_without_them_where_their_maker_takes_too_long(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    watermark = live_version(process).fit.watermark
    with process.database.unit_of_work() as session:
        makings.take(session, "somebody", watermark=watermark, smoothing=0.2, lease=timedelta(hours=1))
        makings.renew(session, "somebody", lease=timedelta(hours=1), done=30, parts=400)
    process = ladder(process, REFIT)
    process = replace(process, settings=process.settings.model_copy(update={"run_soft_limit_seconds": 4}))
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    assert rows(process) == {}


def made_and_dropped(process: WorkerProcess) -> dict[str, tuple[float, float, float | None]]:
    """The levels as they are made without any trouble; nothing of them is left."""
    make(process)
    expected = rows(process)
    with process.database.unit_of_work() as session:
        levels.drop_all(session)
    return expected


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_whoever_comes_after_a_maker_that_died_makes_only_what_is_left(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    expected = made_and_dropped(process)
    fitted = counting(monkeypatch)
    real = makings.forget_part

    def die(session: Any, maker: str, part: int) -> None:
        if part == dies_at:
            raise Killed
        real(session, maker, part)

    with monkeypatch.context() as patched:
        patched.setattr(makings, "forget_part", die)
        # Killed: it releases nothing.
        patched.setattr(makings, "release", lambda *_: None)
        with pytest.raises(Killed):
            make(process)
    assert part_readings(process) == set(range(dies_at))
    assert len(fitted) == dies_at + 1
    let_the_making_lapse(process)
    fitted.clear()
    make(process)
    # The one that was being made when it died is the only one that is made twice.
    assert len(fitted) == 4 - dies_at
    assert rows(process) == expected
    assert part_readings(process) == set()


def test_whoever_is_erased_between_two_parts_is_in_none_of_what_is_kept(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_one_part(process, monkeypatch)
    with monkeypatch.context() as patched:
        # This run has no time for levels, so that what is kept stays as it is.
        patched.setattr("worker.ladder._give_up_levels_at", lambda *_: None)
        execute(ladder(process, REFIT), request_forgetting(process, "user-1"))
    with process.database.read() as session:
        kept = {row.subject_hmac for row in makings.kept(session)}
    assert kept == EVERYBODY - {subject_of("user-1")}
    fitted = counting(monkeypatch)
    make(process)
    assert len(fitted) == 3
    assert rows(process).keys() == EVERYBODY - {subject_of("user-1")}


def test_parts_of_another_fit_or_another_smoothing_are_not_gone_on_from(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = counting(monkeypatch)
    make_one_part(process, monkeypatch)
    fitted.clear()
    policy = process.policy
    process = replace(process, policy=replace(policy, evaluation=replace(policy.evaluation, smoothing=0.5)))
    make(process)
    assert len(fitted) == 4


def test_parts_that_another_scheme_cut_are_not_gone_on_from(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that has grown or shrunk since is cut otherwise: part 0 of another scheme is another part."""
    expected = made_and_dropped(process)
    fitted = counting(monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(worker.levels, "scheme_for", lambda _: cross_fitting.Scheme(rounds=1, parts=4))
        make_one_part(process, monkeypatch)
    fitted.clear()
    make(process)
    assert len(fitted) == 4
    assert rows(process) == expected


def test_a_maker_whose_lease_was_taken_over_stores_nothing(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen: somebody else has made them by the time it goes on."""
    parent = live_version(process)
    real, thawed = worker.levels.cross_fit, []

    def frozen(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        if not thawed:
            thawed.append(None)
            let_the_making_lapse(process)
            make(process, parent)
        return found

    monkeypatch.setattr(worker.levels, "cross_fit", frozen)
    make(process, parent)
    assert len(makings_on_record(process)) == 1
    assert rows(process).keys() == EVERYBODY
