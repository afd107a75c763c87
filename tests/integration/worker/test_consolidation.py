"""A consolidation from request to completion: what it learns, whom it leaves out, what is gone afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.attempts import queries as attempt_queries
from app.db.base import utc_now
from app.db.models import Version
from app.forget_requests import queries as forget_requests
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from model_store import VersionDestroyed
from recommender import AdapterConfig, TrainingConfig, fit_adapter
from tests.integration.killing import killed_at
from tests.integration.tiny_model import USERS, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import (
    actions,
    assert_consolidated_once,
    assert_fitted_on,
    attenuate,
    request_consolidation,
)
from tests.integration.worker.observing import install, live, rows_of, run_of, serving
from tests.integration.worker.test_execution import stall_before_publishing
from worker.execution import execute
from worker.process import WorkerProcess
from worker.versions import ARTEFACTS, load_version, read_fit_record, store_version


def test_it_replaces_attenuation_and_nothing_older_is_left(process: WorkerProcess, installed: str) -> None:
    attenuated = attenuate(process)
    older = [process.store.read_manifest(digest) for digest in (installed, attenuated)]
    gates = older[1].blobs[ARTEFACTS].digest
    assert process.store.read_blob(attenuated, gates)
    run_id = request_consolidation(process)
    assert execute(process, run_id) is None
    assert_consolidated_once(process, run_id)
    for manifest in older:
        for blob in manifest.blobs.values():
            with pytest.raises(VersionDestroyed):
                process.store.read_blob(manifest.digest, blob.digest)
    assert process.store.read_manifest(live(process)).parent == attenuated
    with process.database.read() as session:
        (attempt,) = attempt_queries.of_run(session, run_id)
        assert [row.status for row in forget_requests.of_run(session, run_id)] == []
    assert (attempt.method, attempt.accepted, attempt.policy_hash) == ("refit", True, process.policy.hash)
    assert attempt.report["schema"] == "lethe.retained-report/1"
    assert [reason["measure"] for reason in attempt.verdict["reasons"]] == [
        "relative_change_of_held_out_ndcg@10",
        "held_out_loss",
    ]
    # Each user's held-out items are read before and after, so twelve users tell that nobody lost much.
    assert attempt.decision == "pass"
    assert "forget.completed" not in actions(process)
    assert_fitted_on(process, USERS, seed=run_of(process, run_id).covers_epoch or 0)


def test_it_learns_what_arrived_since_and_leaves_out_who_is_suppressed(
    process: WorkerProcess, installed: str
) -> None:
    newcomer = list(range(3, 13))
    with process.database.unit_of_work() as session:
        interactions.ingest(
            session,
            [NewInteraction(subject_of("newcomer"), f"i{item}", time) for time, item in enumerate(newcomer)]
            + [NewInteraction(subject_of("user-2"), "i23", 99)],
        )
        watermark = interaction_queries.watermark(session)
    assert read_fit_record(process.store, installed).watermark < watermark
    request_forgetting(process, "user-1")
    run_id = request_consolidation(process)
    execute(process, run_id)
    assert_consolidated_once(process, run_id)
    assert read_fit_record(process.store, live(process)).watermark == watermark
    expected: dict[str, Sequence[int]] = {**USERS, "newcomer": newcomer}
    expected["user-2"] = [*USERS["user-2"], 23]
    del expected["user-1"]
    assert_fitted_on(process, expected, seed=run_of(process, run_id).covers_epoch or 0)


def test_requests_that_waited_meanwhile_complete_without_an_edit(process: WorkerProcess) -> None:
    forget = request_forgetting(process, "user-1", "nobody")
    consolidation = request_consolidation(process)
    assert execute(process, consolidation) == forget
    consolidated = live(process)
    assert rows_of(process, "user-1") == len(USERS["user-1"])
    assert execute(process, forget) is None
    assert live(process) == consolidated
    assert rows_of(process, "user-1") == 0
    with process.database.read() as session:
        assert attempt_queries.of_run(session, forget) == []
        requests = {row.subject_hmac: row for row in forget_requests.of_run(session, forget)}
    assert {row.status for row in requests.values()} == {"completed"}
    assert requests[subject_of("user-1")].outcome == "erased"
    assert requests[subject_of("nobody")].outcome == "no_data"
    # Whatever may serve from here on covers them.
    assert all(row.epoch <= serving(process).erasure_floor for row in requests.values())


def test_a_request_between_claim_and_reading_is_left_out_too(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import consolidation

    real = consolidation.read_examples
    forget: list[str] = []

    def reading(*arguments: Any, **named: Any) -> Any:
        forget.append(request_forgetting(process, "user-1"))
        return real(*arguments, **named)

    monkeypatch.setattr(consolidation, "read_examples", reading)
    run_id = request_consolidation(process)
    assert execute(process, run_id) == forget[0]
    assert_consolidated_once(process, run_id)
    consolidated = live(process)
    others = {user: history for user, history in USERS.items() if user != "user-1"}
    covers = run_of(process, run_id).covers_epoch
    assert covers is not None
    assert_fitted_on(process, others, seed=covers)
    execute(process, forget[0])
    with process.database.read() as session:
        (request,) = forget_requests.of_run(session, forget[0])
        assert (request.status, request.outcome) == ("completed", "erased")
    assert covers < request.epoch <= serving(process).erasure_floor
    assert live(process) == consolidated


def test_who_asks_while_it_fits_is_unlearned_afterwards_and_who_waited_is_not(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit has read user-3 and not user-1; one forget run serves both."""
    from worker import refitting

    real = refitting.evaluate_retained

    def evaluating(*arguments: Any, **named: Any) -> Any:
        request_forgetting(process, "user-3")
        return real(*arguments, **named)

    forget = request_forgetting(process, "user-1")
    run_id = request_consolidation(process)
    with monkeypatch.context() as patched:
        patched.setattr(refitting, "evaluate_retained", evaluating)
        assert execute(process, run_id) == forget
    consolidated = live(process)
    execute(process, forget)
    with process.database.read() as session:
        attempts = attempt_queries.of_run(session, forget)
        outcomes = {row.subject_hmac: row.outcome for row in forget_requests.of_run(session, forget)}
        version = session.get(Version, live(process))
    assert attempts[-1].report["counts"]["subjects"] == 1
    assert outcomes == {subject_of("user-1"): "erased", subject_of("user-3"): "erased"}
    assert version is not None
    assert (version.parent_digest, version.subjects) == (consolidated, 1)
    assert process.store.is_destroyed(consolidated)


