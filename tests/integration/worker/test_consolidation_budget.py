"""A worker requests a consolidation when the policy's budget is spent."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import update

from app.broker import celery_options
from app.consolidations import queries as consolidations
from app.db.base import utc_now
from app.db.models import Version
from app.runs import queries as runs
from tests.integration.worker.consolidating import assert_consolidated_once, attenuate
from tests.integration.worker.observing import run_of
from unlearning import ConsolidationBudget
from worker.budget import request_if_due
from worker.execution import execute
from worker.process import WorkerProcess
from worker.sweeper import Sweeper

# This is about what a worker decides. What depends on the database is tested on both, in files beside this one.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def budgeted(process: WorkerProcess, budget: ConsolidationBudget, *, days: float = 0.0) -> str | None:
    with process.database.unit_of_work() as session:
        session.execute(update(Version).values(published_at=utc_now() - timedelta(days=days)))
    return request_if_due(process.database, process.audit, process.settings, budget)


@pytest.mark.parametrize(
    ("budget", "days", "reason"),
    [
        (ConsolidationBudget(max_attenuated_subjects=3), 0, "subjects"),
        (ConsolidationBudget(max_attenuations=2), 0, "attenuations"),
        (ConsolidationBudget(max_age_days=5), 6, "age"),
        (ConsolidationBudget(max_utility_loss=0.15), 0, "utility"),
    ],
)
def test_a_spent_budget_requests_one_consolidation(
    process: WorkerProcess, budget: ConsolidationBudget, days: float, reason: str
) -> None:
    assert budgeted(process, budget, days=days) is None
    attenuate(process, subjects=2, utility_change=-0.1)
    attenuate(process, subjects=1, utility_change=-0.1)
    assert budgeted(process, ConsolidationBudget(max_utility_loss=None)) is None
    run_id = budgeted(process, budget, days=days)
    assert run_id is not None
    assert run_of(process, run_id).reason == reason
    assert budgeted(process, budget, days=days) is None
    execute(process, run_id)
    assert_consolidated_once(process, run_id)
    assert budgeted(process, budget, days=days) is None


def test_a_worker_announces_its_budget(process: WorkerProcess) -> None:
    with process.database.read() as session:
        assert consolidations.announced_budget(session) == {
            "max_attenuated_subjects": 50,
            "max_attenuations": 20,
            "max_age_days": 30.0,
            "max_utility_loss": 0.1,
        }


def test_the_sweeper_requests_what_is_due_and_rings_for_it(process: WorkerProcess, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    budget = ConsolidationBudget(max_attenuations=1)
    policy.write_text(replace(process.policy, consolidation=budget).to_json())
    settings = process.settings.model_copy(update={"policy_file": policy, "sweep_seconds": 0.1})
    celery = Celery("tests", set_as_current=False)
    celery.conf.update(celery_options(settings))
    attenuate(process)
    sweeper = Sweeper(celery, settings)
    sweeper.start()
    try:
        messages = tmp_path / "broker" / "messages"
        deadline = time.monotonic() + 60
        while not any(messages.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        sweeper.stop()
        celery.close()
    with process.database.read() as session:
        (run,) = runs.newest(session, limit=5)
    assert (run.kind, run.reason, run.status) == ("consolidation", "attenuations", "queued")
    (message,) = messages.iterdir()
    headers = json.loads(message.read_text())["headers"]
    assert run.id in headers["argsrepr"]
