"""Rungs that are of no use are skipped, and the record says which and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from app.attempts import queries as attempt_queries
from app.db.base import utc_now
from app.db.models import Attempt, AuditEntry, Run
from app.failures import SettingError
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.settings import Settings
from recommender import Adapter, Base
from tests.integration.tiny_model import subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import live, outcome, request_of, took
from tests.integration.worker.split_world import do_without_levels
from unlearning import METHODS, Rung, Search, Skipping
from unlearning.methods.controls.do_nothing import DoNothing, DoNothingConfig
from unlearning.methods.registry import Registration
from unlearning.policy.strata import Stratum
from worker.execution import execute
from worker.process import WorkerProcess, open_process
from worker.track_record import rung_digest
from worker.versions import FitRecord, read_fit_record

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NOTHING, REFIT = Rung("do_nothing"), Rung("refit")


@pytest.fixture
def process(settings: Settings, installed: str) -> Iterator[WorkerProcess]:
    opened = open_process(settings)
    do_without_levels(opened)
    yield replace(opened, policy=replace(opened.policy, ladder=(NOTHING, REFIT)))
    opened.database.dispose()


def steps(process: WorkerProcess, run_id: str) -> list[int]:
    with process.database.read() as session:
        return [one.step for one in attempt_queries.of_run(session, run_id)]


def left_out(process: WorkerProcess, run_id: str) -> list[tuple[int, str]]:
    with process.database.read() as session:
        return [(one.step, one.code) for one in attempt_queries.skipped_of_run(session, run_id)]


def forget(process: WorkerProcess, user: str) -> str:
    run_id = request_forgetting(process, user)
    execute(process, run_id)
    assert outcome(process, user) == ("completed", "erased")
    return run_id


def remember(process: WorkerProcess, rung: Rung, results: list[bool], *, number: int = 0) -> None:
    """Runs that took 30 s over this rung, and 10 s over what came behind it."""
    fit = read_fit_record(process.store, live(process))
    digest = rung_digest(process.policy, rung, process.base, fit, levels_are_known=False)
    now = utc_now()
    with process.database.unit_of_work() as session:
        for place, accepted in enumerate(results, start=number):
            run_id = f"ur_earlier_{place}"
            session.add(Run(id=run_id, status="completed", created_at=now))
            session.flush()
            for step, method, seconds, passed in ((0, rung.method, 30, accepted), (1, "refit", 10, True)):
                if step and accepted:
                    continue
                session.add(
                    Attempt(
                        run_id=run_id, fence=-1000 + place, number=step, step=step, requests=[], method=method,
                        config={}, policy_hash="0" * 64, started_at=now - timedelta(seconds=seconds),
                        finished_at=now, decision="fail", accepted=passed, report={}, verdict={},
                        rung_digest=None if step else digest, watermark=fit.watermark,
                    )
                )  # fmt: skip


def test_a_rung_that_never_passes_here_is_skipped_on_record(process: WorkerProcess) -> None:
    remember(process, NOTHING, [False] * 11)
    first = forget(process, "user-1")
    # The twelfth run that tries it.
    assert (steps(process, first), left_out(process, first)) == ([0, 1], [])
    second = forget(process, "user-2")
    assert (steps(process, second), left_out(process, second)) == ([1], [(0, "by_record")])
    with process.database.read() as session:
        (row,) = attempt_queries.skipped_for_request(session, request_of(process, "user-2").id)
        assert process.audit.first_broken(session) is None
        (entry,) = session.scalars(
            select(AuditEntry.data).where(AuditEntry.action == "run.rungs_skipped")
        ).all()
    assert (row.method, row.run_id, row.step) == ("do_nothing", second, 0)
    assert "passed in 0 of the last 12 runs" in row.detail
    assert entry["rungs"] == [
        {"step": 0, "method": "do_nothing", "reason": "by_record", "detail": row.detail}
    ]
    assert (entry["first"], entry["up_to"]) == (0, 1)


@pytest.mark.parametrize(
    "changed",
    ["policy insists", "policy never skips", "other configuration", "other gate", "it passed lately"],
)
def test_it_is_tried_where_its_record_says_nothing_or_nobody_asks_it(
    process: WorkerProcess, changed: str
) -> None:
    remember(process, NOTHING, [False] * 20)
    policy = process.policy
    if changed == "policy insists":
        policy = replace(policy, ladder=(replace(NOTHING, always=True), REFIT))
    elif changed == "policy never skips":
        policy = replace(policy, skipping=None)
    elif changed == "other configuration":
        policy = replace(policy, ladder=(Rung("uniform_shrink", {"factor": 0.99}), REFIT))
    elif changed == "other gate":
        policy = replace(policy, membership_z=policy.membership_z - 0.5)
    else:
        remember(process, NOTHING, [True], number=20)
    run_id = forget(replace(process, policy=policy), "user-1")
    assert steps(process, run_id)[0] == 0
    assert left_out(process, run_id) == []


def test_it_is_tried_again_after_so_many_runs(process: WorkerProcess) -> None:
    process = replace(
        process, policy=replace(process.policy, skipping=Skipping(min_runs=12, try_again_every=3))
    )
    remember(process, NOTHING, [False] * 20)
    tried = [steps(process, forget(process, f"user-{number}"))[0] for number in range(1, 7)]
    assert tried == [1, 1, 0, 1, 1, 0]


def test_it_is_tried_again_on_a_fit_on_newer_events(process: WorkerProcess) -> None:
    remember(process, NOTHING, [False] * 20)
    assert steps(process, forget(process, "user-1"))[0] == 1
    with process.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject_of("user-2"), "i23", 99)])
    execute(process, request_consolidation(process))
    do_without_levels(process)
    assert steps(process, forget(process, "user-3"))[0] == 0
    assert steps(process, forget(process, "user-4"))[0] == 1


def test_a_searched_rung_has_one_record_whatever_strength_it_came_to(process: WorkerProcess) -> None:
    searched = Rung("gradient_ascent", {"steps": 1}, Search("lr", 1e-6, 1e-5, steps=1))
    process = replace(process, policy=replace(process.policy, ladder=(searched, REFIT)))
    remember(process, searched, [False] * 20)
    run_id = forget(process, "user-1")
    assert left_out(process, run_id) == [(0, "by_record")]


def test_a_rung_that_needs_levels_is_skipped_where_there_are_none(process: WorkerProcess) -> None:
    levels = Rung("least_change")
    process = replace(process, policy=replace(process.policy, ladder=(levels, REFIT)))
    run_id = forget(process, "user-1")
    assert (steps(process, run_id), left_out(process, run_id)) == ([1], [(0, "no_levels")])
    insisting = replace(process, policy=replace(process.policy, ladder=(replace(levels, always=True), REFIT)))
    run_id = forget(insisting, "user-2")
    assert (steps(process, run_id), left_out(process, run_id)) == ([0, 1], [])


def test_edits_that_could_not_be_let_through_are_not_tried_on_short_histories(process: WorkerProcess) -> None:
    """The policy decides about no history as short as anybody's here."""
    closed = replace(process.policy, strata=(Stratum(1, False), Stratum(1000, True)))
    run_id = forget(replace(process, policy=closed), "user-1")
    assert (steps(process, run_id), left_out(process, run_id)) == ([1], [(0, "short_history")])
    insisting = replace(process, policy=replace(closed, ladder=(replace(NOTHING, always=True), REFIT)))
    run_id = forget(insisting, "user-2")
    assert (steps(process, run_id), left_out(process, run_id)) == ([0, 1], [])