def test_an_exact_fit_of_a_forget_run_leaves_out_who_waits_as_well(process: WorkerProcess) -> None:
    first = request_forgetting(process, "user-1")
    process = replace(process, settings=process.settings.model_copy(update={"max_subjects_per_run": 1}))
    request_forgetting(process, "user-2")
    second = execute(process, first)
    assert second is not None
    fitted = live(process)
    with process.database.read() as session:
        assert attempt_queries.of_run(session, first)[-1].method == "refit"
    assert execute(process, second) is None
    assert live(process) == fitted
    with process.database.read() as session:
        assert attempt_queries.of_run(session, second) == []
        (request,) = forget_requests.of_run(session, second)
    assert (request.status, request.outcome) == ("completed", "erased")
    assert rows_of(process, "user-2") == 0


def test_an_edited_version_keeps_the_record_of_its_fit(process: WorkerProcess, installed: str) -> None:
    execute(process, request_consolidation(process))
    exact = read_fit_record(process.store, live(process))
    assert exact.excludes_up_to_epoch > read_fit_record(process.store, installed).excludes_up_to_epoch
    assert read_fit_record(process.store, attenuate(process)) == exact


def test_a_refit_that_serves_the_others_worse_needs_attention_and_the_live_version_stays(
    process: WorkerProcess, installed: str
) -> None:
    """The live adapter knows the held-out items by heart; no honest fit keeps up with it."""
    shape = AdapterConfig(r=8, alpha=16)
    expert = fit_adapter(
        process.base,
        list(USERS.values()),
        shape,
        TrainingConfig(epochs=60, lr=2e-2, batch_size=4, patience=None),
    )
    parent = load_version(process.store, installed)
    digest = store_version(
        process.store,
        process.base,
        expert,
        parent=installed,
        forget_epoch=0,
        method="fit",
        config={},
        report={},
        policy_hash=None,
        fit=replace(parent.fit, adapter_config=shape, training=TrainingConfig(epochs=1)),
        readership=parent.readership,
        artefacts={},
    )
    version = Version(
        digest=digest,
        parent_digest=installed,
        forget_epoch=0,
        method="fit",
        exact=True,
        published_at=utc_now(),
    )
    install(process, version, parent=installed)
    before = set(process.store.versions())
    run_id = request_consolidation(process)
    execute(process, run_id)
    run = run_of(process, run_id)
    assert (run.status, run.detail_code) == ("needs_attention", "consolidation_refused")
    assert "3 exact fits were drawn with different seeds" in (run.detail or "")
    assert "worse than the margin" in (run.detail or "")
    with process.database.read() as session:
        attempts = attempt_queries.of_run(session, run_id)
    assert [(attempt.decision, attempt.accepted) for attempt in attempts] == [("fail", False)] * 3
    assert live(process) == digest
    assert set(process.store.versions()) == before
    assert not process.store.is_destroyed(digest)


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("worker.consolidation.read_examples", True),
        ("app.attempts.service.record", False),
        ("worker.consolidation.refit_without", True),
        ("worker.publication.store_version", True),
        ("app.versions.service.announce_candidate", True),
        ("worker.consolidation.publish_candidate", True),
        ("worker.consolidation.wait_for_acknowledgement", True),
        ("app.runs.completion.erase_subjects", True),
        ("app.versions.service.mark_destroyed", False),
        ("worker.completion._destroy_ineligible_versions", True),
        ("app.runs.completion.complete", False),
    ],
)
def test_a_worker_that_dies_at_any_step_is_replaced_and_the_work_is_done_once(
    process: WorkerProcess, step: str, after: bool
) -> None:
    attenuate(process)
    run_id = request_consolidation(process)
    with killed_at(step, after=after):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_consolidated_once(process, run_id)


def test_a_second_delivery_does_nothing(process: WorkerProcess) -> None:
    run_id = request_consolidation(process)
    execute(process, run_id)
    consolidated = live(process)
    assert execute(process, run_id) is None
    assert live(process) == consolidated
    assert_consolidated_once(process, run_id)


def test_a_zombie_that_wakes_up_later_changes_nothing(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_consolidation(process)
    stalled = stall_before_publishing(process, run_id, monkeypatch)
    execute(process, run_id)
    assert_consolidated_once(process, run_id)
    assert process.store.is_destroyed(stalled[0])


def test_a_version_that_became_live_meanwhile_is_not_overwritten(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import consolidation

    real = consolidation.publish_candidate
    installed: list[str] = []

    def publishing(*arguments: Any, **named: Any) -> Any:
        if not installed:
            installed.append(attenuate(process))
        return real(*arguments, **named)

    monkeypatch.setattr(consolidation, "publish_candidate", publishing)
    run_id = request_consolidation(process)
    execute(process, run_id)
    assert live(process) == installed[0]
    assert run_of(process, run_id).detail_code == "pointer_moved"
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_consolidated_once(process, run_id)
    assert process.store.read_manifest(live(process)).parent == installed[0]
