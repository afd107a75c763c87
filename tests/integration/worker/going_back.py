"""How a test goes back to an earlier version: as the API, the dashboard and the command line do."""

from __future__ import annotations

from app.versions.rollback import RolledBack, roll_back, way_back
from worker.process import WorkerProcess


def go_back(process: WorkerProcess, digest: str) -> RolledBack:
    """
    Raises:
        RollbackRefused: the version may not serve again.
    """
    way = way_back(process.database, process.store, digest)
    with process.transaction() as transaction:
        return roll_back(transaction, way, actor="tests", now=transaction.now())
