"""Celery as Lethe uses it: a message only names a run. Every option is here with its reason; the database decides."""

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
from model_store import InvalidRecord, StoreError
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
        # A message waits at the broker, not in a busy worker's pocket.
        "worker_prefetch_multiplier": 1,
        # Acknowledged when the run has ended. A second delivery finds the run claimed or over, and does nothing.
        "task_acks_late": True,
        # The sweeper brings back what a killed child left; a requeue by the broker would loop without a cap.
        "task_reject_on_worker_lost": False,
        "task_soft_time_limit": settings.run_soft_limit_seconds,
        "task_time_limit": settings.run_hard_limit_seconds,
        # Returns what a long-lived process fragments, on the host and on the GPU.
        "worker_max_tasks_per_child": 100,
        # A child is not lost while it loads a model; the default of 4 s would kill and replace it for ever.
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A damaged message must not end the worker.
        "worker_consumer": "worker.consumer:PatientConsumer",
        # Nobody reads these, and events and gossip would be one more way for names to travel.
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
    }
)


@setup_logging.connect
def _log_like_the_gateway(**_: Any) -> None:
    configure_logging(settings.log_format, program="worker")


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
        # What a killed worker was writing is nobody's by the time its successor starts.
        sweep_store(current_process())
    except Exception as error:
        # What was damaged does not come back by itself.
        if isinstance(error, DatabaseUnavailable | StoreError) and not isinstance(error, InvalidRecord):
            # The first run tries again, and by then it may be back.
            log.warning("worker.not_ready", error=str(error))
            return
        message = describe(error)
        # A defect is logged with its traceback; what a setting can mend is one line of the command's.
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
