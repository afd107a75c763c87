"""Runs that are split, with real models: who fails does not hold the others up, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.attempts import queries as attempts
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import AuditEntry, ForgetRequest, Interaction
from app.forget_requests import service as forget_requests
from app.runs import queries as run_queries
from app.runs import service as runs
from app.settings import Settings
from app.versions import queries as pointer
from tests.integration.killing import killed_at
from tests.integration.tiny_model import FirstFit, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import request_of, took
from tests.integration.worker.split_world import (
    SHRINK,
    SPLIT_WORLD,
    do_without_levels,
    lenient,
    limited,
    measured,
    z_of_all,
    z_of_each,
)
from unlearning import Rung, Search
from worker.execution import execute
from worker.process import WorkerProcess, open_process
from worker.versions import load_version

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

THREE = ("user-0", "user-1", "user-2")
FOUR = (*THREE, "user-3")
REFIT = Rung("refit", {})


@pytest.fixture
def first_fit() -> FirstFit:
    return SPLIT_WORLD


@pytest.fixture
def process(settings: Settings, installed: str) -> Iterator[WorkerProcess]:
    opened = open_process(settings)
    do_without_levels(opened)
    yield replace(opened, policy=lenient(opened.policy, ladder=[SHRINK, REFIT]))
    opened.database.dispose()


def where_one_of_three_fails(process: WorkerProcess) -> tuple[WorkerProcess, str]:
    """A gate between the worst and the second worst of three; and the worst."""
    report = measured(process, SHRINK, THREE)
    z = dict(zip(THREE, z_of_each(report, process.policy), strict=True))
    *_, second, worst = sorted(THREE, key=lambda user: z[user])
    limit = (z[second] + z[worst]) / 2
    assert 0 < z_of_all(report, process.policy) < limit
    return replace(process, policy=limited(process.policy, limit)), worst


def everything(process: WorkerProcess, run_id: str | None) -> list[str]:
    """Execute this run and whichever it says is next, as the worker does; the ids."""
    done = []
    while run_id is not None:
        done.append(run_id)
        assert len(done) < 10
        run_id = execute(process, run_id)
    return done


def tried(process: WorkerProcess, run_id: str) -> list[tuple[int, int, int, bool]]:
    with process.database.read() as session:
        found = attempts.of_run(session, run_id)
    return [(one.number or 0, one.step, len(one.requests or ()), one.accepted) for one in found]


def audited(process: WorkerProcess, action: str) -> list[dict[str, object]]:
    with process.database.read() as session:
        assert process.audit.first_broken(session) is None
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == action))
        return [dict(entry.data) for entry in entries.all()]


def assert_everybody_was_forgotten_once(process: WorkerProcess, *users: str) -> None:
    requests = [request_of(process, user) for user in users]
    assert {(request.status, request.outcome) for request in requests} == {("completed", "erased")}
    completed = [identity for entry in audited(process, "forget.completed") for identity in entry["requests"]]  # type: ignore[attr-defined]
    assert sorted(completed) == sorted(request.id for request in requests)
    with process.database.read() as session:
        subjects = [subject_of(user) for user in users]
        assert (
            session.scalars(select(Interaction).where(Interaction.subject_hmac.in_(subjects))).first() is None
        )
        serving = pointer.current(session)
    assert serving.digest is not None
    store = process.store
    assert [digest for digest in store.versions() if not store.is_destroyed(digest)] == [serving.digest]
    assert store.read_manifest(serving.digest).forget_epoch >= serving.erasure_floor


def test_one_of_three_fails_and_completes_by_the_next_rung_in_a_run_of_its_own(
    process: WorkerProcess,
) -> None:
    process, worst = where_one_of_three_fails(process)
    run_id = request_forgetting(process, *THREE)
    before = request_of(process, worst)
    next_run = execute(process, run_id)
    left = request_of(process, worst)
    assert (left.status, left.run_id, left.first_step, left.due_at) == ("queued", None, 1, before.due_at)
    others = [request_of(process, user) for user in THREE if user != worst]
    assert {(one.status, one.run_id) for one in others} == {("completed", run_id)}
    assert tried(process, run_id) == [(0, 0, 3, True)]
    assert audited(process, "forget.split_out") == [{"run": run_id, "requests": [left.id], "step": 1}]
    with process.database.read() as session:
        events = select(Interaction).where(Interaction.subject_hmac == left.subject_hmac)
        assert session.scalars(events).first() is not None
        live = pointer.current(session).digest
    assert live is not None
    assert not load_version(process.store, live).exact
    assert next_run is not None
    assert everything(process, next_run) == [next_run]
    assert tried(process, next_run) == [(0, 1, 1, True)]
    assert request_of(process, worst).run_id == next_run
    assert_everybody_was_forgotten_once(process, *THREE)


def test_who_fails_the_last_rung_needs_a_person_alone(process: WorkerProcess) -> None:
    process, worst = where_one_of_three_fails(process)
    process = replace(process, policy=replace(process.policy, ladder=(SHRINK,)))
    run_id = request_forgetting(process, *THREE)
    assert everything(process, run_id) == [run_id]
    left = request_of(process, worst)
    assert (left.status, left.detail_code, left.run_id) == ("needs_attention", "ladder_exhausted", None)
    assert {request_of(process, user).status for user in THREE if user != worst} == {"completed"}
    assert audited(process, "forget.needs_attention") == [
        {"run": run_id, "requests": [left.id], "code": "ladder_exhausted"}
    ]
    # Somebody puts a rung behind it and asks again.
    process = replace(process, policy=replace(process.policy, ladder=(SHRINK, REFIT)))
    with process.database.unit_of_work() as session:
        forget_requests.retry(Transaction(session, process.audit), left.id, actor="tests", now=utc_now())
        retried = run_queries.queued_run(session)
    everything(process, retried)
    assert_everybody_was_forgotten_once(process, *THREE)


def test_a_run_that_fails_as_a_whole_is_halved(process: WorkerProcess) -> None:
    """Four subjects who are each inside the band are outside it together; two of them are not."""
    policy = replace(process.policy, reference_error=0.0, memory_variation=0.05)
    full, half = measured(process, SHRINK, FOUR), measured(process, SHRINK, FOUR[:2])
    z_full, z_half = z_of_all(full, policy), z_of_all(half, policy)
    limit = (z_full + z_half) / 2
    assert max(z_of_each(full, policy)) < z_half < limit < z_full
    process = replace(process, policy=limited(policy, limit))
    run_id = request_forgetting(process, *FOUR)
    next_run = execute(process, run_id)
    assert tried(process, run_id) == [(0, 0, 4, False), (1, 0, 2, True)]
    assert [request_of(process, user).status for user in FOUR] == [
        "completed", "completed", "queued", "queued",
    ]  # fmt: skip
    assert {request_of(process, user).first_step for user in FOUR} == {0}
    everything(process, next_run)
    assert_everybody_was_forgotten_once(process, *FOUR)


def test_nobody_passing_takes_the_whole_run_to_the_next_rung(process: WorkerProcess) -> None:
    least = min(z_of_each(measured(process, SHRINK, THREE), process.policy))
    process = replace(process, policy=limited(process.policy, least / 2))
    run_id = request_forgetting(process, *THREE)
    assert everything(process, run_id) == [run_id]
    assert tried(process, run_id) == [(0, 0, 3, False), (1, 1, 3, True)]
    assert_everybody_was_forgotten_once(process, *THREE)


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("app.attempts.service.record", True),
        ("app.versions.service.split_out", True),
        ("app.versions.service.publish", True),
        ("worker.execution.publish_candidate", True),
        ("app.runs.completion.erase_subjects", True),
        ("app.runs.completion.complete", True),
    ],
)
def test_a_worker_that_dies_around_the_split_loses_nobody_and_serves_nobody_twice(
    process: WorkerProcess, step: str, after: bool
) -> None:
    process, worst = where_one_of_three_fails(process)
    run_id = request_forgetting(process, *THREE)
    with killed_at(step, after=after):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    done = everything(process, run_id)
    assert execute(process, run_id) is None  # a second delivery
    assert len(done) == 2
    assert request_of(process, worst).run_id == done[1]
    assert len(audited(process, "forget.split_out")) == 1
    assert_everybody_was_forgotten_once(process, *THREE)


def test_a_published_run_claims_only_those_it_serves(process: WorkerProcess) -> None:
    process, worst = where_one_of_three_fails(process)
    run_id = request_forgetting(process, *THREE)
    with killed_at("worker.execution.wait_for_acknowledgement"):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    with process.database.unit_of_work() as session:
        claim = runs.claim(
            Transaction(session, process.audit),
            run_id,
            now=utc_now(),
            lease=timedelta(seconds=60),
            max_claims=3,
            max_subjects=64,
            policy={},
            policy_hash=process.policy.hash,
        )
    assert claim is not None
    assert set(claim.subjects) == {subject_of(user) for user in THREE if user != worst}


def test_a_newcomer_does_not_join_a_request_that_has_climbed(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import execution

    process, worst = where_one_of_three_fails(process)
    run_id = request_forgetting(process, *THREE)
    real = execution.climb

    def climb(*arguments: object, **named: object) -> object:
        if request_count(process) == 3:
            request_forgetting(process, "user-9")
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(execution, "climb", climb)
    done = everything(process, run_id)
    assert [request_of(process, user).run_id for user in (worst, "user-9")] == done[1:]
    # The one who had climbed starts at its rung. Its re-fit reads no suppressed user's events, the newcomer's neither,
    # and so leaves nothing to do for the newcomer's own run.
    assert tried(process, done[1])[0][1] == 1
    assert tried(process, done[2]) == []
    assert_everybody_was_forgotten_once(process, *THREE, "user-9")


def request_count(process: WorkerProcess) -> int:
    with process.database.read() as session:
        return len(session.scalars(select(ForgetRequest.id)).all())


def test_a_strength_is_searched_and_its_trail_kept(process: WorkerProcess) -> None:
    searching = Rung("gradient_ascent", {"steps": 3}, Search("lr", 1e-4, 1e-1, steps=3))
    process = replace(process, policy=replace(process.policy, ladder=(searching, REFIT)))
    run_id = request_forgetting(process, "user-0")
    everything(process, run_id)
    with process.database.read() as session:
        first = attempts.of_run(session, run_id)[0]
    assert first.search is not None
    values = [trial["value"] for trial in first.search["trail"]]
    assert 1 <= len(values) <= 3
    assert values[0] == pytest.approx(10**-2.5)
    assert first.config["lr"] in values
    assert first.report["method_config"]["lr"] == first.config["lr"]


@pytest.mark.parametrize(
    ("limit", "short", "long"),
    [
        # About a month is left to the deadline: twice two rungs of six days each fit, twice two of nine days do not.
        (timedelta(days=90), timedelta(days=6), timedelta(days=9)),
        # The deadline is far away, but past the worker's limit the run would start over from its first rung.
        (timedelta(minutes=50), timedelta(minutes=12), timedelta(minutes=13)),
    ],
    ids=["deadline", "limit"],
)
def test_rungs_for_which_there_is_no_time_are_skipped_on_record(
    process: WorkerProcess, limit: timedelta, short: timedelta, long: timedelta
) -> None:
    process = with_limit(process, limit)
    both_took(process, short)
    first = request_forgetting(process, "user-0")
    everything(process, first)
    assert tried(process, first)[0][1] == 0
    assert audited(process, "run.rungs_skipped") == []
    both_took(process, long)
    second = request_forgetting(process, "user-1")
    everything(process, second)
    assert tried(process, second) == [(0, 1, 1, True)]
    assert [(entry["first"], entry["up_to"]) for entry in audited(process, "run.rungs_skipped")] == [(0, 1)]


def with_limit(process: WorkerProcess, limit: timedelta) -> WorkerProcess:
    seconds = int(limit.total_seconds())
    return replace(process, settings=process.settings.model_copy(update={"run_soft_limit_seconds": seconds}))


def both_took(process: WorkerProcess, duration: timedelta) -> None:
    took(process, duration, "uniform_shrink", "refit")
    with process.database.read() as session:
        slowest = attempts.slowest(session, "refit")
    assert slowest is not None
    assert slowest >= duration
