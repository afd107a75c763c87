"""Levels of models that never saw a user: made once, used by every run, gone with their subject."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sqlalchemy import select

import worker.levels
from app.attempts import queries as attempt_queries
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.errors import PointerMoved
from app.db.models import Attempt, AuditEntry, NeverSeenLevel, Run, Version
from app.interactions import queries as interactions
from app.interactions.service import NewInteraction, ingest
from app.levels import service as levels
from app.versions import queries as version_queries
from recommender import AdapterMismatch
from tests.integration.killing import killed_at
from tests.integration.tiny_model import USERS, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import install
from unlearning import Progress, Rung
from unlearning.errors import InvalidEvaluation
from worker.execution import execute
from worker.levels import levels_are_made, make_levels
from worker.process import WorkerProcess
from worker.versions import LoadedVersion, load_version

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

EVERYBODY = {subject_of(user) for user in USERS}


def ladder(process: WorkerProcess, *rungs: Rung) -> WorkerProcess:
    return replace(process, policy=replace(process.policy, ladder=rungs))


REFIT = Rung("refit", {})


def rows(process: WorkerProcess) -> dict[str, tuple[float, float, float | None]]:
    with process.database.read() as session:
        return {
            row.subject_hmac: (row.smoothed_nll, row.deviation, row.seen_smoothed_nll)
            for row in session.scalars(select(NeverSeenLevel))
        }


def makings_on_record(process: WorkerProcess) -> list[dict[str, Any]]:
    """What the audit log says about them."""
    with process.database.read() as session:
        assert process.audit.first_broken(session) is None
        return list(session.scalars(select(AuditEntry.data).where(AuditEntry.action == "levels.made")))


def status(process: WorkerProcess, run_id: str) -> str:
    with process.database.read() as session:
        return session.get_one(Run, run_id).status


def live_version(process: WorkerProcess) -> LoadedVersion:
    with process.database.read() as session:
        digest = version_queries.current(session).digest
    assert digest is not None
    return load_version(process.store, digest)


def make(process: WorkerProcess, parent: LoadedVersion | None = None) -> None:
    def ignore(_: Progress) -> None:
        """Nobody watches."""

    make_levels(process, parent or live_version(process), actor="tests", on_step=ignore)


def test_the_first_run_makes_them_and_the_second_finds_them(process: WorkerProcess) -> None:
    process = ladder(process, REFIT)
    first = request_forgetting(process, "user-1")
    execute(process, first)
    made = rows(process)
    # The subject had one; it went with the subject's events.
    assert made.keys() == EVERYBODY - {subject_of("user-1")}
    assert all(math.isfinite(number) and number > 0 for level in made.values() for number in level)
    second = request_forgetting(process, "user-2")
    execute(process, second)
    # The refit in between changed the adapter, not what anybody's events would be to a model that never saw them.
    assert rows(process) == {user: level for user, level in made.items() if user != subject_of("user-2")}
    watermark = live_version(process).fit.watermark
    assert makings_on_record(process) == [{"watermark": watermark, "smoothing": 0.2, "users": len(USERS)}]
    assert status(process, first) == status(process, second) == "completed"


def test_a_run_reads_the_events_once_whatever_it_makes_of_them(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, read = interactions.histories, []

    def reading(*arguments: Any, **named: Any) -> Any:
        read.append(named)
        return real(*arguments, **named)

    monkeypatch.setattr(interactions, "histories", reading)
    # Sorting the subjects, levels, an edit and a fit all take from the same reading.
    process = ladder(process, Rung("least_change", {}), REFIT)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert (status(process, run_id), len(makings_on_record(process))) == ("completed", 1)
    assert read == [{"up_to": live_version(process).fit.watermark}]


def test_the_gate_and_a_method_that_needs_levels_get_them(process: WorkerProcess) -> None:
    make(process)
    known = rows(process)[subject_of("user-3")]
    process = ladder(process, Rung("least_change", {}), REFIT)
    run_id = request_forgetting(process, "user-3")
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    assert len(makings_on_record(process)) == 1
    with process.database.read() as session:
        attempts = attempt_queries.of_run(session, run_id)
    assert [attempt.method for attempt in attempts] == ["least_change", "refit"]
    for attempt in attempts:
        (evidence,) = attempt.report["membership"]["subjects"]
        assert evidence["never_seen"]["deviation"] == pytest.approx(known[1])
    assert "error" not in attempts[0].verdict


@pytest.mark.parametrize(
    "step", ["worker.levels.cross_fit", "app.levels.service.replace_all", "worker.levels._stored"]
)
def test_a_worker_that_dies_over_them_is_replaced(process: WorkerProcess, step: str) -> None:
    process = ladder(process, REFIT)
    run_id = request_forgetting(process, "user-1")
    with killed_at(step, after=True):
        execute(process, run_id)
    # All or nothing: what the transaction had written when it ended is not there.
    assert rows(process).keys() == (EVERYBODY if step.endswith("_stored") else set())
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    assert len(makings_on_record(process)) == 1


def stalling(real: Callable[..., Any], meanwhile: Callable[[], None]) -> Callable[..., Any]:
    """The first call ends late: something else happens before it returns."""
    stalled: list[None] = []

    def call(*arguments: Any, **named: Any) -> Any:
        result = real(*arguments, **named)
        if not stalled:
            stalled.append(None)
            meanwhile()
        return result

    return call


def test_a_zombie_stores_none(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker import levels as made_by_workers

    process = ladder(process, REFIT)
    run_id = request_forgetting(process, "user-1")

    def another_worker_claims() -> None:
        let_the_lease_lapse(process.database, run_id)
        with killed_at("worker.execution.climb"):
            execute(process, run_id)

    real = made_by_workers.cross_fit
    monkeypatch.setattr(made_by_workers, "cross_fit", stalling(real, another_worker_claims))
    execute(process, run_id)
    assert rows(process) == {}
    assert makings_on_record(process) == []
    assert status(process, run_id) == "running"


def test_whoever_was_erased_meanwhile_gets_no_row(process: WorkerProcess) -> None:
    process = ladder(process, REFIT)
    execute(process, request_forgetting(process, "user-1"))
    remade = [
        {"subject_hmac": subject_of(user), "smoothed_nll": 3.0, "deviation": 0.5, "seen_smoothed_nll": 2.0}
        for user in USERS
    ]
    with process.database.unit_of_work() as session:
        levels.replace_all(
            Transaction(session, process.audit),
            remade,
            watermark=1,
            smoothing=0.5,
            actor="tests",
            now=utc_now(),
        )
    assert rows(process) == dict.fromkeys(EVERYBODY - {subject_of("user-1")}, (3.0, 0.5, 2.0))
    assert makings_on_record(process)[-1] == {"watermark": 1, "smoothing": 0.5, "users": len(USERS) - 1}


def test_whoever_waits_for_another_run_gets_a_level_too(process: WorkerProcess) -> None:
    """Without one, the price would be paid again when their turn comes."""
    request_forgetting(process, "user-1", "user-2")
    make(process)
    assert rows(process).keys() == EVERYBODY


def test_another_smoothing_needs_other_levels(process: WorkerProcess) -> None:
    make(process)
    first = rows(process)
    policy = process.policy
    process = replace(process, policy=replace(policy, evaluation=replace(policy.evaluation, smoothing=0.5)))
    assert not levels_are_made(process, live_version(process))
    make(process)
    second = rows(process)
    assert second.keys() == first.keys()
    # The same fits, read otherwise.
    for user, figures in second.items():
        assert all(one != other for one, other in zip(figures, first[user], strict=True))
    assert [made["smoothing"] for made in makings_on_record(process)] == [0.2, 0.5]


def test_without_a_level_for_everybody_the_run_does_without(process: WorkerProcess) -> None:
    make(process)
    with process.database.unit_of_work() as session:
        session.delete(session.get_one(NeverSeenLevel, subject_of("user-2")))
    process = ladder(process, Rung("least_change", {}), REFIT)
    run_id = request_forgetting(process, "user-1", "user-2")
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    with process.database.read() as session:
        (refit,) = attempt_queries.of_run(session, run_id)
        (left_out,) = attempt_queries.skipped_of_run(session, run_id)
    assert (left_out.method, left_out.code) == ("least_change", "no_levels")
    assert refit.accepted
    assert all(subject["never_seen"] is None for subject in refit.report["membership"]["subjects"])


@pytest.mark.parametrize("error", [InvalidEvaluation, AdapterMismatch, torch.OutOfMemoryError])
def test_levels_that_cannot_be_made_do_not_stop_a_run(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Fits that diverge, say: their readings are not finite, or their weights are no adapter. Or there is no room."""

    def diverge(*_: Any, **__: Any) -> None:
        raise error("not finite")

    monkeypatch.setattr("worker.levels.cross_fit", diverge)
    process = ladder(process, REFIT)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    assert rows(process) == {}


