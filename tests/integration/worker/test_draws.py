"""An exact fit that serves the others worse is drawn again: on the ladder, in a consolidation, for the unmeasured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.attempts import queries as attempt_queries
from app.db.models import Attempt, AuditEntry
from app.settings import Settings
from tests.integration.killing import Killed
from tests.integration.tiny_model import USERS, FirstFit
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import assert_fitted_on, request_consolidation
from tests.integration.worker.observing import make_live, outcome, request_of, run_of, store_again, took
from unlearning import Rung, Verdict
from unlearning.gate.utility import UTILITY
from worker import publication
from worker.execution import execute
from worker.process import WorkerProcess, open_process

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

APART = 1_000_000_000
# `shopper` has too few events to measure anything by.
WITH_SHOPPER = FirstFit({**USERS, "shopper": [3, 4]})


@pytest.fixture
def first_fit() -> FirstFit:
    return WITH_SHOPPER


@pytest.fixture
def process(settings: Settings, installed: str) -> Iterator[WorkerProcess]:
    opened = open_process(settings)
    yield replace(opened, policy=replace(opened.policy, ladder=(Rung("refit"),)))
    opened.database.dispose()


def worse_for_the_others(verdict: Verdict) -> Verdict:
    reasons = tuple(
        replace(reason, passed=False, binding=True, detail="worse than the margin")
        if reason.measure == UTILITY
        else reason
        for reason in verdict.reasons
    )
    return replace(verdict, decision="fail", run_decision="fail", reasons=reasons)


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the gate find that the first so many exact fits serve the others worse."""
    from worker import attempts, refitting

    left = [0]

    def judged(real: Callable[..., Verdict]) -> Callable[..., Verdict]:
        def judge(*arguments: Any) -> Verdict:
            left[0] -= 1
            verdict = real(*arguments)
            return worse_for_the_others(verdict) if left[0] >= 0 else verdict

        return judge

    monkeypatch.setattr(attempts, "decide", judged(attempts.decide))
    monkeypatch.setattr(refitting, "decide_retained", judged(refitting.decide_retained))

    def draws(count: int) -> None:
        left[0] = count

    return draws


def tried(process: WorkerProcess, run_id: str) -> Sequence[Attempt]:
    with process.database.read() as session:
        return attempt_queries.of_run(session, run_id)


def seeds(process: WorkerProcess, run_id: str) -> list[tuple[int, bool]]:
    return [(one.config.get("seed_offset", 0), one.accepted) for one in tried(process, run_id)]


def begin(process: WorkerProcess, kind: str) -> str:
    if kind == "consolidation":
        return request_consolidation(process)
    return request_forgetting(process, "user-1" if kind == "ladder" else "shopper")


KINDS = ["ladder", "consolidation", "unmeasured"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_luck_is_drawn_again_with_another_seed_and_nobody_is_asked(
    process: WorkerProcess, unlucky: Callable[[int], None], kind: str
) -> None:
    unlucky(2)
    run_id = begin(process, kind)
    execute(process, run_id)
    run = run_of(process, run_id)
    assert run.status == "completed"
    assert seeds(process, run_id) == [(0, False), (APART, False), (2 * APART, True)]
    left_out = "user-1" if kind == "ladder" else None
    assert_fitted_on(
        process,
        {user: history for user, history in USERS.items() if user != left_out},
        seed=(run.covers_epoch or 0) + 2 * APART,
    )
    assert len({str(one.report) for one in tried(process, run_id)}) == 3


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ladder", "ladder_exhausted"),
        ("consolidation", "consolidation_refused"),
        ("unmeasured", "refit_refused"),
    ],
)
def test_when_every_draw_is_in_vain_a_person_is_asked_and_told_how_many_there_were(
    process: WorkerProcess, unlucky: Callable[[int], None], kind: str, code: str
) -> None:
    unlucky(99)
    run_id = begin(process, kind)
    execute(process, run_id)
    run = run_of(process, run_id)
    assert (run.status, run.detail_code) == ("needs_attention", code)
    assert "3 exact fits were drawn with different seeds" in (run.detail or "")
    assert [accepted for _, accepted in seeds(process, run_id)] == [False] * 3


