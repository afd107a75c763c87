"""A run from claim to completion, and the same with the worker dying after each step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.attempts import queries as attempts
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.errors import BelowErasureFloor
from app.db.models import AuditEntry, Interaction, Run, Version
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.runs import queries as run_queries
from app.versions import queries as version_queries
from app.versions import service as pointer
from model_store import LocalStore, Manifest
from tests.integration.killing import killed_at
from tests.integration.tiny_model import subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import install
from unlearning import Rung
from worker.execution import execute
from worker.process import WorkerProcess

_announce_candidate = pointer.announce_candidate


def assert_forgotten_once(process: WorkerProcess, run_id: str, *users: str) -> None:
    with process.database.read() as session:
        run = session.get_one(Run, run_id)
        assert (run.status, run.stage) == ("completed", "done")
        requests = request_queries.of_run(session, run_id)
        assert {request.subject_hmac for request in requests} == {subject_of(user) for user in users}
        assert {request.status for request in requests} == {"completed"}
        subjects = [subject_of(user) for user in users]
        left = select(func.count()).select_from(Interaction).where(Interaction.subject_hmac.in_(subjects))
        assert session.scalar(left) == 0
        actions = session.scalars(select(AuditEntry.action)).all()
        assert actions.count("forget.completed") == 1
        assert actions.count("version.published") == 1
        assert process.audit.first_broken(session) is None
        serving = version_queries.current(session)
    store = process.store
    assert serving.digest is not None
    assert store.read_manifest(serving.digest).forget_epoch >= serving.erasure_floor
    # Everything else, unpublished candidates included, is gone.
    assert [digest for digest in store.versions() if not store.is_destroyed(digest)] == [serving.digest]
    assert store.delete_orphans() == ()
    with process.database.read() as session:
        published = version_queries.versions(session, limit=10)
        assert {version.digest for version in published if version.destroyed_at is None} == {serving.digest}
        assert (
            list(session.scalars(select(AuditEntry.action))).count("version.destroyed") == len(published) - 1
        )
    journal = {entry.subject_hmac for entry in store.journal()}
    assert journal == set(subjects)


def test_a_run_forgets_its_subjects_and_destroys_what_knew_them(
    process: WorkerProcess, installed: str
) -> None:
    run_id = request_forgetting(process, "user-1", "user-2")
    assert execute(process, run_id) is None
    assert_forgotten_once(process, run_id, "user-1", "user-2")
    with process.database.read() as session:
        tried = attempts.of_run(session, run_id)
        assert tried[0].method == "ucan"
        assert tried[-1].accepted
        assert {attempt.policy_hash for attempt in tried} == {process.policy.hash}
        version = session.get(Version, installed)
        assert version is not None
        assert version.destroyed_at is not None


def test_what_was_destroyed_long_ago_is_not_read_again_but_would_be_if_its_bytes_came_back(
    process: WorkerProcess, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(process, request_forgetting(process, "user-1"))
    store = process.store
    assert store.is_destroyed(installed)
    looked: list[str] = []
    real = store.read_manifest

    def read_manifest(digest: str) -> Manifest:
        looked.append(digest)
        return real(digest)

    monkeypatch.setattr(store, "read_manifest", read_manifest)
    execute(process, request_forgetting(process, "user-2"))
    assert looked
    assert installed not in looked
    # A copy of the store from before: the version is on record as destroyed, and is there.
    with process.database.read() as session:
        on_record = len(
            session.scalars(select(AuditEntry).where(AuditEntry.action == "version.destroyed")).all()
        )
    (Path(process.settings.store_url) / "tombstones" / f"{installed}.json").unlink()
    assert not store.is_destroyed(installed)
    execute(process, request_forgetting(process, "user-3"))
    assert store.is_destroyed(installed)
    with process.database.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "version.destroyed")).all()
    # One more for the version that was live until now; what is on record is on record once.
    assert len(entries) == on_record + 1


def test_a_rung_that_cannot_be_carried_out_does_not_end_the_ladder(process: WorkerProcess) -> None:
    overflowing = Rung("gradient_ascent", {"lr": 1e30, "steps": 5})
    process = replace(process, policy=replace(process.policy, ladder=(overflowing, Rung("refit", {}))))
    run_id = request_forgetting(process, "user-1")
    assert execute(process, run_id) is None
    assert_forgotten_once(process, run_id, "user-1")
    with process.database.read() as session:
        failed, refit = attempts.of_run(session, run_id)
    assert (failed.method, failed.decision, failed.accepted, failed.report) == (
        "gradient_ascent", "fail", False, {},
    )  # fmt: skip
    assert failed.verdict["error"]
    assert refit.accepted


def test_a_second_delivery_does_nothing(process: WorkerProcess) -> None:
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    execute(process, run_id)
    execute(process, "ur_unknown")
    assert_forgotten_once(process, run_id, "user-1")


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("worker.execution._record_in_journal", False),
        ("worker.execution._record_in_journal", True),
        ("app.attempts.service.record", False),
        ("worker.execution.climb", True),
        ("worker.publication.store_version", False),
        ("worker.publication.store_version", True),
        ("app.versions.service.announce_candidate", True),
        ("worker.execution.publish_candidate", True),
        ("worker.execution.wait_for_acknowledgement", True),
        ("app.runs.completion.erase_subjects", False),
        ("worker.completion._destroy_ineligible_versions", False),
        ("app.versions.service.mark_destroyed", False),
        ("worker.completion._destroy_ineligible_versions", True),
        ("app.runs.completion.complete", False),
    ],
)
def test_a_worker_that_dies_at_any_step_is_replaced_and_the_work_is_done_once(
    process: WorkerProcess, step: str, after: bool
) -> None:
    run_id = request_forgetting(process, "user-1")
    with killed_at(step, after=after):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")


def test_a_zombie_that_wakes_up_later_changes_nothing(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker stalls between its candidate and its publication; another one does the whole run meanwhile."""
    run_id = request_forgetting(process, "user-1")
    stalled = stall_before_publishing(process, run_id, monkeypatch)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")
    assert process.store.is_destroyed(stalled[0])


