"""Dispatches a run again if its message was lost: never sent, flushed with the broker, or lost with its worker.

It also checks whether a consolidation is due, because the age of a fit grows without any other event, and drops old
public events and deliveries.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from celery import Celery

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.broker import RUN_TASK
from app.db.clock import database_now
from app.db.errors import DatabaseRewound, DatabaseUnavailable
from app.db.session import Database, open_database
from app.events import service as events
from app.forget_requests import deadlines, dwelling, unverified
from app.forget_requests import service as forget_requests
from app.forget_requests.policy import LongestHours, RequestPolicy, load_request_policy
from app.idempotency import service as kept_answers
from app.latencies import history as latencies
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.replicas import service as control
from app.restoration.service import join_timeline
from app.runs import notes
from app.runs import service as runs
from app.settings import Settings
from app.suppressions import queries as suppressions
from app.takedowns import service as takedowns
from app.webhooks import service as webhooks
from model_store import StoreError, open_store

if TYPE_CHECKING:
    from unlearning import ConsolidationBudget

log = structlog.get_logger()


class Sweeper:
    """A thread of the worker's child.

    It does not run in the parent, because the parent forks: a fork in the middle of a transaction leaves SQLite in the
    child with locks that nobody holds. A child that dies is replaced by one with a sweeper of its own.
    """

    def __init__(self, celery: Celery, settings: Settings) -> None:
        self._celery = celery
        self._settings = settings
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        # Create the thread here: from Python 3.13 on, a thread object made before the fork cannot be started after it.
        self._thread = threading.Thread(target=self._loop, name="sweeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _loop(self) -> None:
        # Imported here and not above: torch belongs to the child, and this thread runs there.
        from worker.budget import request_if_due
        from worker.process import current_process, load_policy
        from worker.surroundings import return_claims

        database = Database(open_database(self._settings.database_url, pooled=False))
        audit = AuditLog.of(self._settings)
        budget: ConsolidationBudget | None = None
        policy: RequestPolicy | None = None
        while not self._stop.is_set():
            try:
                budget = budget or load_policy(self._settings).consolidation
                policy = policy or load_request_policy(self._settings)
                due = request_if_due(
                    database,
                    audit,
                    self._settings,
                    budget,
                    for_takedowns=policy.consolidate_takedowns,
                )
                if due is not None:
                    log.info("consolidation.due", run=due)
                if current_process.cache_info().currsize:
                    return_claims(current_process())
                end_windows(database, audit)
                expire_unverified(database, audit)
                warn_of_deadlines(database, audit)
                dispatched = sweep(database, self._settings)
                for run_id in dispatched:
                    self._celery.send_task(RUN_TASK, args=[run_id], retry=False)
                    log.info("run.dispatched", run=run_id)
                if dispatched:
                    with database.unit_of_work() as session:
                        for run_id in dispatched:
                            outbox.told(session, Topic.RUN_WAITING, run_id)
                # Nothing that has to happen waits for an alarm.
                tell_stalled(database, audit, policy.longest_hours)
                # Last, because the store may be away, and nothing above needs it.
                write_lifts(database, self._settings)
                write_takedowns(database, self._settings)
            except DatabaseRewound:
                self._join(database, audit)
            except Exception as error:  # noqa: BLE001  (nobody would notice a dead sweeper)
                log.warning("sweep.failed", error=type(error).__name__)
            self._stop.wait(self._settings.sweep_seconds)

    def _join(self, database: Database, audit: AuditLog) -> None:
        """Join the database's timeline. Without this, nobody would dispatch the runs of a restored database."""
        try:
            join_timeline(
                database,
                audit,
                open_store(self._settings.store_url),
                policy=load_request_policy(self._settings),
            )
        except (DatabaseUnavailable, StoreError) as error:
            log.warning("sweep.failed", error=type(error).__name__)


def warn_of_deadlines(database: Database, audit: AuditLog) -> int:
    """Record the warnings that are due. Returns how many.

    Raises:
        DatabaseUnavailable: nothing was recorded; look again later.
    """
    with database.read() as session:
        due = deadlines.due_warnings(session, database_now(session))
    if due:
        with Transaction.begin(database, audit) as transaction:
            deadlines.warn(transaction, due)
    return len(due)


