"""One gateway process: all its parts, built at the start and closed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry
from sqlalchemy.orm import Session

from app.audit.group_commit import GroupCommit
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import DatabaseUnavailable
from app.db.ledger import require_subject_key
from app.db.models import ForgetTarget, ItemTakedown, RunKind
from app.db.precedence import Precedence
from app.db.schema import require_writable
from app.db.session import Database
from app.errands import Errands
from app.events.feed import EventFeed
from app.forget_requests import service as forget_requests
from app.forget_requests.policy import load_request_policy
from app.forget_requests.service import Acceptance
from app.interactions.popularity import PopularityRefresher
from app.links import Links
from app.opendsr.callbacks import Callbacks
from app.opendsr.signing import processor_of
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.probe import Probe
from app.recommendations.histories import Histories
from app.recommendations.prompt_reader import PromptReader
from app.replicas.service import DatabaseControlPlane
from app.restoration.queries import timeline_stands
from app.restoration.service import join_timeline
from app.retrieval import Retriever
from app.runs import queries as runs
from app.runs.queue import RunQueue
from app.serving import ServingEngine
from app.serving.assembly import build_engine
from app.serving.clock import elapsed
from app.settings import Settings
from app.signing.from_settings import signer_of
from app.subjects import SubjectKey
from app.takedowns import queries as takedowns
from app.takedowns import service as takedown_service
from app.targets import completion as targets
from app.versions.parts import Surroundings
from app.webhooks.deliverer import Deliverer
from app.webhooks.sending import Sender
from app.webhooks.signing import Signer
from model_store import (
    JournalConflict,
    JournalEntry,
    Store,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    open_store,
)

log = structlog.get_logger()

Result = TypeVar("Result")
# How many of the server's forty threads for requests may be writing.
_WRITERS = 12
# Imports take turns at the database: while one writes, the other parses its events. More would slow the event loop.
_IMPORTERS = 2
# Anybody may ask whether this replica is ready, and if something hangs, each such request waits for seconds.
_PROBERS = 4
# Streams of events that begin read old events; many may begin at once, after a gateway has restarted.
_EVENT_READERS = 4
_JOURNAL_SECONDS = 3.0
_JOURNAL_PAUSE_SECONDS = 0.5
_WRITES_PER_SECOND = 4
_STORE_HOLDS_SECONDS = 10.0


class Gateway:
    """The parts that endpoints use.

    ``links`` makes the links in answers. ``precedence`` orders the threads that write. ``keys_in_flight`` has the names
    of idempotency keys whose requests this process is working on; only the event loop uses it.
    """

    def __init__(self, settings: Settings, database: Database, registry: CollectorRegistry) -> None:
        self.settings = settings
        self.database = database
        self.registry = registry
        self.audit = AuditLog.of(settings)
        self.subject_key = SubjectKey(settings.subject_key.get_secret_value().encode())
        self.signer = signer_of(settings)
        self.processor = processor_of(settings)
        self.store: Store = open_store(settings.store_url)
        # This probe and `database_writes` write, so limit their rate: strangers can trigger them. After a successful
        # write the store is not probed for a while, unless it refuses an entry of the journal.
        self.store_answers = Probe(
            "store",
            lambda: self.store.check().writable,
            per_second=_WRITES_PER_SECOND,
            yes_holds_seconds=_STORE_HOLDS_SECONDS,
        )
        self.database_answers = Probe("database", lambda: runs.can_be_read(database))
        self.database_writes = Probe(
            "database_writes", lambda: _writes(database), per_second=_WRITES_PER_SECOND
        )
        self.reader = PromptReader(database, settings.database_prompt_seconds)
        self.queue = RunQueue(settings, database)
        self.links = Links(settings.root_path)
        self.precedence = Precedence()
        self.group_commit = GroupCommit(self.transaction)
        self.keys_in_flight: set[str] = set()
        self._writers = CapacityLimiter(_WRITERS)
        self._importers = CapacityLimiter(_IMPORTERS)
        self._probers = CapacityLimiter(_PROBERS)
        self.event_readers = CapacityLimiter(_EVENT_READERS)
        self.events = EventFeed(database)
        self.deliverer = self._deliverer() if settings.webhook_key is not None else None
        self._journal: Errands[JournalEntry] = Errands("journal", self._append_journal)
        self._stopping = threading.Event()
        self.replica_timeout = timedelta(seconds=settings.replica_timeout_seconds)
        with database.unit_of_work() as session:
            require_subject_key(session, self.subject_key.check)
        self.request_policy = load_request_policy(settings)
        join_timeline(database, self.audit, self.store, policy=self.request_policy)
        self._joining: Errands[None] = Errands("timeline", self._join_again)
        self._joinable = True
        control = DatabaseControlPlane(
            database,
            on_rewound=lambda: self._joining.add("timeline", None),
            lease_seconds=settings.feed_lease_seconds,
            clock=elapsed,
        )
        self.engine: ServingEngine = build_engine(settings, self.store, control, registry)
        self.catalogue = self.engine.catalogue
        self.popularity = PopularityRefresher(database, self.engine, settings.max_recommendations)
        self.histories = Histories.of(settings, database, self.reader, self.engine)
        # Only a model that ranks a few candidates needs a retriever to find them.
        self.retriever = (
            None
            if self.engine.most_candidates is None
            else Retriever(database, self.catalogue, self.engine.suppressed, lambda: self.engine.taken_down)
        )
        # Before the first answer: the fallback, which needs no lease, must not name them either.
        with database.read() as session:
            for epoch, item_id in takedowns.after(session, 0):
                self.engine.take_down(epoch, item_id)

    @property
    def surroundings(self) -> Surroundings:
        """The parts of the service beside the adapter, for the list of parts."""
        return Surroundings(self.engine.base_digest, self.retriever is not None)

    @property
    def most_recommendations(self) -> int:
        """The largest number of items in one answer."""
        return min(self.settings.max_recommendations, len(self.catalogue))

    def start(self) -> None:
        self.popularity.start()
        self.histories.start()
        if self.retriever is not None:
            self.retriever.start()
        self.queue.start()
        self.events.start()
        if self.deliverer is not None:
            self.deliverer.start()
        self._journal.start()
        self._joining.start()
        self.engine.start()

    def stop(self) -> None:
        self.events.stop()
        if self.deliverer is not None:
            self.deliverer.stop(_JOURNAL_SECONDS)
        self.popularity.stop()
        self.histories.stop()
        if self.retriever is not None:
            self.retriever.stop()
        self.engine.stop()
        self._joining.stop(_JOURNAL_SECONDS)
        self._stopping.set()
        self._journal.stop(_JOURNAL_SECONDS)
        self.queue.stop()
        self.reader.close()

    async def write(self, work: Callable[[], Result]) -> Result:
        """Run work that may wait for the database's lock, in a limited number of threads.

        So writers never take all the threads that recommendations need.
        """
        return await run_sync(work, limiter=self._writers)

    async def import_(self, work: Callable[[], Result]) -> Result:
        """Like `write`, for imports: they never take the threads that forget requests need."""
        return await run_sync(work, limiter=self._importers)

    async def probe(self, work: Callable[[], Result]) -> Result:
        """Like `write`, for probes, which anybody may request without a key."""
        return await run_sync(work, limiter=self._probers)

    @contextmanager
    def transaction(self, before_lock: Callable[[Session], None] | None = None) -> Iterator[Transaction]:
        """One transaction that takes precedence over imports of this process.

        Args:
            before_lock: called with the session before the ledger is locked. It must not wait.

        Raises:
            DatabaseUnavailable: the database could not be reached or did not take the commit.
        """
        with self.precedence.turn(), self.database.unit_of_work() as session:
            if before_lock is not None:
                before_lock(session)
            yield Transaction(session, self.audit)

    def after_acceptance(self, accepted: Acceptance) -> None:
        """Start what follows a 202 and may fail: journal, popularity list, dispatch. The worker makes up for failures.

        Returns at once: threads of their own deal with a store or a broker that hangs.
        """
        # A request that selects events has hidden them.
        self.histories.cache.forget([accepted.request.subject_hmac])
        self._recount()
        entry = forget_requests.journal_entry(accepted.request, accepted.selected)
        self._journal.add(str(entry.epoch), entry)
        if accepted.run_id is not None:
            self.queue.dispatch(accepted.run_id)

    def after_takedown(self, takedown: ItemTakedown) -> None:
        """Start what follows a takedown and may fail: journal and counts. The worker makes up for failures."""
        self._recount()
        entry = takedown_service.journal_entry(takedown)
        self._journal.add(str(entry.epoch), entry)

    def _recount(self) -> None:
        """Have popular items and the retriever's counts made anew, without what was hidden since. Returns at once."""
        self.popularity.request()
        if self.retriever is not None:
            self.retriever.request()

    def _deliverer(self) -> Deliverer:
        assert self.settings.webhook_key is not None
        sender = Sender(private=self.settings.allow_private_webhooks)
        signer = Signer(self.settings.webhook_key.get_secret_value().encode())

        def acknowledge(transaction: Transaction, request_id: str, name: str) -> None:
            targets.take(transaction, request_id, name, by=name, around=self.surroundings)

        callbacks = None if self.processor is None else Callbacks(self.processor, self.links)
        return Deliverer(self.database, self.transaction, sender, signer, acknowledge, callbacks)

    def acknowledge(self, request_id: str, name: str, *, by: str) -> ForgetTarget | None:
        """Take the acknowledgement of a recipient; None if the request was not told to it."""
        with self.transaction() as transaction:
            return targets.take(transaction, request_id, name, by=by, around=self.surroundings)

    def after_lift(self, entry: JournalEntry) -> None:
        """Write the lift of a suppression into the journal. Returns at once; the worker makes up for failures."""
        self.histories.cache.forget([entry.subject_hmac])
        self._journal.add(str(entry.epoch), entry)
        self.engine.poke()

    def _append_journal(self, _epoch: str, entry: JournalEntry) -> None:
        """Try until the store takes the entry: a restored database learns only of subjects in the journal."""
        said = False
        while True:
            try:
                self.store.append_journal(entry)
                self._tell_written(entry)
                return
            except JournalConflict:
                # The database was restored and no process has noticed yet: this epoch was handed out twice.
                log.error("journal.conflict", epoch=entry.epoch)
                self._joining.add("timeline", None)
                return
            except (StoreUnavailable, StoreReadOnly, StoreFull) as error:
                self.store_answers.doubt()
                if not said:
                    log.error("journal.unavailable", epoch=entry.epoch, error=type(error).__name__)
                said = True
            except StoreError as error:
                # A damaged object stays damaged, and other entries wait for this one. So do not try again.
                log.error("journal.unavailable", epoch=entry.epoch, error=type(error).__name__)
                return
            if self._stopping.wait(_JOURNAL_PAUSE_SECONDS):
                # The run will write the entry before it goes on.
                return

    def _tell_written(self, entry: JournalEntry) -> None:
        if entry.lifted is None and entry.item is None:
            return
        with self.database.unit_of_work() as session:
            if entry.lifted is not None:
                outbox.told(session, Topic.LIFTED, str(entry.epoch))
            else:
                outbox.told(session, Topic.TAKEN_DOWN, str(entry.request))

    def _join_again(self, _key: str, _value: None) -> None:
        """Compare the database with the store, and replay the journal if needed. Until then all get the fallback."""
        doubts = self.database.timeline.doubts
        try:
            stands = timeline_stands(self.database, self.store)
            readopted = 0
            if not stands:
                readopted = join_timeline(
                    self.database,
                    self.audit,
                    self.store,
                    self.engine.suppression_epochs(),
                    self.engine.takedown_epochs(),
                    policy=self.request_policy,
                )
        except StoreError as error:
            # The reconciler asks again several times a second as long as joining is needed. Log the first failure only.
            if self._joinable:
                log.error("timeline.not_joined", error=type(error).__name__, detail=str(error))
            self._joinable = False
            return
        self._joinable = True
        self.database.timeline.trust(doubts)
        self.engine.poke()
        if readopted:
            self.ring_queued_run()

    def ring_queued_run(self) -> None:
        """Send the runs that wait for requests to the workers."""
        with self.database.read() as session:
            waiting = [runs.queued_run(session, kind) for kind in (RunKind.FORGET, RunKind.SELECTION)]
        for run_id in waiting:
            if run_id is not None:
                self.queue.dispatch(run_id)


def _writes(database: Database) -> bool:
    try:
        require_writable(database.engine)
    except DatabaseUnavailable:
        return False
    return True
