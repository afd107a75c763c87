"""Withdraws the live version if too few users are left to make another one.

Everybody then gets the fallback, which depends on no single user, until `lethe init` finds enough users to fit on.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from app.db.models import RunStage
from app.readers.past_readers import note_past_readers
from app.runs.service import Claim
from app.versions import service as pointer
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.versions import LoadedVersion

log = structlog.get_logger()


def withdraw(process: WorkerProcess, claim: Claim, parent: LoadedVersion, lease: Lease) -> Claim:
    """
    Returns:
        The claim, now past the point of no return, with all of its requests.

    Raises:
        FenceLost, PointerMoved: nothing was withdrawn.
    """
    lease.note("withdrawal")
    lease.check()
    note_past_readers(process.database, parent.readership, None)
    with process.transaction() as transaction:
        generation = pointer.withdraw(
            transaction, claim, base_digest=process.base.digest, now=transaction.now()
        )
    log.warning("version.withdrawn", version=parent.digest, generation=generation)
    return replace(claim, stage=RunStage.PUBLISHED)