def stall_before_publishing(process: WorkerProcess, run_id: str, patched: pytest.MonkeyPatch) -> list[str]:
    """The first worker stalls with its candidate in the store, whose digest comes; another one does the run."""
    from worker import publication

    real = publication.store_version
    stalled: list[str] = []

    def stalling(*arguments: Any, **named: Any) -> str:
        digest = real(*arguments, **named)
        if not stalled:
            stalled.append(digest)
            let_the_lease_lapse(process.database, run_id)
            execute(process, run_id)
        return digest

    patched.setattr(publication, "store_version", stalling)
    return stalled


@pytest.mark.parametrize("vouched", [True, False])
def test_a_zombie_that_writes_after_the_run_is_over_removes_what_it_wrote(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, vouched: bool
) -> None:
    run_id = request_forgetting(process, "user-1")
    late = write_late(process, run_id, monkeypatch, vouched=vouched)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")
    assert [process.store.is_destroyed(one) for one in late] == ([] if vouched else [True])


def test_what_a_zombie_wrote_and_did_not_live_to_remove_never_serves_and_goes_with_the_next_completion(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_forgetting(process, "user-1")
    with monkeypatch.context() as patched:
        late = write_late(process, run_id, patched, vouched=False)
        with killed_at("app.versions.service.announce_candidate"):
            execute(process, run_id)
    store = process.store
    assert not store.is_destroyed(late[0])
    with process.database.read() as session:
        live = version_queries.current(session).digest
    manifest = store.read_manifest(late[0])
    version = Version(
        digest=late[0], forget_epoch=manifest.forget_epoch, method="fit", published_at=utc_now()
    )
    with pytest.raises(BelowErasureFloor):
        install(process, version, parent=live)
    execute(process, request_forgetting(process, "user-2"))
    assert store.is_destroyed(late[0])


def write_late(
    process: WorkerProcess, run_id: str, patched: pytest.MonkeyPatch, *, vouched: bool
) -> list[str]:
    """The first worker stalls before it writes; another one does the run meanwhile, `vouched` for by the store."""
    from worker import publication

    real = publication.store_version
    written: list[str] = []
    stalled: list[bool] = []

    def stalling(*arguments: Any, **named: Any) -> str:
        if stalled:
            return real(*arguments, **named)
        stalled.append(True)
        with pytest.MonkeyPatch.context() as other:
            other.setattr("app.versions.service.announce_candidate", _announce_candidate)
            let_the_lease_lapse(process.database, run_id)
            execute(process, run_id)
        with pytest.MonkeyPatch.context() as other:
            if not vouched:
                other.setattr(process.store, "erasure_floor", lambda: 0)
            written.append(real(*arguments, **named))
        return written[0]

    patched.setattr(publication, "store_version", stalling)
    return written


def test_an_unknown_subject_completes_as_no_data_and_moves_no_pointer(
    process: WorkerProcess, installed: str
) -> None:
    run_id = request_forgetting(process, "nobody")
    execute(process, run_id)
    with process.database.read() as session:
        request = request_queries.of_run(session, run_id)[0]
        assert (request.status, request.outcome) == ("completed", "no_data")
        assert version_queries.current(session).digest == installed


def test_known_and_unknown_subjects_share_a_run(process: WorkerProcess) -> None:
    run_id = request_forgetting(process, "user-1", "nobody")
    execute(process, run_id)
    with process.database.read() as session:
        outcomes = {r.subject_hmac: r.outcome for r in request_queries.of_run(session, run_id)}
    assert outcomes == {subject_of("user-1"): "erased", subject_of("nobody"): "no_data"}


def test_a_request_that_arrives_during_a_run_gets_the_next_one(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import execution

    first = request_forgetting(process, "user-1")
    real = execution.climb
    second: list[str] = []

    def climb(*arguments: Any, **named: Any) -> Any:
        if not second:
            second.append(request_forgetting(process, "user-2"))
        return real(*arguments, **named)

    monkeypatch.setattr(execution, "climb", climb)
    assert execute(process, first) == second[0] != first
    assert execute(process, second[0]) is None
    with process.database.read() as session:
        for run_id in (first, second[0]):
            assert session.get_one(Run, run_id).status == "completed"


def test_a_defect_postpones_the_run_and_then_asks_for_a_person(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("nobody can wait this out")

    run_id = request_forgetting(process, "user-1")
    with monkeypatch.context() as patched:
        patched.setattr("worker.publication.store_version", fail)
        for _ in range(process.settings.max_claims):
            execute(process, run_id)
            let_the_lease_lapse(process.database, run_id)
    with process.database.read() as session:
        run = session.get_one(Run, run_id)
        assert (run.status, run.detail_code) == ("needs_attention", "zero_division_error")
        request = request_queries.of_run(session, run_id)[0]
        assert request.status == "needs_attention"
    with process.database.unit_of_work() as session:
        forget_requests.retry(Transaction(session, process.audit), request.id, actor="tests", now=utc_now())
        retried = run_queries.queued_run(session)
    assert retried is not None
    execute(process, retried)
    assert_forgotten_once(process, retried, "user-1")


def test_a_publication_whose_blobs_a_completion_swept_puts_them_again(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(process.store, LocalStore)
    real, swept = process.store._put_manifest, []

    def put_manifest(digest: str, data: bytes) -> None:
        if not swept:
            swept.extend(process.store.delete_orphans())
        real(digest, data)

    monkeypatch.setattr(process.store, "_put_manifest", put_manifest)
    run_id = request_forgetting(process, "user-1")
    execute(process, run_id)
    assert swept
    assert_forgotten_once(process, run_id, "user-1")
