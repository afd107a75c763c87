"""A worker child without Celery around it: the same objects, the same code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.db.base import utc_now
from app.db.session import Database
from app.settings import Settings
from tests.integration.tiny_model import accept
from worker.process import WorkerProcess, open_process


@pytest.fixture
def process(settings: Settings, installed: str) -> Iterator[WorkerProcess]:
    opened = open_process(settings)
    yield opened
    opened.database.dispose()


def request_forgetting(process: WorkerProcess, *users: str) -> str:
    """The id of the run that will serve them."""
    run_ids = [accept(process.database, user).run_id for user in users]
    run_id = run_ids[-1]
    assert run_id is not None
    return run_id


def let_the_lease_lapse(database: Database, run_id: str) -> None:
    """What time would do."""
    from datetime import timedelta

    from app.db.models import Run

    with database.unit_of_work() as session:
        session.get_one(Run, run_id).lease_until = utc_now() - timedelta(seconds=1)