def tell_stalled(database: Database, audit: AuditLog, longest: LongestHours) -> int:
    """Record which requests have stayed too long in their state, some at a time. Returns how many.

    Raises:
        DatabaseUnavailable: nothing was recorded; look again later.
    """
    with database.read() as session:
        found = dwelling.to_tell(session, longest, database_now(session))
    if not found:
        return 0
    with Transaction.begin(database, audit) as transaction:
        return dwelling.tell(transaction, found, longest, transaction.now())


def end_windows(database: Database, audit: AuditLog) -> int:
    """Queue requests whose cancel window is over. Returns how many.

    Raises:
        DatabaseUnavailable: nothing was changed; look again later.
    """
    with database.read() as session:
        if not forget_requests.has_ended_window(session, database_now(session)):
            return 0
    with Transaction.begin(database, audit) as transaction:
        return forget_requests.end_windows(transaction, transaction.now())


def expire_unverified(database: Database, audit: AuditLog) -> int:
    """Cancel requests that nobody has verified in time. Returns how many.

    Raises:
        DatabaseUnavailable: nothing was changed; look again later.
    """
    with database.read() as session:
        if not unverified.has_expired(session, database_now(session)):
            return 0
    with Transaction.begin(database, audit) as transaction:
        return unverified.expire(transaction, transaction.now())


def write_lifts(database: Database, settings: Settings) -> int:
    """Write lifts of suppressions into the journal that a gateway could not write. Returns how many.

    Raises:
        StoreError: the store does not take them; look again later.
        DatabaseUnavailable: look again later.
    """
    pause = timedelta(seconds=settings.redispatch_seconds)
    with database.read() as session:
        if not outbox.is_due(session, Topic.LIFTED, now=database_now(session)):
            return 0
    store = open_store(settings.store_url)
    with database.unit_of_work() as session:
        epochs = outbox.take(session, Topic.LIFTED, now=database_now(session), again_after=pause)
        entries = {epoch: suppressions.lift_of(session, int(epoch)) for epoch in epochs}
    for epoch, entry in entries.items():
        # A lift that was numbered anew has no entry under its former epoch, and a message of its own.
        if entry is not None:
            store.append_journal(entry)
        with database.unit_of_work() as session:
            outbox.told(session, Topic.LIFTED, epoch)
    return len(entries)


def write_takedowns(database: Database, settings: Settings) -> int:
    """Write takedowns into the journal that a gateway could not write. Returns how many; the errors are those of
    `write_lifts`.
    """
    pause = timedelta(seconds=settings.redispatch_seconds)
    with database.read() as session:
        if not outbox.is_due(session, Topic.TAKEN_DOWN, now=database_now(session)):
            return 0
    store = open_store(settings.store_url)
    with database.unit_of_work() as session:
        ids = outbox.take(session, Topic.TAKEN_DOWN, now=database_now(session), again_after=pause)
        entries = {one: takedowns.entry_of(session, one) for one in ids}
    for one, entry in entries.items():
        if entry is not None:
            store.append_journal(entry)
        with database.unit_of_work() as session:
            outbox.told(session, Topic.TAKEN_DOWN, one)
    return len(entries)


def sweep(database: Database, settings: Settings) -> list[str]:
    """The ids of the runs to dispatch now. Also gives queued requests a run if they have none.

    Raises:
        DatabaseUnavailable: nothing was changed; look again later.
    """
    with database.unit_of_work() as session:
        now = database_now(session)
        healed = runs.heal_queue(session, now)
        if healed is not None:
            log.warning("run.missing", run=healed)
        control.forget_old_replicas(session, now)
        kept_answers.delete_expired(session, now)
        old = now - timedelta(seconds=settings.events_kept_seconds)
        webhooks.drop_old(session, before=old)
        events.drop_old(session, before=old)
        notes.drop_old(session, now)
        latencies.drop_old(session, now)
        pause = timedelta(seconds=settings.redispatch_seconds)
        due = runs.due_for_dispatch(session, now=now, redispatch_after=pause)
        # Runs that a gateway could not dispatch, because its broker was away or the gateway died.
        waiting = outbox.take(session, Topic.RUN_WAITING, now=now, again_after=pause)
        return list(dict.fromkeys((*due, *waiting)))