def test_a_run_that_has_no_time_for_them_does_without(process: WorkerProcess) -> None:
    """A re-fit once took an hour: four halves more would never end within the limit of a run."""
    process = ladder(process, REFIT)
    run_id = request_forgetting(process, "user-1")
    now = utc_now()
    with process.database.unit_of_work() as session:
        session.add(
            Attempt(
                run_id=run_id, fence=0, number=0, step=0, requests=[], method="refit", config={},
                policy_hash="0" * 64, started_at=now - timedelta(hours=1), finished_at=now,
                decision="pass", accepted=True, report={}, verdict={},
            )
        )  # fmt: skip
    execute(process, run_id)
    assert status(process, run_id) == "completed"
    assert rows(process) == {}


def test_levels_that_take_too_long_are_given_up_and_the_run_goes_on(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No re-fit is on record, so nobody knows beforehand. Half of the run's time is what they get."""
    started = utc_now()
    process = ladder(process, REFIT)
    process = replace(process, settings=process.settings.model_copy(update={"run_soft_limit_seconds": 600}))

    monotonic = time.monotonic

    def later() -> float:
        return monotonic() + 301

    real = worker.levels.cross_fit

    def slow(*arguments: Any, **named: Any) -> Any:
        assert not named["should_stop"]()
        monkeypatch.setattr("worker.levels.time", SimpleNamespace(monotonic=later))
        return real(*arguments, **named)

    monkeypatch.setattr("worker.levels.cross_fit", slow)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert utc_now() - started < timedelta(seconds=299)
    assert status(process, run_id) == "completed"
    assert rows(process) == {}


def test_a_consolidation_on_newer_events_drops_them(process: WorkerProcess) -> None:
    make(process)
    execute(process, request_consolidation(process))
    # Nobody has acted since: they still hold.
    assert rows(process).keys() == EVERYBODY
    with process.database.unit_of_work() as session:
        ingest(session, [NewInteraction(subject_of("user-2"), "i23", 99)])
    execute(process, request_consolidation(process))
    assert rows(process) == {}


def test_another_first_version_starts_without_levels(process: WorkerProcess, installed: str) -> None:
    make(process)
    with process.database.read() as session:
        version = session.get_one(Version, installed)
    install(process, version, parent=installed)
    assert rows(process) == {}


def test_levels_read_among_fewer_items_are_not_kept_for_a_version_of_more(process: WorkerProcess) -> None:
    parent = live_version(process)
    with process.database.read() as session:
        worker.levels._require_same_fit(session, process, parent)
        with pytest.raises(PointerMoved):
            worker.levels._require_same_fit(session, process, replace(parent, catalogue_digest="0" * 64))
