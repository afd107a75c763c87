"""What the store vouches for once it has happened in the database: the erasure floor, and how far the log has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.audit.checkpoints import write_checkpoint
from app.versions.floor import vouch_for_floor
from model_store import StoreError

if TYPE_CHECKING:
    from worker.process import WorkerProcess

log = structlog.get_logger()


def anchor(process: WorkerProcess) -> None:
    """Nothing is destroyed, and nobody's request completes, before the store vouches for the floor.

    Raises:
        StoreError: it does not yet.
        DatabaseUnavailable: nobody answers.
    """
    vouch_for_floor(process.database, process.store)
    anchor_log(process)


def anchor_log(process: WorkerProcess) -> None:
    """A checkpoint that cannot be written now is made up for after the next run, or by the next worker.

    Raises:
        DatabaseUnavailable: nobody answers.
    """
    try:
        write_checkpoint(process.database, process.audit, process.store)
    except StoreError as error:
        log.warning("audit.checkpoint_late", error=type(error).__name__, detail=str(error))
