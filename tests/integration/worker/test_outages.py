"""What the surroundings do is waited out: it costs no claim and nobody's attention, and ends by itself (I14)."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.db.base import utc_now
from app.db.models import Run
from app.forget_requests.policy import WITHOUT_STEPS
from app.forget_requests.schemas import ForgetRequestView
from app.links import Links
from tests.integration.refusing_database import away
from tests.integration.refusing_store import gone, read_only, small_disk
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import request_of, rows_of, run_of
from tests.integration.worker.test_execution import assert_forgotten_once
from worker.execution import execute
from worker.process import WorkerProcess
from worker.surroundings import return_claims


def store_of(process: WorkerProcess) -> Path:
    return Path(process.settings.store_url)


def assert_waits(process: WorkerProcess, run_id: str, code: str, user: str = "user-1") -> None:
    run, request = run_of(process, run_id), request_of(process, user)
    assert (run.status, run.claims, run.detail_code) == ("running", 0, code)
    assert request.detail_code == code
    view = ForgetRequestView.of(request, Links(""), utc_now(), WITHOUT_STEPS)
    assert view.waits_for is not None
    assert "gate" not in view.waits_for


def test_a_read_only_store_is_waited_out_however_long(process: WorkerProcess) -> None:
    run_id = request_forgetting(process, "user-1")
    due_at = request_of(process, "user-1").due_at
    pauses = []
    with read_only(store_of(process)):
        for _ in range(process.settings.max_claims + 2):
            execute(process, run_id)
            assert_waits(process, run_id, "store_read_only")
            until = run_of(process, run_id).lease_until
            assert until is not None
            pauses.append((until - utc_now()).total_seconds())
            let_the_lease_lapse(process.database, run_id)
    first = process.settings.outage_pause_seconds
    assert [round(pause / first) for pause in pauses] == [1, 2, 4, 8, 16]
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")
    request = request_of(process, "user-1")
    assert (request.detail_code, request.due_at) == (None, due_at)


def test_a_full_store_is_waited_out(process: WorkerProcess, tmp_path: Path) -> None:
    root = store_of(process)
    kept = root.rename(tmp_path / "kept")
    used = sum(path.stat().st_size + 8192 for path in kept.rglob("*"))
    with small_disk(root, kilobytes=used // 1024 + 256):
        for path in sorted(kept.rglob("*")):
            target = root / path.relative_to(kept)
            target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
        run_id = request_forgetting(process, "user-1")
        filler = root / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(root).f_bavail * os.statvfs(root).f_frsize)
        for _ in range(process.settings.max_claims + 1):
            execute(process, run_id)
            assert_waits(process, run_id, "store_full")
            let_the_lease_lapse(process.database, run_id)
        filler.unlink()
        execute(process, run_id)
        assert_forgotten_once(process, run_id, "user-1")


def test_a_store_out_of_reach_is_waited_out_without_a_claim(process: WorkerProcess) -> None:
    run_id = request_forgetting(process, "user-1")
    with gone(store_of(process)):
        for _ in range(process.settings.max_claims + 1):
            execute(process, run_id)
    run, request = run_of(process, run_id), request_of(process, "user-1")
    assert (run.status, run.claims, run.detail_code) == ("queued", 0, "store_unavailable")
    assert (request.status, request.detail_code) == ("queued", "store_unavailable")
    assert (
        ForgetRequestView.of(request, Links(""), utc_now(), WITHOUT_STEPS).waits_for
        == "the store to be reachable again"
    )
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")
    assert request_of(process, "user-1").detail_code is None


def test_a_mount_that_was_lost_and_shows_an_empty_folder_is_waited_out(process: WorkerProcess) -> None:
    run_id = request_forgetting(process, "user-1")
    root = store_of(process)
    with gone(root):
        root.mkdir()
        for _ in range(process.settings.max_claims + 1):
            execute(process, run_id)
        run, request = run_of(process, run_id), request_of(process, "user-1")
        assert (run.status, run.claims, run.detail_code) == ("queued", 0, "store_emptied")
        assert (request.status, request.detail_code) == ("queued", "store_emptied")
        waits_for = ForgetRequestView.of(request, Links(""), utc_now(), WITHOUT_STEPS).waits_for
        assert waits_for == "the store that the database knows; this one is empty: is it mounted?"
        shutil.rmtree(root)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")


def test_an_empty_folder_does_not_pass_for_a_store_in_which_everything_was_destroyed(
    process: WorkerProcess, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_forgetting(process, "user-1")
    root = store_of(process)
    outage = gone(root)

    def lose_the_mount() -> None:
        outage.__enter__()
        root.mkdir()

    with monkeypatch.context() as patched:
        before(patched, "worker.completion._destroy_ineligible_versions", lose_the_mount)
        execute(process, run_id)
    assert_waits(process, run_id, "manifest_missing")
    shutil.rmtree(root)
    outage.__exit__(None, None, None)
    assert not process.store.is_destroyed(installed)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")


def test_a_destruction_that_the_store_refuses_is_done_once_it_takes_writes_again(
    process: WorkerProcess, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_forgetting(process, "user-1")
    outage = read_only(store_of(process))
    with monkeypatch.context() as patched:
        before(patched, "worker.completion._destroy_ineligible_versions", outage.__enter__)
        execute(process, run_id)
    assert_waits(process, run_id, "store_read_only")
    assert rows_of(process, "user-1") == 0
    assert not process.store.is_destroyed(installed)
    outage.__exit__(None, None, None)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")


@pytest.mark.parametrize(
    "step",
    [
        "worker.execution._record_in_journal",
        "worker.attempts.record_attempt",
        "worker.publication.Version",
        "worker.completion.anchor",
    ],
)
def test_outages_of_the_database_during_a_run_cost_no_claim(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    impatient(process)
    run_id = request_forgetting(process, "user-1")
    for _ in range(process.settings.max_claims + 1):
        with monkeypatch.context() as patched:
            outage = away(process.settings.database_url)
            before(patched, step, outage.__enter__)
            assert execute(process, run_id) is None
        outage.__exit__(None, None, None)
        assert run_of(process, run_id).claims == 1
        # As the sweeper does.
        return_claims(process)
        assert_waits(process, run_id, "database_unavailable")
        let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert_forgotten_once(process, run_id, "user-1")


def test_a_claim_that_an_outage_ended_does_not_count_although_another_worker_was_faster(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(process)
    run_id = request_forgetting(process, "user-1")
    outage = away(process.settings.database_url)
    with monkeypatch.context() as patched:
        before(patched, "worker.execution._record_in_journal", outage.__enter__)
        execute(process, run_id)
    outage.__exit__(None, None, None)
    with process.database.unit_of_work() as session:
        run = session.get_one(Run, run_id)
        run.fence, run.claims = run.fence + 1, 2
    return_claims(process)
    assert run_of(process, run_id).claims == 1


def before(patched: pytest.MonkeyPatch, step: str, happens: Callable[[], Any]) -> None:
    """Something happens once, when the run comes to this step."""
    module, _, name = step.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    happened: list[bool] = []

    def run(*arguments: Any, **named: Any) -> Any:
        if not happened:
            happened.append(True)
            happens()
        return real(*arguments, **named)

    patched.setattr(step, run)


def impatient(process: WorkerProcess) -> None:
    """An outage of seconds is too long for the test: SQLite's connections give a lock up after less."""
    if process.database.engine.dialect.name == "sqlite":
        event.listen(
            process.database.engine,
            "checkout",
            lambda connection, *_: connection.execute("PRAGMA busy_timeout=200"),
        )