def test_the_policy_says_how_many_draws_there_are(
    process: WorkerProcess, unlucky: Callable[[int], None]
) -> None:
    process = replace(process, policy=replace(process.policy, exact_draws=1))
    unlucky(99)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert outcome(process, "user-1")[0] == "needs_attention"
    assert seeds(process, run_id) == [(0, False)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_killed_between_two_draws_does_not_begin_to_count_anew(
    process: WorkerProcess, unlucky: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from worker import draws

    unlucky(99)
    run_id = begin(process, kind)
    real = draws.require_time
    made: list[None] = []

    def dying(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        made.append(None)
        if len(made) == 2:
            raise Killed

    monkeypatch.setattr(draws, "require_time", dying)
    with pytest.raises(Killed):
        execute(process, run_id)
    assert len(tried(process, run_id)) == 2
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    # The one draw that was left, by a claim whose epoch nobody has drawn with yet.
    assert len(tried(process, run_id)) == 3
    assert run_of(process, run_id).status == "needs_attention"


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_for_which_the_workers_limit_leaves_no_time_is_made_by_the_next_claim(
    process: WorkerProcess, unlucky: Callable[[int], None], kind: str
) -> None:
    """A re-fit once took half an hour: two of them do not fit into an hour with that much to spare."""
    limit = int(timedelta(minutes=50).total_seconds())
    process = replace(process, settings=process.settings.model_copy(update={"run_soft_limit_seconds": limit}))
    took(process, timedelta(minutes=30), "refit", accepted=True)
    unlucky(1)
    run_id = begin(process, kind)
    assert execute(process, run_id) == run_id
    run = run_of(process, run_id)
    # It was nobody's fault, so it counts against nobody.
    assert (run.status, run.claims) == ("running", 0)
    assert audited(process, "run.handed_back") == 1
    execute(process, run_id)
    assert run_of(process, run_id).status == "completed"
    assert [accepted for _, accepted in seeds(process, run_id)] == [False, True]


@pytest.mark.parametrize("kind", ["ladder", "unmeasured"])
def test_a_claim_that_starts_over_on_another_version_draws_with_seeds_it_has_not_used(
    process: WorkerProcess, unlucky: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The claim keeps its epoch, so the same draw once more would be the same candidate."""
    real = publication.publish_candidate
    overtaken: list[str] = []

    def overtake(*arguments: Any, **named: Any) -> Any:
        if not overtaken:
            overtaken.append(store_again(process, None))
            make_live(process, overtaken[0])
        return real(*arguments, **named)

    monkeypatch.setattr("worker.execution.publish_candidate", overtake)
    unlucky(1)
    run_id = begin(process, kind)
    execute(process, run_id)
    assert (run_of(process, run_id).status, len(overtaken)) == ("completed", 1)
    # The second was let through and lost its version; nothing speaks against drawing it again.
    assert seeds(process, run_id) == [(0, False), (APART, True), (APART, True)]


def test_the_next_claim_goes_on_at_the_rung_that_is_drawn(
    process: WorkerProcess, unlucky: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import draws

    def no_time(*_: Any, rung_index: int | None) -> None:
        raise draws.NoTimeToDraw(rung_index)

    process = replace(process, policy=replace(process.policy, ladder=(Rung("do_nothing"), Rung("refit"))))
    # The first verdict is that on doing nothing.
    unlucky(2)
    run_id = request_forgetting(process, "user-1")
    with monkeypatch.context() as patched:
        patched.setattr(draws, "require_time", no_time)
        assert execute(process, run_id) == run_id
    assert request_of(process, "user-1").first_step == 1
    execute(process, run_id)
    assert outcome(process, "user-1") == ("completed", "erased")
    assert [(one.step, one.accepted) for one in tried(process, run_id)] == [
        (0, False), (1, False), (1, True),
    ]  # fmt: skip


def audited(process: WorkerProcess, action: str) -> int:
    with process.database.read() as session:
        assert process.audit.first_broken(session) is None
        return len(session.scalars(select(AuditEntry.sequence).where(AuditEntry.action == action)).all())
