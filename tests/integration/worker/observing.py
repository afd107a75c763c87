"""What a test sees of a worker's installation, and how it puts a version of its own there."""

from __future__ import annotations

from sqlalchemy import select

from app.db.models import ForgetRequest, Interaction, Run, ServingPointer
from app.versions import queries as pointer
from tests.integration.tiny_model import subject_of
from worker.process import WorkerProcess
from worker.readership import Readership
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
