"""What the tests of consolidation ask for and look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import safetensors.torch
import torch
from sqlalchemy import select

from app.audit.transaction import Transaction
from app.consolidations import queries as consolidation_queries
from app.consolidations import service as consolidations
from app.db.base import utc_now
from app.db.models import AuditEntry, ConsolidationReason, Ledger, Version
from app.versions import queries as version_queries
from recommender import fit_adapter, leave_two_out
from tests.integration.tiny_model import subject_of
from tests.integration.worker.observing import install, live, run_of, serving
from worker.process import WorkerProcess
from worker.versions import ARTEFACTS, load_version, store_version


def request_consolidation(process: WorkerProcess, *, patience: timedelta = timedelta(0)) -> str:
    with process.database.unit_of_work() as session:
        return consolidations.request(
            Transaction(session, process.audit),
            reason=ConsolidationReason.ON_DEMAND,
            requested_by="tests",
            patience=patience,
            now=utc_now(),
        ).run.id


def attenuate(process: WorkerProcess, *, subjects: int = 1, utility_change: float | None = -0.02) -> str:
    """Make an edit of the live version live; its digest."""
    with process.database.read() as session:
        parent_digest = version_queries.current(session).digest
        epoch = session.get_one(Ledger, 1).epoch
    assert parent_digest is not None
    parent = load_version(process.store, parent_digest)
    tensors = {name: tensor * 0.9 for name, tensor in parent.adapter.tensors.items()}
    edited = parent.adapter.replace(tensors)
    digest = store_version(
        process.store,
        process.base,
        edited,
        parent=parent_digest,
        forget_epoch=epoch,
        method="uniform_shrink",
        config={"factor": 0.9},
        report={},
        policy_hash=None,
        fit=parent.fit,
        readership=parent.readership,
        artefacts={ARTEFACTS: safetensors.torch.save({"gate.module": torch.full((2,), 0.9)})},
    )
    version = Version(
        digest=digest,
        parent_digest=parent_digest,
        forget_epoch=epoch,
        method="uniform_shrink",
        subjects=subjects,
        utility_change=utility_change,
        published_at=utc_now(),
    )
    install(process, version, parent=parent_digest)
    return digest


def actions(process: WorkerProcess) -> list[str]:
    with process.database.read() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.sequence)))


def assert_fitted_on(process: WorkerProcess, histories: dict[str, Sequence[int]], seed: int) -> None:
    """The live adapter is, bit for bit, a fit on these users and nobody else."""
    version = load_version(process.store, live(process))
    assert version.exact
    splits = [leave_two_out(histories[user]) for user in sorted(histories, key=subject_of)]
    expected = fit_adapter(
        process.base,
        [split.train for split in splits],
        version.fit.adapter_config,
        replace(version.fit.training, seed=seed),
        validation=[(split.train, split.validation) for split in splits],
    )
    assert expected.tensors.keys() == version.adapter.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert torch.equal(tensor, version.adapter.tensors[name]), name


def assert_consolidated_once(process: WorkerProcess, run_id: str) -> None:
    run = run_of(process, run_id)
    assert (run.kind, run.status, run.stage) == ("consolidation", "completed", "done")
    digest = live(process)
    assert run.version_digest == digest
    manifest = process.store.read_manifest(digest)
    assert manifest.method == "refit"
    assert manifest.forget_epoch >= serving(process).erasure_floor
    store = process.store
    assert [one for one in store.versions() if not store.is_destroyed(one)] == [digest]
    assert store.delete_orphans() == ()
    done = actions(process)
    for action in ("consolidation.requested", "version.published", "consolidation.completed"):
        assert done.count(action) == 1, action
    with process.database.read() as session:
        assert process.audit.first_broken(session) is None
        assert consolidation_queries.spending(session).attenuations == 0
        version = session.get(Version, digest)
        assert version is not None
        assert version.exact
