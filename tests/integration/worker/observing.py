"""What a test sees of a worker's installation, and how it puts a version or an earlier run of its own there."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select

from app.attempts import queries as attempts
from app.db.base import utc_now
from app.db.models import Attempt, ForgetRequest, Interaction, Run, RunKind, ServingPointer, Version
from app.readers.readership import Readership
from app.runs import queries as runs
from app.versions import queries as pointer
from tests.integration import tiny_model
from tests.integration.tiny_model import subject_of
from worker.execution import execute
from worker.process import WorkerProcess
from worker.versions import load_version, store_version


def serving(process: WorkerProcess) -> ServingPointer:
    with process.database.read() as session:
        return pointer.current(session)


def live(process: WorkerProcess) -> str:
    digest = serving(process).digest
    assert digest is not None
    return digest


def run_of(process: WorkerProcess, run_id: str) -> Run:
    with process.database.read() as session:
        return session.get_one(Run, run_id)


def waiting_run(process: WorkerProcess, kind: RunKind = RunKind.FORGET) -> str:
    with process.database.read() as session:
        run_id = runs.queued_run(session, kind)
    assert run_id is not None
    return run_id


def rows_of(process: WorkerProcess, user: str) -> int:
    with process.database.read() as session:
        return len(
            session.scalars(select(Interaction.id).where(Interaction.subject_hmac == subject_of(user))).all()
        )


def request_of(process: WorkerProcess, user: str) -> ForgetRequest:
    with process.database.read() as session:
        return session.scalars(
            select(ForgetRequest).where(ForgetRequest.subject_hmac == subject_of(user))
        ).one()


def outcome(process: WorkerProcess, user: str) -> tuple[str, str | None]:
    request = request_of(process, user)
    return request.status, request.outcome


def living(process: WorkerProcess) -> list[str]:
    return [digest for digest in process.store.versions() if not process.store.is_destroyed(digest)]


def store_again(process: WorkerProcess, readership: Readership | None, *, forget_epoch: int = 0) -> str:
    """Put the live adapter into the store once more, under another record of whom it has read; nothing serves it."""
    parent = load_version(process.store, live(process))
    return store_version(
        process.store,
        process.base,
        parent.adapter,
        parent=parent.digest,
        forget_epoch=forget_epoch,
        method="fit",
        config={"by": "the operator"},
        report={},
        policy_hash=None,
        fit=parent.fit,
        readership=readership,
        artefacts={},
    )


def make_live(process: WorkerProcess, digest: str) -> None:
    """Behind everybody's back: nothing of what an installation records is recorded."""
    with process.database.unit_of_work() as session:
        pointer.current(session).digest = digest


def install(
    process: WorkerProcess, version: Version, *, parent: str | None, readers: Collection[str] = ()
) -> None:
    """Make a version of the worker's base live."""
    tiny_model.install(
        process.database, version, parent=parent, base_digest=process.base.digest, readers=readers
    )


def execute_waiting(process: WorkerProcess) -> None:
    """Execute the run that waits; this worker has then ended."""
    execute(process, waiting_run(process))
    process.database.dispose()


def took(process: WorkerProcess, duration: timedelta, *methods: str, accepted: bool = False) -> None:
    """An earlier run tried these, each for so long."""
    now = utc_now()
    with process.database.unit_of_work() as session:
        if session.get(Run, "ur_earlier") is None:
            session.add(Run(id="ur_earlier", status="completed", created_at=now))
            session.flush()
        for number, method in enumerate(methods, start=len(attempts.of_run(session, "ur_earlier"))):
            session.add(
                Attempt(
                    run_id="ur_earlier", fence=0, number=number, step=0, requests=[], method=method, config={},
                    policy_hash="f" * 64, started_at=now - duration, finished_at=now,
                    decision="pass" if accepted else "fail", accepted=accepted, report={}, verdict={},
                )
            )  # fmt: skip
