"""One gateway process: everything it holds, built once, closed once."""

from __future__ import annotations

from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from app.db import forget_requests, runs
from app.db.audit import AuditLog
from app.db.base import utc_now
from app.db.control import DatabaseControlPlane
from app.db.errors import DatabaseUnavailable
from app.db.forget_requests import Acceptance
from app.db.ledger import require_subject_key
from app.db.restoration import replay_journal
from app.db.session import Database
from app.popularity import PopularityRefresher
from app.queue import RunQueue
from app.serving import ServingEngine
from app.serving.assembly import build_engine
from app.settings import Settings
from app.subjects import SubjectKey
from model_store import Store, StoreError, open_store

log = structlog.get_logger()


class Gateway:
    """The parts endpoints work with."""

    def __init__(self, settings: Settings, database: Database, registry: CollectorRegistry) -> None:
        self.settings = settings
        self.database = database
        self.registry = registry
        self.audit = AuditLog(settings.audit_key.get_secret_value().encode())
        self.subject_key = SubjectKey(settings.subject_key.get_secret_value().encode())
        self.store: Store = open_store(settings.store_url)
        self.queue = RunQueue(settings, database)
        self.replica_timeout = timedelta(seconds=settings.replica_timeout_seconds)
        with database.unit_of_work() as session:
            require_subject_key(session, self.subject_key.check)
        replay_journal(database, self.audit, self.store)
        self.engine: ServingEngine = build_engine(
            settings, self.store, DatabaseControlPlane(database), registry
        )
        self.catalogue = self.engine.catalogue
        self.popularity = PopularityRefresher(database, self.engine, settings.max_recommendations)

    def start(self) -> None:
        self.popularity.start()
        self.engine.start()

    def stop(self) -> None:
        self.popularity.stop()
        self.engine.stop()
        self.queue.close()

    def after_acceptance(self, accepted: Acceptance) -> None:
        """What follows a 202 and may fail without harm: journal, popularity list, bell. The worker makes up for it."""
        self.popularity.request()
        try:
            self.store.append_journal(forget_requests.journal_entry(accepted.request))
        except StoreError as error:
            log.error("journal.unavailable", epoch=accepted.request.epoch, error=type(error).__name__)
        if accepted.run_id is not None:
            self.queue.ring(accepted.run_id, accepted.request.received_at)

    def ring_queued_run(self) -> None:
        with self.database.read() as session:
            run_id = runs.queued_run(session)
        if run_id is not None:
            self.queue.ring(run_id, utc_now())


def database_answers(database: Database) -> bool:
    try:
        with database.read() as session:
            runs.newest(session, limit=1)
    except DatabaseUnavailable:
        return False
    return True