def test_a_quicker_rung_behind_one_for_which_there_is_no_time_is_tried(process: WorkerProcess) -> None:
    """About a month is left; the first rung once took twenty days, which may be forty."""
    slow = Rung("gradient_ascent")
    limit = int(timedelta(days=90).total_seconds())
    process = replace(
        process,
        policy=replace(process.policy, ladder=(slow, NOTHING, REFIT)),
        settings=process.settings.model_copy(update={"run_soft_limit_seconds": limit}),
    )
    took(process, timedelta(days=20), slow.method)
    run_id = forget(process, "user-1")
    assert (steps(process, run_id), left_out(process, run_id)) == ([1, 2], [(0, "no_time")])


def test_another_shape_of_adapter_has_a_record_of_its_own_and_another_draw_has_not(
    process: WorkerProcess,
) -> None:
    fit = read_fit_record(process.store, live(process))

    def digest(fit: FitRecord) -> str:
        return rung_digest(process.policy, NOTHING, process.base, fit, levels_are_known=True)

    again = replace(fit, watermark=fit.watermark + 1, training=replace(fit.training, seed=7))
    assert digest(again) == digest(fit)
    wider = replace(fit, adapter_config=replace(fit.adapter_config, r=fit.adapter_config.r * 2))
    longer = replace(fit, training=replace(fit.training, epochs=fit.training.epochs + 1))
    assert len({digest(fit), digest(wider), digest(longer)}) == 3


def test_the_last_rung_is_tried_whatever_is_known_of_it(process: WorkerProcess) -> None:
    process = replace(process, policy=replace(process.policy, ladder=(NOTHING, Rung("least_change"))))
    remember(process, NOTHING, [False] * 20)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert steps(process, run_id) == [1]
    assert outcome(process, "user-1")[0] == "needs_attention"


@dataclass(frozen=True)
class HeadOnly(DoNothing):
    """Takes no adapter of these tests."""

    name: ClassVar[str] = "head_only"

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        return None if any("no_such_layer" in name for name in adapter.tensors) else "it has no such layer"


@pytest.fixture
def head_only(monkeypatch: pytest.MonkeyPatch) -> Rung:
    assert isinstance(METHODS, dict)
    monkeypatch.setitem(METHODS, "head_only", Registration(DoNothingConfig, HeadOnly))
    return Rung("head_only")


def test_a_rung_that_cannot_edit_the_live_adapter_is_skipped(process: WorkerProcess, head_only: Rung) -> None:
    """The policy was looked at when the process started; another adapter may have come since."""
    process = replace(
        process, policy=replace(process.policy, ladder=(replace(head_only, always=True), REFIT))
    )
    run_id = forget(process, "user-1")
    assert (steps(process, run_id), left_out(process, run_id)) == ([1], [(0, "unfit_adapter")])


def test_a_policy_that_names_such_a_rung_is_refused_at_the_start(
    process: WorkerProcess, head_only: Rung, tmp_path: Any
) -> None:
    policy = replace(process.policy, ladder=(NOTHING, head_only, REFIT))
    file = tmp_path / "policy.json"
    file.write_text(policy.to_json())
    settings = process.settings.model_copy(update={"policy_file": file})
    with pytest.raises(SettingError) as raised:
        open_process(settings)
    assert str(raised.value).startswith(
        "LETHE_POLICY_FILE: rung 2 of the ladder, head_only, cannot edit the adapter: it has no such layer"
    )


def test_the_default_policy_is_everybodys_and_refuses_nobody(
    process: WorkerProcess, head_only: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = replace(process.policy, ladder=(head_only, REFIT))
    monkeypatch.setattr("worker.process.default_policy", lambda: policy)
    opened = open_process(process.settings.model_copy(update={"policy_file": None}))
    opened.database.dispose()
    assert opened.policy == policy
