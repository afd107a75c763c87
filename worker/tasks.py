"""The only Celery task. A message names the run to look at; everything else is read from the database."""

from __future__ import annotations

import structlog
from celery import Task

from app.broker import RUN_TASK
from worker.celery_app import app
from worker.stopping import end_run_when_told


@app.task(name=RUN_TASK, bind=True)
def run(self: Task, run_id: str) -> None:
    # Imported here because the parent process imports this module and must stay free of torch.
    from worker.execution import execute
    from worker.process import current_process

    end_run_when_told()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(run=run_id)
    next_run = execute(current_process(), run_id)
    if next_run is not None:
        self.app.send_task(RUN_TASK, args=[next_run], retry=False)
