"""The Celery configuration, with the reason for each option. A message only names a run; the database decides."""

from __future__ import annotations

import os
import signal
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from app.broker import celery_options
from app.db.errors import DatabaseUnavailable
from app.failures import describe
from app.loading import loading
from app.logging import configure_logging
from app.settings import get_settings
from model_store import InvalidRecord, StoreError, StoreUnsuitable
from worker.notebook import copy_into_run
from worker.start_failure import start_failure
from worker.stopping import leave_stopping_to_the_parent
from worker.sweeper import Sweeper

log = structlog.get_logger()

CHILD_START_SECONDS = 600.0

settings = get_settings()

app = Celery("lethe", include=["worker.tasks"])
app.conf.update(
    celery_options(settings)
    | {
        # One run at a time, in a child: the parent never touches CUDA, which does not survive a fork.
        "worker_pool": "prefork",
        "worker_concurrency": 1,
        # A message waits at the broker, where any worker can take it, not in a busy worker.
        "worker_prefetch_multiplier": 1,
        # Acknowledge when the run has ended. A second delivery finds the run claimed or over, and does nothing.
        "task_acks_late": True,
        # The sweeper dispatches again what a killed child left; requeueing by the broker would have no limit.
        "task_reject_on_worker_lost": False,
        "task_soft_time_limit": settings.run_soft_limit_seconds,
        "task_time_limit": settings.run_hard_limit_seconds,
        # A new child frees memory that a long-lived process fragments, on the host and on the GPU.
        "worker_max_tasks_per_child": 100,
        # Loading a model takes longer than the default of 4 s, after which Celery would replace the child, for ever.
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A damaged message must not end the worker.
        "worker_consumer": "worker.consumer:PatientConsumer",
        # Nobody reads these, and they would be one more channel through which names could leak.
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
    }
)


@setup_logging.connect
def _log_like_the_gateway(**_: Any) -> None:
    configure_logging(settings.log_format, program="worker", copying=copy_into_run)


start_failure.open()
sweeper = Sweeper(app, settings)


@worker_process_init.connect
def _open_in_the_child(**_: Any) -> None:
    # Imported here and not above: torch belongs to the child.
    with loading():
        from worker.process import current_process
        from worker.sweeping import sweep_store

    leave_stopping_to_the_parent()
    sweeper.start()
    try:
        # Files that a killed worker left unfinished belong to nobody once its successor starts.
        sweep_store(current_process())
    except Exception as error:
        # An outage may pass by itself; a damaged record, or a bucket that keeps what is deleted, does not.
        passing = isinstance(error, DatabaseUnavailable | StoreError)
        if passing and not isinstance(error, InvalidRecord | StoreUnsuitable):
            # The first run tries again; the database or store may answer by then.
            log.warning("worker.not_ready", error=str(error))
            return
        message = describe(error)
        # Log a defect with its traceback. An error that a setting can fix is one line from the command.
        log.critical(
            "worker.cannot_work", error=type(error).__name__, exc_info=error if message is None else None
        )
        start_failure.write(message or f"the worker cannot work ({type(error).__name__}); its log is above")
        os.kill(os.getppid(), signal.SIGTERM)


@worker_process_shutdown.connect
def _close_in_the_child(**_: Any) -> None:
    from worker.process import current_process

    sweeper.stop()
    if current_process.cache_info().currsize:
        current_process().database.dispose()
