"""Nothing is erased or destroyed before every live replica has said that it serves the new version and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.audit.transaction import Transaction
from app.codes import ReplicaError
from app.db.clock import database_now
from app.db.models import ServingPointer
from app.replicas.service import DatabaseControlPlane, ReplicaReport
from app.runs import service as runs
from app.runs.service import Claim
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.observing import live, outcome, rows_of, run_of
from worker.execution import execute
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.publication import ReplicasSilent, wait_for_acknowledgement

LIVE, PARENT = "1" * 64, "0" * 64
GENERATION, EPOCH = 7, 3
ACKNOWLEDGED = ReplicaReport("gateway", GENERATION, LIVE, None, EPOCH, (LIVE,))


def report(process: WorkerProcess, of: ReplicaReport) -> None:
    DatabaseControlPlane(process.database).report(of)


@pytest.fixture
def hurried(process: WorkerProcess) -> WorkerProcess:
    """It waits for no replica, and takes none for gone."""
    limits = {
        "prepare_timeout_seconds": 0.0,
        "acknowledge_timeout_seconds": 0.0,
        "replica_timeout_seconds": 3600.0,
    }
    return replace(process, settings=process.settings.model_copy(update=limits))


@pytest.fixture
def published(hurried: WorkerProcess) -> Iterator[tuple[Claim, Lease]]:
    """A run that has moved the pointer from the parent to the version that is live."""
    run_id = request_forgetting(hurried, "user-1")
    with hurried.database.unit_of_work() as session:
        claim = runs.claim(
            Transaction(session, hurried.audit),
            run_id,
            now=database_now(session),
            lease=timedelta(minutes=1),
            max_claims=3,
            max_subjects=64,
            policy={},
            policy_hash="f" * 64,
        )
        session.execute(update(ServingPointer).values(digest=LIVE, generation=GENERATION))
    assert claim is not None
    claim = replace(claim, parent_digest=PARENT, covers_epoch=EPOCH)
    with Lease(hurried.database, claim, hurried.settings) as lease:
        yield claim, lease


def test_a_replica_that_has_done_everything_is_waited_for_no_longer(
    hurried: WorkerProcess, published: tuple[Claim, Lease]
) -> None:
    report(hurried, ACKNOWLEDGED)
    wait_for_acknowledgement(hurried, *published)


@pytest.mark.parametrize(
    "missing",
    [
        {"generation": GENERATION - 1},
        {"live_digest": PARENT},
        {"epoch": EPOCH - 1},
        {"resident_versions": (LIVE, PARENT)},
    ],
    ids=["generation", "version", "suppressions", "memory"],
)
def test_a_replica_that_lacks_one_thing_is_waited_for(
    hurried: WorkerProcess, published: tuple[Claim, Lease], missing: dict[str, object]
) -> None:
    report(hurried, replace(ACKNOWLEDGED, **missing))  # type: ignore[arg-type]
    with pytest.raises(ReplicasSilent):
        wait_for_acknowledgement(hurried, *published)


def test_nothing_goes_while_a_replica_is_silent(hurried: WorkerProcess, installed: str) -> None:
    report(hurried, ReplicaReport("gateway", 1, installed, None, 0, (installed,)))
    run_id = request_forgetting(hurried, "user-1")
    execute(hurried, run_id)
    assert live(hurried) != installed
    assert (outcome(hurried, "user-1"), run_of(hurried, run_id).detail_code) == (
        ("deploying", None),
        "replicas_silent",
    )
    assert rows_of(hurried, "user-1") > 0
    assert not hurried.store.is_destroyed(installed)
    report(hurried, ReplicaReport("gateway", 10**6, live(hurried), None, 10**6, (live(hurried),)))
    let_the_lease_lapse(hurried.database, run_id)
    execute(hurried, run_id)
    assert outcome(hurried, "user-1") == ("completed", "erased")
    assert hurried.store.is_destroyed(installed)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ReplicaError.WRONG_CATALOGUE, ("running", 0, "other_base")),
        (ReplicaError.FINGERPRINT_MISMATCH, ("needs_attention", 1, "candidate_refused")),
    ],
)
def test_a_replica_with_older_items_is_waited_for_and_a_version_that_is_not_itself_is_refused(
    hurried: WorkerProcess, error: ReplicaError, found: tuple[str, int, str]
) -> None:
    before = live(hurried)
    report(hurried, replace(ACKNOWLEDGED, error=error))
    run_id = request_forgetting(hurried, "user-1")
    execute(hurried, run_id)
    run = run_of(hurried, run_id)
    assert (run.status, run.claims, run.detail_code) == found
    assert live(hurried) == before
